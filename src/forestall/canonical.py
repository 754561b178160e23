"""One canonical JSON and one digest. Refuses what two readers could read differently.

The form is RFC 8785 (JSON Canonicalization Scheme) restricted to values on which the sorted
encoder of msgspec and RFC 8785 agree byte for byte: no floats, integers within ±(2^53-1), keys
without characters above U+D7FF (RFC 8785 sorts keys by UTF-16 units, which differ from code
points only beyond that). tests/unit/test_canonical.py holds it against the rfc8785 package.
"""

import hashlib
from typing import Any

import msgspec

from forestall.errors import InvalidRequestError
from forestall.limits import INTEGER_MAX, JSON_DEPTH_MAX

_ENCODER = msgspec.json.Encoder(order="sorted")
_KEY_CHAR_MAX = "\ud7ff"


def canonical_bytes(value: Any) -> bytes:
    """The RFC 8785 form of `value` (None, bool, int, str, list, tuple, dict of str), in UTF-8.

    Raises InvalidRequestError for anything that has no single canonical form.
    """
    _require_canonical(value, JSON_DEPTH_MAX)
    return _encode(value)


def canonical_struct(value: msgspec.Struct) -> bytes:
    """The same for a Struct of ours, whose declared types already exclude floats and odd keys.

    Numbers in such Structs are microseconds, counts and positions: all below 2^53.
    """
    return _encode(value)


def digest(domain: str, canonical: bytes) -> str:
    """SHA-256 in hex over a domain tag and bytes, so that no two kinds of thing share a digest.

    The tag is length-prefixed, hence `digest("a", b"bc") != digest("ab", b"c")`.
    """
    tag = domain.encode()
    return hashlib.sha256(b"forestall\x00%d\x00%b\x00%b" % (len(tag), tag, canonical)).hexdigest()


def _encode(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value)
    except (UnicodeEncodeError, RecursionError) as cause:  # a lone surrogate, or a cycle
        raise InvalidRequestError("a value has no canonical JSON form") from cause


def _require_canonical(value: Any, depth: int) -> None:
    if depth < 0:
        raise InvalidRequestError(f"a value is nested deeper than {JSON_DEPTH_MAX} levels")
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise InvalidRequestError("an integer is beyond ±(2^53-1)")
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_canonical(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or any(char > _KEY_CHAR_MAX for char in key):
                raise InvalidRequestError("an object key is outside the canonical alphabet")
            _require_canonical(item, depth - 1)
    else:
        raise InvalidRequestError(f"a {type(value).__name__} has no canonical JSON form")
