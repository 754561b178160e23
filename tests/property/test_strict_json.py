"""The quick reader of submissions and the slow one agree: value, payload, job hash, refusal.

The slow reader is the oracle. The texts are JSON as a client might write it, with everything in it
that two readers could read differently.
"""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.errors import ForestallError
from forestall.jobs.job import job_hash
from forestall.limits import JSON_DEPTH_MAX
from forestall.wire import submissions
from forestall.wire.strict_json import QuickDecoder
from forestall.wire.submissions import ActionBody, BudgetBody, Meta, SubmissionBody
from tests.property.strategies import CASES, EXAMPLES

TEXTS_PER_SEED = 25  # drawing from Hypothesis is most of the cost of a case
FIELDS = [name for name in SubmissionBody.__struct_fields__ if name != "prompt"]
NESTED = {"meta": Meta, "budget": BudgetBody, "action": ActionBody}
STRINGS = [
    '""',
    '"a"',
    '"job.demo.read"',
    '"a:b"',
    '"x\\ny"',
    '"\\/\\"\\\\"',
    '"http://a:80/?q={[:]}"',
    '"é\u2028😀"',
    '"1234567890123456"',
    '"\\u003a"',
    '"\\u0041"',
    '"critical"',
]
ODD_STRINGS = ['"\\u0000"', '"\\ud800"', '"\\ude00\\ud83d"', '"\\ud83d\\ude00"', '"\x01"', '"\\x"']
NUMBERS = [
    "0",
    "-0",
    "1",
    "7",
    "-1",
    "10",
    "1.0",
    "-0.0",
    "1e2",
    "0.1",
    "2.5E-3",
    "123456789012345",
]
ODD_NUMBERS = [
    "9007199254740991",
    "9007199254740992",
    "-9007199254740992",
    "18446744073709551616",
    "1e999",
    "-1e999",
    "1.7976931348623159e308",
    "5e-324",
    "1e-999",
    "0.30000000000000004",
    "123456789012345678.0",
    "1234567890.123456789e-5",
    "01",
    "1.",
    "+1",
    "NaN",
    "-Infinity",
]


class _Writer:
    """Writes JSON texts by one seed. `odd` is how often something is odd, from 0 to 1."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._odd = self._chance.choice((0.0, 0.01, 0.03, 0.2))

    def body(self) -> bytes:
        """One text; now and then with a byte that does not belong."""
        chance = self._chance
        names = chance.sample(FIELDS, chance.randint(0, 6))
        if chance.random() < 0.4:
            names = ["context", *(name for name in names if name != "context")]
        text = self._object(names, first='"prompt":"do it"')
        if self._is_odd():
            text = chance.choice(("[]", '"x"', "null", "", "1", text + text, "\ufeff" + text))
        data = bytearray(text.encode("utf-8", "surrogatepass"))
        if data and self._is_odd():
            data[chance.randrange(len(data))] = chance.choice(b'\xff\xed\x00":,{}[]\\0')
        return bytes(data)

    def _is_odd(self) -> bool:
        return self._chance.random() < self._odd

    def _space(self) -> str:
        return self._chance.choice(("", "", "", " ", "\n\t "))

    def _object(self, names: Any, *, first: str = "", kinds: Any = NESTED) -> str:
        members = [first] if first else []
        for name in names:
            value = self._field(name, kinds)
            members.append(f'"{name}"{self._space()}:{self._space()}{value}')
        if self._is_odd():
            members.append(f'"unknown":{self._any(1)}')
        if members and self._is_odd():
            members.append(self._chance.choice(members))
        separator = f",{self._space()}"
        return f"{self._space()}{{{separator.join(members)}}}{self._space()}"

    def _field(self, name: str, kinds: Any) -> str:
        chance = self._chance
        if self._is_odd():
            return chance.choice(("null", self._any(2)))
        if name in kinds:
            inner = kinds[name].__struct_fields__
            return self._object(chance.sample(inner, chance.randint(0, len(inner))), kinds={})
        if name in ("context", "args"):
            return self._any(3)
        if name == "topic":
            return '"job.demo.read"'
        if name == "labels":
            return self._object(chance.sample(("env", "team", "a:b", "é", "c"), 2), kinds={})
        if name in ("risk_tags", "requires", "tags"):
            return f"[{','.join(chance.choices(STRINGS, k=chance.randint(0, 3)))}]"
        if name == "idempotent":
            return chance.choice(("true", "false"))
        if name.startswith("max_") or name == "deadline_ms":
            return chance.choice(("0", "1", "100", "-0", "5"))
        return self._string()

    def _string(self) -> str:
        return self._chance.choice(ODD_STRINGS if self._is_odd() else STRINGS)

    def _any(self, depth: int) -> str:
        chance = self._chance
        if self._is_odd():
            levels = chance.choice((JSON_DEPTH_MAX - 1, JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1))
            return chance.choice(
                ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels)
            )
        kind = chance.randrange(6 if depth else 3)
        if kind == 0:
            return self._string()
        if kind == 1:
            odd = self._odd and chance.random() < 0.3  # alone in its text, or nobody learns of it
            return chance.choice(ODD_NUMBERS if odd else NUMBERS)
        if kind == 2:
            return chance.choice(("true", "false", "null"))
        if kind == 3:
            return f"[{','.join(self._any(depth - 1) for _ in range(chance.randint(0, 3)))}]"
        members = [f"{self._string()}:{self._any(depth - 1)}" for _ in range(chance.randint(0, 3))]
        if members and self._is_odd():
            members.append(chance.choice(members))
        return f"{{{','.join(members)}}}"


def _outcome(decode: Any, body: bytes) -> tuple[str, ...]:
    """What a reader makes of a text: the value, payload and job hash, or the refusal."""
    try:
        asked = decode(body)
    except ForestallError as error:
        return type(error).__name__, error.code, error.message, repr(error.details)
    try:
        submission = submissions._submission(
            asked, topic=asked.topic or "job.x", tenant="t", key=""
        )
    except ForestallError as error:
        return repr(asked), error.code, error.message
    hash_text = job_hash(submission, tenant="t", principal="p")
    return repr(asked), repr(submission), submission.payload.decode(), hash_text


@settings(max_examples=EXAMPLES // TEXTS_PER_SEED + 1)
@given(st.integers(0, 2**64))
def test_quick_and_slow_agree(seed: int) -> None:
    """On every text, whichever of the two takes it."""
    writer = _Writer(seed)
    for _ in range(TEXTS_PER_SEED):
        body = writer.body()
        slow = _outcome(submissions._decode_slowly, body)
        assert _outcome(submissions._decode, body) == slow, body
        quickly = submissions._READER.decode(body) is not None
        CASES[f"bodies read {'quickly' if quickly else 'slowly'}"] += 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"topic":"job.demo.read","prompt":"status","labels":{"env":"dev"},"risk_tags":["low"]}',
        b'{"prompt":"10:30: http://x/","context":{"a":[1,2.5,{"b":null}]},"meta":{"pack_id":"x"}}',
        '{"prompt":"größer 😀\\n","args":{"command":"ls"}}'.encode(),
    ],
)
def test_usual_bodies_are_read_quickly(body: bytes) -> None:
    """Else the quick reader would be right and of no use."""
    assert submissions._READER.decode(body) is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":"a","prompt":"a"}',
        b'{"prompt":"a","labels":{"a":"x","a":"y"}}',
        b'{"prompt":"a","context":{"a":1,"a":{"b":":"}}}',
        b'{"prompt":"a","context":[{"a":"::","a":1}]}',
        b'{"prompt":"a","meta":{"actor_id":"a"},"meta":{}}',
        b'{"prompt":"a","unknown":9007199254740992}',
        b'{"prompt":"a","unknown":{"a":1,"a":2}}',
        b'{"prompt":"a","unknown":1e999}',
        b'{"prompt":"a","unknown":"\xff"}',
        b'{"prompt":"a","context":9007199254740992}',
        b'{"prompt":"\\u0000"}',
        b'{"prompt":"\\ud800"}',
        b'{"prompt":"a","context":' + b"[" * 65 + b"]" * 65 + b"}",
    ],
)
def test_what_the_slow_reader_refuses_is_never_read_quickly(body: bytes) -> None:
    assert submissions._READER.decode(body) is None
    with pytest.raises(ForestallError) as refused:
        submissions._decode(body)
    assert refused.value.code == "invalid_json"


def test_a_kind_that_does_not_tell_what_was_dropped_is_no_kind_to_read_quickly() -> None:
    """The proof rests on how a value is encoded again: other kinds are refused when declared."""

    class Keeps(msgspec.Struct):
        name: str = ""

    class Tagged(msgspec.Struct, omit_defaults=True, tag=True):
        name: str = ""

    class Inner(msgspec.Struct, omit_defaults=True):
        inner: Keeps | None = None

    class Fresh(msgspec.Struct, omit_defaults=True):
        items: list[str] = msgspec.field(default_factory=list)

    class Bytes(msgspec.Struct, omit_defaults=True):
        raw: bytes | None = None

    for kind in (Keeps, Tagged, Inner, Fresh, Bytes):
        with pytest.raises(TypeError):
            QuickDecoder(kind)
