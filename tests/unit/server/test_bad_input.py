"""Whatever comes in is decided, or refused with a code and stored nowhere. Never a 500."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forestall import limits
from forestall.wire.submissions import BudgetBody, Meta, SubmissionBody
from tests.asgi import VERBS, Door, assert_coded, refused
from tests.http_samples import ALLOWED_JOB, Reply

JOBS = "/api/v1/jobs"
KEYS = "/api/v1/auth/keys"
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def with_context(text: str) -> bytes:
    """A good submission with this JSON text as its context."""
    return b'{"topic":"job.demo.read","prompt":"x","context":%s}' % text.encode()


# -- JSON --

MALFORMED = {
    "nothing": b" ",
    "cut": b'{"topic":"job.demo.read"',
    "cut in a text": b'{"topic":"job.de',
    "trailing comma": b'{"topic":"job.demo.read",}',
    "trailing text": b'{"topic":"job.demo.read"} x',
    "two values": b"{}{}",
    "single quotes": b"{'topic':'job.demo.read'}",
    "comment": b'{"topic":"job.demo.read"/*c*/}',
    "bare key": b'{topic:"job.demo.read"}',
    "bare word": b"topic",
    "NaN": b'{"topic":"job.demo.read","x":NaN}',
    "Infinity": b'{"topic":"job.demo.read","x":-Infinity}',
    "byte order mark": b'\xef\xbb\xbf{"topic":"job.demo.read"}',
    "utf-16": '{"topic":"job.demo.read"}'.encode("utf-16"),
    "latin-1": b'{"topic":"job.demo.read","prompt":"\xe9"}',
    "raw NUL": b'{"topic":"job.demo.read","prompt":"a\x00b"}',
    "raw NUL after": b'{"topic":"job.demo.read","prompt":"a"}\x00',
    "raw line break in a text": b'{"topic":"job.demo.read","prompt":"a\nb"}',
    "raw surrogate": b'{"topic":"job.demo.read","prompt":"\xed\xa0\x80"}',
    "overlong utf-8": b'{"topic":"job.demo.read","prompt":"\xc0\xaf"}',
    "bad escape": b'{"topic":"job.demo.read","prompt":"\\x41"}',
    "half an escape": b'{"topic":"job.demo.read","prompt":"\\u12"}',
    "leading zero": b'{"topic":"job.demo.read","max_total_tokens":01}',
    "plus sign": b'{"topic":"job.demo.read","max_total_tokens":+1}',
    "hexadecimal": b'{"topic":"job.demo.read","max_total_tokens":0x10}',
    "only brackets": b"[" * 100,
    "five thousand brackets": b"[" * 5_000 + b"]" * 5_000,
    "a million brackets": b"[" * 1_000_000 + b"]" * 1_000_000,
    "a million opening brackets": b'{"a":[' * 300_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_json_is_invalid_json(shared: Door, body: bytes) -> None:
    """400 `invalid_json`, and the message says what is wrong."""
    refused(shared, body, 400, "invalid_json")


@pytest.mark.parametrize("body", [b"[]", b'"job"', b"1", b"null", b"true", b"-0.0", b"[{}]", b'""'])
def test_json_that_is_no_object_is_refused(shared: Door, body: bytes) -> None:
    """A request is an object."""
    refused(shared, body, 400, "invalid_request")


def test_an_empty_body_is_refused_where_one_is_needed(shared: Door) -> None:
    """Empty is not `{}`; and `{}` lacks what is required."""
    refused(shared, None, 400)
    refused(shared, {}, 400)
    assert_coded(shared.ask("POST", KEYS), 400)


AMBIGUOUS = {
    "key twice": b'{"topic":"job.demo.read","topic":"job.demo.write","prompt":"x"}',
    "key twice, same value": b'{"topic":"job.demo.read","prompt":"x","prompt":"x"}',
    "key twice by escape": b'{"topic":"job.demo.read","prompt":"x","pro\\u006dpt":"y"}',
    "label twice": b'{"topic":"job.demo.read","prompt":"x","labels":{"a":"1","a":"2"}}',
    "meta label twice": b'{"topic":"job.demo.read","prompt":"x","meta":{"labels":{"a":"","a":""}}}',
    "deep inside": with_context('[[{"a":1,"b":2,"a":3}]]'),
    "NUL by escape": b'{"topic":"job.demo.read","prompt":"a\\u0000b"}',
    "NUL in a key": with_context('{"a\\u0000":1}'),
    "NUL in a label key": b'{"topic":"job.demo.read","prompt":"x","labels":{"a\\u0000":"1"}}',
    "high surrogate": b'{"topic":"job.demo.read","prompt":"\\ud800"}',
    "low surrogate": b'{"topic":"job.demo.read","prompt":"x\\udfff"}',
    "surrogates in the wrong order": b'{"topic":"job.demo.read","prompt":"\\udc00\\ud800"}',
    "surrogate in a key": with_context('{"\\ud800":1}'),
    "surrogate in a label": b'{"topic":"job.demo.read","prompt":"x","labels":{"a":"\\ud800"}}',
    "surrogate in an ignored field": b'{"topic":"job.demo.read","prompt":"x","zz":"\\ud800"}',
    "surrogate in the key of a job": b'{"topic":"job.demo.read","prompt":"x","job_id":"\\ud800"}',
    "1e999": with_context("1e999"),
    "-1e999": with_context("[-1e999]"),
    "10^400": with_context("1" + "0" * 400),
    "10^100000": with_context("1" + "0" * 100_000),
    "2^53": with_context(str(2**53)),
    "-2^53": with_context(str(-(2**53))),
    "2^53 as a budget": b'{"topic":"job.demo.read","prompt":"x","deadline_ms":%d}' % 2**53,
    "65 levels": with_context("[" * 65 + "]" * 65),
    "65 levels of objects": with_context('{"a":' * 65 + "1" + "}" * 65),
}


@pytest.mark.parametrize("body", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_two_readers_could_read_differently_is_invalid_json(shared: Door, body: bytes) -> None:
    """Duplicate keys, NUL, half surrogates, numbers out of range, deep nesting: refused whole."""
    refused(shared, body, 400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        with_context(str(2**53 - 1)),
        with_context(str(-(2**53) + 1)),
        with_context("1e308"),
        with_context("5e-324"),
        with_context("0." + "1" * 100_000),
        with_context("-0"),
        with_context("[" * 62 + "1" + "]" * 62),
        with_context('"\\ud83d\\ude00\\u2028\\u007f\\u202e"'),
        with_context('{"":{"":1}}'),
        b' \r\n\t{"topic":"job.demo.read","prompt":"x"}\n ',
    ],
    ids=lambda body: body[:70].decode(),
)
def test_json_at_the_edge_is_taken_and_kept_as_sent(shared: Door, body: bytes) -> None:
    """The bounds themselves are inside; what is stored is what was sent."""
    reply = shared.submit(body)
    assert reply.status == 200, reply.body
    job = shared.ask("GET", f"{JOBS}/{reply.json['job_id']}").json
    assert job["context"]["context"] == json.loads(body).get("context")


# -- types, words and lengths --

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONG = "x" * limits.NAME_CHARS_MAX
PAST_LIMIT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # at the limit, one more
    "topic": ({"topic": "job.demo." + "x" * 247}, {"topic": "job.demo." + "x" * 248}),
    "risk tags": (
        {"risk_tags": [str(n) for n in range(limits.TAGS_MAX)]},
        {"risk_tags": [str(n) for n in range(limits.TAGS_MAX + 1)]},
    ),
    "requires in both places": (
        {"requires": [str(n) for n in range(24)], "meta": {"requires": list(LETTERS)}},
        {"requires": [str(n) for n in range(25)], "meta": {"requires": list(LETTERS)}},
    ),
    "tags": (
        {"tags": [str(n) for n in range(limits.TAGS_MAX)]},
        {"tags": [str(n) for n in range(limits.TAGS_MAX + 1)]},
    ),
    "labels": (
        {"labels": {str(n): "v" for n in range(limits.LABELS_MAX)}},
        {"labels": {str(n): "v" for n in range(limits.LABELS_MAX + 1)}},
    ),
    "labels of both places": (
        {"labels": {str(n): "v" for n in range(50)}, "meta": {"labels": {"0": "w"}}},
        {"labels": {str(n): "v" for n in range(50)}, "meta": {"labels": {"x": "w"}}},
    ),
    "label name": (
        {"labels": {"k" * limits.LABEL_KEY_CHARS_MAX: "v"}},
        {"labels": {"k" * (limits.LABEL_KEY_CHARS_MAX + 1): "v"}},
    ),
    "label value": (
        {"labels": {"k": "é" * limits.LABEL_VALUE_CHARS_MAX}},
        {"labels": {"k": "é" * (limits.LABEL_VALUE_CHARS_MAX + 1)}},
    ),
    "meta label value": (
        {"meta": {"labels": {"k": "v" * limits.LABEL_VALUE_CHARS_MAX}}},
        {"meta": {"labels": {"k": "v" * (limits.LABEL_VALUE_CHARS_MAX + 1)}}},
    ),
    "empty label name": ({"labels": {"k": ""}}, {"labels": {"": "v"}}),
    "budget from 0": ({"max_total_tokens": 0}, {"max_total_tokens": -1}),
    "nested budget": (
        {"budget": {"deadline_ms": limits.DURATION_MS_MAX}},
        {"budget": {"deadline_ms": limits.DURATION_MS_MAX + 1}},
    ),
    "deadline": ({"deadline_ms": 1}, {"deadline_ms": limits.INTEGER_MAX}),
    "nested tokens": (
        {"budget": {"max_total_tokens": limits.INTEGER_MAX}},
        {"budget": {"max_total_tokens": -1}},
    ),
    "idempotency key": (
        {"idempotency_key": "k" * limits.IDEMPOTENCY_KEY_CHARS_MAX},
        {"idempotency_key": "k" * (limits.IDEMPOTENCY_KEY_CHARS_MAX + 1)},
    ),
    "meta idempotency key": (
        {"meta": {"idempotency_key": "m" * limits.IDEMPOTENCY_KEY_CHARS_MAX}},
        {"meta": {"idempotency_key": "m" * (limits.IDEMPOTENCY_KEY_CHARS_MAX + 1)}},
    ),
    **{
        name: ({name: LONG}, {name: LONG + "x"})
        for name in ("capability", "pack_id", "actor_id", "principal_id")
    },
    **{
        f"meta {name}": ({"meta": {name: LONG}}, {"meta": {name: LONG + "x"}})
        for name in ("capability", "pack_id", "actor_id")
    },
    **{
        f"one of {name}": ({name: [LONG]}, {name: [LONG + "x"]})
        for name in ("risk_tags", "requires", "tags")
    },
}


@pytest.mark.parametrize(("at", "past"), PAST_LIMIT.values(), ids=PAST_LIMIT.keys())
def test_a_limit_is_a_limit_on_every_verb(
    shared: Door, at: dict[str, Any], past: dict[str, Any]
) -> None:
    """The last value inside is decided; the first one outside is a coded 400."""
    for path in VERBS:
        assert shared.ask("POST", path, {**ALLOWED_JOB, **at}).status == 200
    refused(shared, {**ALLOWED_JOB, **past}, 400, "invalid_request")


def test_an_over_long_prompt_says_what_is_allowed(shared: Door) -> None:
    """413 with `limit`, `current`, `allowed`, which clients read at the top (the peer says 403)."""
    most = limits.PROMPT_CHARS_MAX
    assert shared.submit({**ALLOWED_JOB, "prompt": "é" * most}).status == 200
    refused(shared, {**ALLOWED_JOB, "prompt": "x" * (most + 1)}, 413, "tier_limit_exceeded")
    body = shared.submit({**ALLOWED_JOB, "prompt": "x" * (most + 1)}).json
    assert (body["limit"], body["current"], body["allowed"]) == ("max_prompt_chars", most + 1, most)


def test_a_job_id_of_a_check_is_bounded(shared: Door) -> None:
    """It comes back as the approval reference."""
    most = limits.NAME_CHARS_MAX
    assert shared.evaluate({**ALLOWED_JOB, "job_id": "j" * most}).status == 200
    assert_coded(shared.evaluate({**ALLOWED_JOB, "job_id": "j" * (most + 1)}), 400)


def test_an_idempotency_header_is_bounded(shared: Door) -> None:
    """As the field is."""
    most = limits.IDEMPOTENCY_KEY_CHARS_MAX
    taken = shared.submit(ALLOWED_JOB, headers={"Idempotency-Key": "h" * most})
    assert taken.status == 200
    reply = shared.submit(ALLOWED_JOB, headers={"Idempotency-Key": "h" * (most + 1)})
    assert_coded(reply, 400, "invalid_request")


@pytest.mark.parametrize(
    "change",
    [
        {"priority": "urgent"},
        {"priority": "Batch"},
        {"actor_type": "robot"},
        {"actor_type": "Human"},
        {"meta": {"actor_type": "robot"}},
        {"topic": "demo.read"},
        {"topic": "job"},
        {"topic": "job."},
        {"topic": "job..x"},
        {"topic": "job.x."},
        {"topic": "job.x y"},
        {"topic": "job.é"},
        {"topic": "job.*"},
        {"topic": "job.x\n"},
        {"topic": "\u202ejob.x"},
        {"topic": "JOB.X"},
        {"topic": 1},
        {"topic": ["job.demo.read"]},
        {"prompt": 1},
        {"prompt": ["rm"]},
        {"labels": []},
        {"labels": {"a": 1}},
        {"labels": {"a": {"b": "c"}}},
        {"labels": "a=b"},
        {"risk_tags": "x"},
        {"risk_tags": [None]},
        {"requires": {"a": "b"}},
        {"max_total_tokens": "5"},
        {"max_total_tokens": 1.5},
        {"max_total_tokens": True},
        {"deadline_ms": [1]},
        {"budget": 5},
        {"meta": "x"},
        {"meta": []},
    ],
    ids=json.dumps,
)
def test_an_unknown_word_or_a_wrong_type_is_refused(shared: Door, change: dict[str, Any]) -> None:
    """Strict where a field means something: 400 `invalid_request`, nothing stored."""
    refused(shared, {**ALLOWED_JOB, **change}, 400, "invalid_request")


@pytest.mark.parametrize("place", ["labels", "meta"])
@pytest.mark.parametrize(
    "name",
    [
        "_x",
        "_",
        "_source",
        "_content.prompt",
        "approval_granted",
        "approval_",
        "Approval_Granted",
        "APPROVAL_GRANTED",
        "policy.x",
        "Policy.override",
        "policy.",
    ],
)
def test_a_reserved_label_is_refused(shared: Door, place: str, name: str) -> None:
    """Approval state and the plane's own names are not claimable."""
    labels = {"env": "dev", name: "true"}
    change = {"labels": labels} if place == "labels" else {"meta": {"labels": labels}}
    refused(shared, {**ALLOWED_JOB, **change}, 400, "reserved_label")


def test_unknown_fields_are_ignored(shared: Door) -> None:
    """The published clients send more than we read."""
    body = {**ALLOWED_JOB, "adapter_id": 5, "context_mode": [], "zz": {"a": None}, "": 1}
    assert shared.submit({**body, "meta": {"zz": 1}, "budget": {"zz": "x"}}).status == 200


# -- anything at all --

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(st.characters(), max_size=40)
    | st.sampled_from(["job.demo.read", "default", "batch", "human", "_x", "x" * 300, "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = (
    *((name,) for name in SubmissionBody.__struct_fields__),
    *(("meta", name) for name in Meta.__struct_fields__),
    *(("budget", name) for name in BudgetBody.__struct_fields__),
)


def answered(door: Door, path: str, body: Any, **more: Any) -> Reply:
    """A decision, or a coded refusal that stored nothing."""
    before = door.trace()
    reply = door.ask("POST", path, body, **more)
    decided = reply.status == 200 or (reply.status == 403 and "job_id" in reply.json)
    if not decided:
        assert 400 <= reply.status < 500, (reply.status, reply.body)
        assert_coded(reply, reply.status)
        assert door.trace() == before
    return reply


@FUZZ
@given(st.sampled_from(VERBS), st.sampled_from(FIELDS), JSON_VALUES)
def test_any_value_in_any_field_is_decided_or_refused(
    shared: Door, path: str, field: tuple[str, ...], value: Any
) -> None:
    """Type confusion anywhere: never a 500, never a job out of a refusal."""
    body: dict[str, Any] = dict(ALLOWED_JOB)
    if len(field) == 2:
        body[field[0]] = {field[1]: value}
    else:
        body[field[0]] = value
    answered(shared, path, body)


@FUZZ
@given(st.sampled_from((*VERBS, KEYS)), JSON_VALUES)
def test_any_json_as_a_body_is_refused_or_decided(shared: Door, path: str, value: Any) -> None:
    """A whole body of anything."""
    answered(shared, path, value)


@FUZZ
@given(st.sampled_from((*VERBS, KEYS)), st.binary(max_size=200))
def test_any_bytes_as_a_body_are_refused(shared: Door, path: str, data: bytes) -> None:
    """Raw bytes: `invalid_json`, or `invalid_request` when they happen to be JSON."""
    assert answered(shared, path, data).status == 400


GOOD = json.dumps({**ALLOWED_JOB, "labels": {"env": "dev"}, "context": {"n": [1, 2.5, None]}})


@FUZZ
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_good_body_with_a_few_bytes_changed_is_decided_or_refused(
    shared: Door, at: int, data: bytes, cut: int
) -> None:
    """Near misses reach deeper than noise does."""
    good = GOOD.encode()
    answered(shared, JOBS, good[:at] + data + good[at + cut :])


@FUZZ
@given(
    st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.text(st.characters(max_codepoint=255), max_size=60),
)
def test_any_path_and_query_is_answered(shared: Door, method: str, path: str, query: str) -> None:
    """What a parser let through cannot make the router stumble."""
    for prefix in ("/", f"{JOBS}/", f"{JOBS}?"):
        reply = shared.ask(method, f"{prefix}{path}?{query}")
        assert 200 <= reply.status < 500, (reply.status, reply.body)


@FUZZ
@given(
    st.sampled_from(
        ["x-tenant-id", "x-api-key", "authorization", "content-type", "content-length",
         "idempotency-key", "x-request-id", "accept", "origin", "expect"]
    ),
    st.binary(max_size=60),
)  # fmt: skip
def test_any_header_value_is_answered(shared: Door, name: str, value: bytes) -> None:
    """Header values are bytes; none of them is a 500."""
    key = [] if name == "x-api-key" else [(b"x-api-key", shared.admin.encode())]
    pairs = [*key, (name.encode(), value)]
    reply = shared.ask("POST", JOBS, ALLOWED_JOB, key="", headers=pairs)
    assert 200 <= reply.status < 500, (reply.status, reply.body)


@pytest.mark.parametrize(
    "query", ["state=pending&state=denied", "tenant=default&tenant=other", "limit=1&limit=1"]
)
def test_a_query_names_a_field_once(shared: Door, query: str) -> None:
    """A proxy in front may read the first one and this server the last."""
    assert_coded(shared.ask("GET", f"/api/v1/jobs?{query}"), 400)
