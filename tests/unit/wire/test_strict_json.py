"""What two readers could read differently is refused, with one code, whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.errors import InvalidRequestError
from forestall.limits import INTEGER_MAX, JSON_DEPTH_MAX
from forestall.wire import strict_json
from forestall.wire.strict_json import MalformedJsonError, decode_json

REFUSED = {
    "a key twice": b'{"a":1,"a":2}',
    "a key twice, deep": b'{"x":[{"a":1,"b":2,"a":3}]}',
    "a key twice, spelled two ways": b'{"a":1,"\\u0061":2}',
    "NaN": b'{"a":NaN}',
    "infinity": b"[-Infinity]",
    "an integer beyond": b"[9007199254740992]",
    "a number that is infinite": b"[1e400]",
    "NUL": b'["\\u0000"]',
    "half a surrogate pair": b'["\\ud800"]',
    "no UTF-8": b'["\xff"]',
    "two values": b"{} {}",
    "nothing": b"",
    "too deep": b"[" * (JSON_DEPTH_MAX + 2) + b"]" * (JSON_DEPTH_MAX + 2),
    "far too deep": b"[" * 100_000,
    "a trailing comma": b"[1,]",
    "a comment": b"[1] // one",
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_one_code(body: bytes) -> None:
    with pytest.raises(MalformedJsonError) as caught:
        decode_json(body)
    assert caught.value.code == "invalid_json"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-INTEGER_MAX, INTEGER_MAX)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_every_value_that_has_one_reading_is_read(value: object) -> None:
    assert decode_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    try:
        decode_json(data)
    except InvalidRequestError:
        return


@pytest.mark.parametrize("pad", range(0, 40, 3))
def test_brackets_in_texts_count_as_none_wherever_a_piece_ends(
    pad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of a few bytes end inside of texts, escapes and runs of backslashes."""
    monkeypatch.setattr(strict_json, "JSON_CONTAINERS_MAX", 4)
    monkeypatch.setattr(strict_json, "_PIECE_BYTES", 7)
    value = [" " * pad, '[{"\\', "\\\\[", {"a[": ['{\\"']}, "\\" * 9 + '"[[']
    body = json.dumps(value).encode()
    assert decode_json(body) == value
    with pytest.raises(MalformedJsonError, match="objects and arrays"):
        decode_json(json.dumps([*value, [], []]).encode())
