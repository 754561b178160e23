"""Read test cases: a request, what is wanted of it, and what the case takes for granted.

A case may fix the instant (`now`), name throttle rules whose limit is not reached (`lifted`), and
say what a credential or the plane vouches for (`attested`). Nothing else than the case decides what
its request is.
"""

from contextlib import suppress
from datetime import datetime

from forestall.limits import GLOB_CHARS_MAX, POLICY_TESTS_MAX
from forestall.policy.language.document import Mapping, plain_value
from forestall.policy.language.output_reader import read_output_want
from forestall.policy.language.reader import Reader
from forestall.policy.request import Delegation, ToolCall
from forestall.policy.rules import Effect, OutputTest, PolicyTest

_TEST_REQUEST_KEYS = (
    "topic",
    "tenant",
    "capability",
    "pack_id",
    "actor_id",
    "actor_type",
    "agent",
    "agent_risk_tier",
    "agent_data_classes",
    "risk_tags",
    "requires",
    "labels",
    "credential_labels",
    "mcp",
    "args",
    "prompt",
    "context",
)
_CASE_KEYS = ("name", "request", "attested", "now", "lifted", "result", "want")
# In `attested`: what has a field of its own in a request, and what a client could claim as well.
_IDENTITY_TEXTS = ("principal", "agent", "agent_risk_tier")
_VOUCHED_TEXTS = ("pack_id", "actor_type")
_IDENTITY = (*_IDENTITY_TEXTS, "agent_data_classes", "delegation")
_ATTESTED_KEYS = ("labels", *_IDENTITY, *_VOUCHED_TEXTS, "risk_tags")
_DEPTH_MAX = 64


def read_tests(reader: Reader, top: Mapping) -> tuple[PolicyTest | OutputTest, ...]:
    """The test cases under `tests` of a policy or of a file of cases."""
    entries = reader.mappings(top, "tests", most=POLICY_TESTS_MAX)
    tests = (_read_test(reader, entry) for entry in entries)
    return tuple(test for test in tests if test is not None)


def _read_test(reader: Reader, entry: Mapping) -> PolicyTest | OutputTest | None:
    reader.known_keys(entry, _CASE_KEYS, "a test")
    name = reader.text(entry, "name", most=GLOB_CHARS_MAX) or f"line {entry.line}"
    request_node, want_node = reader.child(entry, "request"), reader.child(entry, "want")
    if request_node is None or want_node is None:
        reader.problem(entry, "a test needs a `request` and a `want`")
        return None
    request = reader.mapping(request_node, "`request`")
    want = reader.mapping(want_node, "`want`")
    if request is None or want is None:
        return None
    reader.known_keys(request, _TEST_REQUEST_KEYS, "a test's `request`")
    reader.known_keys(want, ("decision", "verdict", "rule_id", "exactly"), "a test's `want`")
    fields = _test_request(reader, request)
    _add_attested(reader, entry, fields)
    now = _instant(reader, entry)
    if "result" in entry.entries:
        return read_output_want(reader, entry, want, fields, name=name, now=now)
    if "verdict" in want.entries:
        reader.problem(want.key_of("verdict"), "a verdict is one on a `result`, which is none")
        return None
    decision = reader.word(want, "decision", tuple(Effect))
    rule_id = reader.text(want, "rule_id")
    topic = reader.text(request, "topic")
    if decision is None or topic is None:
        if "decision" not in want.entries or "topic" not in request.entries:
            reader.problem(entry, "a test needs `request.topic` and `want.decision`")
        return None
    return PolicyTest(
        name=name,
        request=fields,
        now=now,
        lifted=reader.words(entry, "lifted"),
        decision=Effect(decision),
        exactly=reader.boolean(want, "exactly") or False,
        rule_id=rule_id,
        line=entry.line,
    )


def _test_request(reader: Reader, request: Mapping) -> dict[str, object]:
    values: dict[str, object] = {}
    for field, (_, value) in request.entries.items():
        if field in ("risk_tags", "requires", "agent_data_classes"):
            values[field] = list(reader.words(request, field))
        elif field in ("labels", "credential_labels"):
            values[field] = reader.text_map(request, field)
        elif field == "mcp":
            values[field] = call = reader.text_map(request, field)
            for part in call.keys() - set(ToolCall.__struct_fields__):
                reader.problem(value, f"unknown part `{part[:80]}` of a tool call in a test")
        elif field in ("args", "context"):
            values[field] = plain_value(value)
        else:
            values[field] = reader.text(request, field, most=None) or ""
    return values


def _add_attested(reader: Reader, entry: Mapping, fields: dict[str, object]) -> None:
    """Add what `attested` says to the fields of the request of a case."""
    section = reader.section(entry, "attested", _ATTESTED_KEYS)
    if section is None:
        return
    if "labels" in section.entries:
        fields["credential_labels"] = reader.text_map(section, "labels")
    for field in _IDENTITY_TEXTS:
        if field in section.entries:
            fields[field] = reader.text(section, field) or ""
    if "agent_data_classes" in section.entries:
        fields["agent_data_classes"] = list(reader.words(section, "agent_data_classes"))
    vouched: dict[str, tuple[str, ...]] = {
        field: (reader.text(section, field) or "",)
        for field in _VOUCHED_TEXTS
        if field in section.entries
    }
    if "risk_tags" in section.entries:
        vouched["risk_tags"] = reader.words(section, "risk_tags")
    if vouched:
        fields["attested"] = vouched
    delegation = reader.section(section, "delegation", Delegation.__struct_fields__)
    if delegation is not None:
        fields["delegation"] = {
            "depth": reader.integer(delegation, "depth", minimum=0, maximum=_DEPTH_MAX) or 0,
            "issuers": reader.words(delegation, "issuers"),
            "scope": reader.words(delegation, "scope"),
        }


def _instant(reader: Reader, entry: Mapping) -> datetime | None:
    """The instant under `now`, with its offset: a policy has no time zone. None without one."""
    text = reader.text(entry, "now")
    if text is None:
        return None
    now: datetime | None = None
    with suppress(ValueError):
        now = datetime.fromisoformat(text)
    if now is None or now.tzinfo is None:
        hint = "an ISO time with its offset, such as 2026-06-01T07:00:00Z"
        reader.problem(entry.value_of("now"), f"`{text[:80]}` is no instant", hint)
        return None
    return now
