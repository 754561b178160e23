"""Bytes → JSON value, refusing what two readers could read differently. Knows no field.

Beyond RFC 8259 the reader refuses duplicate keys, NaN, integers beyond ±(2^53-1), numbers too large
for a double, NUL and lone surrogates in any text, nesting past a bound, and too many objects and
arrays. There are two readers: a slow one that can say what is wrong (`decode_json`), and a quick
one (`QuickDecoder`) that accepts only texts which the slow one provably accepts with the same
value, and leaves every other text to it (ADR 0021).
"""

import json
import re
from typing import Any, Generic, TypeVar

import msgspec

from forestall.errors import InvalidRequestError
from forestall.limits import INTEGER_MAX, JSON_CONTAINERS_MAX, JSON_DEPTH_MAX

_Kind = TypeVar("_Kind")


class MalformedJsonError(InvalidRequestError):
    """The body is not the JSON that we accept; the message says what is wrong."""

    code, http_status = "invalid_json", 400


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) <= _PIECE_PAIRS:
        value = dict(pairs)
    else:  # in pieces, between which other threads run
        value = {}
        for start in range(0, len(pairs), _PIECE_PAIRS):
            value.update(pairs[start : start + _PIECE_PAIRS])
    if len(value) != len(pairs):
        raise MalformedJsonError("invalid json: an object names the same key twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > INTEGER_MAX:
        raise MalformedJsonError("invalid json: an integer is beyond ±(2^53-1)")
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise MalformedJsonError("invalid json: a number is too large")
    return value


def _constant(name: str) -> Any:
    raise MalformedJsonError(f"invalid json: `{name}` is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=_constant,
)


_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_PLAIN_NAME = re.compile(r"[a-zA-Z_]{1,40}")


def decode_struct(
    body: bytes, kind: type[_Kind], error: type[InvalidRequestError] = InvalidRequestError
) -> _Kind:
    """The body as a Struct; an empty body reads as `{}`.

    Raises `error`, which names the field and its type, never the value.
    """
    try:
        return msgspec.convert(decode_json(body or b"{}"), kind)
    except msgspec.ValidationError as cause:
        raise error(readable(cause)) from cause


def readable(cause: msgspec.ValidationError) -> str:
    """The mistake and its place. msgspec names types and places, never values."""
    what, _, place = str(cause).partition(" - at ")
    field = place.strip("`").removeprefix("$.") or "the body"
    unknown = _UNKNOWN_FIELD.fullmatch(what)
    if unknown is not None and not _PLAIN_NAME.fullmatch(unknown[1]):
        what = "object contains an unknown field"  # the unknown name may be something not to repeat
    return f"`{field}`: {what[:1].lower()}{what[1:]}"


def decode_json(body: bytes) -> Any:
    """The value of a JSON text. Raises MalformedJsonError; never any other error."""
    _require_few_containers(body)
    try:
        text = body.decode()
        value = _DECODER.decode(text)
    except UnicodeDecodeError as cause:
        raise MalformedJsonError("invalid json: the body is not UTF-8 text") from cause
    except json.JSONDecodeError as cause:
        raise MalformedJsonError(
            f"invalid json: {cause.msg.lower()} at line {cause.lineno} column {cause.colno}"
        ) from cause
    except RecursionError as cause:
        raise MalformedJsonError(_TOO_DEEP) from cause
    # Only an escape can hold NUL or a lone surrogate: raw ones are no JSON, or no UTF-8.
    if "\\u" in text or text.count("[") + text.count("{") > JSON_DEPTH_MAX:
        _require_clean(value)
    return value


def _require_few_containers(body: bytes) -> None:
    """Refuse a text with more objects and arrays than JSON_CONTAINERS_MAX: while the parser makes
    them, no other thread runs. Brackets inside of texts are told apart only where they decide."""
    if body.count(b"[") + body.count(b"{") <= JSON_CONTAINERS_MAX:
        return
    count = start = 0
    inside = False  # of a text, at the start of a piece
    while start < len(body):
        end = start + _PIECE_BYTES
        while body[end - 1 : end] == b"\\":  # an escape stays in one piece
            end += 1
        piece = body[start:end].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        count += sum(part.count(b"[") + part.count(b"{") for part in piece[inside::2])
        if count > JSON_CONTAINERS_MAX:
            raise MalformedJsonError(
                f"invalid json: more than {JSON_CONTAINERS_MAX} objects and arrays; send fewer, or"
                " send them as a text"
            )
        inside ^= len(piece) % 2 == 0
        start = end


_PIECE_BYTES = 32 * 1024  # looked at in one step
_PIECE_PAIRS = 4_096  # of one object, put into it in one step
_TOO_DEEP = f"invalid json: nested deeper than {JSON_DEPTH_MAX} levels"


def _require_clean(root: Any) -> None:
    """Check every text and number of a value, level by level, without recursion."""
    level = [root]
    depth = 0
    while level:
        if depth > JSON_DEPTH_MAX:
            raise MalformedJsonError(_TOO_DEEP)
        children: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _require_text(value)
            elif isinstance(value, list):
                children.extend(value)
            elif isinstance(value, dict):
                children.extend(value)
                children.extend(value.values())
        level = children
        depth += 1


def _require_text(text: str) -> None:
    if "\x00" in text:
        raise MalformedJsonError("invalid json: a text holds a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as cause:
            raise MalformedJsonError("invalid json: a text holds half a surrogate pair") from cause


_AS_ZEROS = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_LONG_NUMBER = b"0" * 16  # 2^53-1 has 16 digits: a number with fewer digits is within the bound
QUICK_BYTES_MAX = 8_192  # measured: for longer texts the slow reader is quicker than encoding again
_PLAIN_TYPES = (
    msgspec.inspect.AnyType,
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.NoneType,
    msgspec.inspect.StrType,
)


class QuickDecoder(Generic[_Kind]):
    """Bytes → one kind of Struct in one pass, for texts that `decode_json` surely takes.

    msgspec reads the text; what msgspec lets pass and we do not is found without reading it again:

    - A duplicate key, an unknown field or a null is *dropped*: the value says less than the text.
      Encoded again without its defaults, it then has fewer colons than the text. Every member of
      an object has a colon of its own, a text keeps its colons, nothing adds one; so the counts are
      equal only if nothing was dropped.
    - NUL, half a surrogate pair and a colon in disguise need the escape `\\u`.
    - An integer beyond the bound has 16 digits in a row.
    - Nesting past the bound has more brackets than the bound.

    Where any of these may be so, and wherever msgspec refuses, the slow reader has the word.
    """

    __slots__ = ("_decode", "_encode")

    def __init__(self, kind: type[_Kind]) -> None:
        _require_countable(msgspec.inspect.type_info(kind))
        self._decode = msgspec.json.Decoder(kind).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, body: bytes) -> _Kind | None:
        """The body as a Struct, or None where the slow reader must decide."""
        if (
            len(body) > QUICK_BYTES_MAX
            or b"\\u" in body
            or body.count(b"[") + body.count(b"{") > JSON_DEPTH_MAX
            or _LONG_NUMBER in body.translate(_AS_ZEROS)
        ):
            return None
        try:
            value = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return value if self._encode(value).count(b":") == body.count(b":") else None


def _require_countable(kind: msgspec.inspect.Type) -> None:
    """Raises TypeError for a Struct type whose encoded values do not show what was dropped."""
    inspect = msgspec.inspect
    if isinstance(kind, inspect.StructType):
        config = kind.cls.__struct_config__
        if not config.omit_defaults or config.tag is not None or config.array_like:
            raise TypeError(f"{kind.cls.__name__} must omit its defaults, without a tag")
        for field in kind.fields:
            if field.default_factory is not msgspec.NODEFAULT:
                raise TypeError(f"{kind.cls.__name__}.{field.name} makes its default anew")
            _require_countable(field.type)
    elif isinstance(kind, inspect.UnionType):
        for member in kind.types:
            _require_countable(member)
    elif isinstance(kind, inspect.ListType):
        _require_countable(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        if not isinstance(kind.key_type, inspect.StrType):
            raise TypeError("the keys of an object are texts")
        _require_countable(kind.value_type)
    elif not isinstance(kind, _PLAIN_TYPES):
        raise TypeError(f"a {type(kind).__name__} may be encoded otherwise than it was read")
