"""Read what is left of a JSON text that the strict reader refuses, and show the rest escaped.

Only for messages that report work which is done: refusing those would lose the work. Nothing is
guessed: a text without one single reading has no value here (`tolerant_value`), only the form in
which a person may look at it (`quoted`). No function recurses into the text, and none raises.
"""

import json
import re
from typing import Any

import msgspec

from forestall.limits import BODY_BYTES_MAX, INTEGER_MAX, JSON_DEPTH_MAX
from forestall.texts import escaped

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb'\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:(.*)', re.DOTALL)
_CUT = " […]"


def members(raw: bytes) -> list[tuple[str, bytes]]:
    """The members of an object: name, and value as it stands. Empty for anything else; of an object
    that breaks off, those that are there."""
    found = (_MEMBER.fullmatch(part) for part in _parts(raw, b"{"))
    return [(shown(each[1]), each[2].strip()) for each in found if each is not None]


def elements(raw: bytes) -> list[bytes]:
    """The elements of an array as they stand. Empty for anything else."""
    return [part.strip() for part in _parts(raw, b"[") if part.strip()]


def _parts(raw: bytes, opening: bytes) -> list[bytes]:
    """What stands between the commas of the outermost level."""
    raw = raw.strip()
    if not raw.startswith(opening):
        return []
    parts: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(raw):
        mark = raw[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        if depth == 0 or (depth == 1 and mark in b","):
            parts.append(raw[start : token.start()])
            start = token.end()
        if depth == 0:
            return parts
    return [*parts, raw[start:]]


def shown(raw: bytes) -> str:
    """A JSON text as its characters, anything else as it stands; escaped where need be."""
    if raw.startswith(b'"'):
        try:
            return escaped(str(json.loads(_decoded(raw), strict=False)))
        except ValueError:
            pass
    return escaped(_decoded(raw))


def quoted(raw: bytes) -> bytes:
    """Any bytes as one JSON text, for a person to look at; cut past BODY_BYTES_MAX characters."""
    text = escaped(_decoded(raw))
    return msgspec.json.encode(
        text if len(text) <= BODY_BYTES_MAX else text[: BODY_BYTES_MAX - len(_CUT)] + _CUT
    )


def tolerant_value(raw: bytes) -> bytes | None:
    """The JSON value with texts `escaped`, and numbers that two readers may read differently as
    texts. None when it has no single reading: no JSON, a key twice, or nested too deeply to stand
    in a message."""
    try:
        return msgspec.json.encode(_plain(_DECODER.decode(_decoded(raw).strip()), 1))
    except (ValueError, RecursionError):
        return None


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = {escaped(name): item for name, item in pairs}
    if len(value) != len(pairs):
        raise ValueError("a key twice")
    return value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 17 and abs(int(digits)) <= INTEGER_MAX else digits


def _number(digits: str) -> float | str:
    value = float(digits)
    return digits if value in (float("inf"), float("-inf")) else value


_DECODER = json.JSONDecoder(
    strict=False,  # control characters stand in texts
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=str,
)


def _plain(value: Any, depth: int) -> Any:
    if depth > JSON_DEPTH_MAX:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, depth + 1) for name, item in value.items()}
    return value
