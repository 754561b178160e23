"""Read the parts of a rule that depend on its effect, such as constraints and a throttle."""

import re
from typing import Any, TypeVar

from forestall.limits import (
    DURATION_MS_MAX,
    INTEGER_MAX,
    LABEL_VALUE_CHARS_MAX,
    QUORUM_MAX,
    REASON_CHARS_MAX,
    REMEDIATIONS_PER_RULE_MAX,
    THROTTLE_LIMIT_MAX,
    THROTTLE_SUM_MAX,
)
from forestall.policy.arguments import ArgumentError, compile_amount
from forestall.policy.language.document import Mapping
from forestall.policy.language.reader import Reader
from forestall.policy.problems import did_you_mean
from forestall.policy.rules import (
    REDACTION_LEVELS,
    ApprovalTerms,
    Budgets,
    Constraints,
    DiffLimits,
    Remediation,
    Sandbox,
    Throttle,
    Toolchain,
)

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_THROTTLE_KEYS = ("tenant", "topic", "capability", "actor_id", "agent")
_CLAIMED_KEYS = ("pack_id", "actor_type", "risk_tags")
_Limits = TypeVar("_Limits", Budgets, Sandbox, Toolchain, DiffLimits)


def read_constraints(reader: Reader, entry: Mapping) -> Constraints | None:
    """The `constraints` of a rule; None without any. An empty block is a problem."""
    block = reader.section(entry, "constraints", Constraints.__struct_fields__)
    if block is None:
        return None
    constraints = Constraints(
        budgets=_read_limits(reader, block, "budgets", Budgets),
        sandbox=_read_limits(reader, block, "sandbox", Sandbox),
        toolchain=_read_limits(reader, block, "toolchain", Toolchain),
        diff=_read_limits(reader, block, "diff", DiffLimits),
        redaction_level=reader.word(block, "redaction_level", REDACTION_LEVELS) or "",
    )
    if constraints == Constraints():
        reader.problem(block, "`constraints` sets no bound", "leave it out")
    return constraints


def _read_limits(reader: Reader, block: Mapping, key: str, kind: type[_Limits]) -> _Limits:
    """One group of constraints. What is not written stays None, which sets no bound."""
    names = kind.__struct_fields__
    section = reader.section(block, key, names)
    if section is None:
        return kind()
    written = {name: _limit(reader, section, name) for name in names if name in section.entries}
    return kind(**written)


def _limit(reader: Reader, section: Mapping, name: str) -> Any:
    """The value of one constraint: a number for `max_…`, a list of texts for most others."""
    if name.startswith("max_"):
        return reader.integer(section, name, minimum=0, maximum=INTEGER_MAX)
    if name == "isolated":
        return reader.boolean(section, name)
    if name == "deny_path_globs":
        return reader.globs(section, name)
    return reader.words(section, name, empty_allowed=True)  # an empty list: nothing is allowed


def read_remediations(
    reader: Reader, entry: Mapping, rule_id: str | None
) -> tuple[Remediation, ...]:
    """The `remediations` of a rule. Each one must change something of the job."""
    remediations: list[Remediation] = []
    for item in reader.mappings(entry, "remediations", most=REMEDIATIONS_PER_RULE_MAX):
        reader.known_keys(item, Remediation.__struct_fields__, "a remediation")
        remediation_id = reader.identifier(item, "id", "a remediation")
        if remediation_id is not None and rule_id is not None:
            reader.note_place(item.value_of("id"), "remediation", rule_id, remediation_id)
        remediation = Remediation(
            id=remediation_id or "",
            title=reader.text(item, "title") or "",
            summary=reader.text(item, "summary", most=REASON_CHARS_MAX) or "",
            replacement_topic=reader.text(item, "replacement_topic") or "",
            replacement_capability=reader.text(item, "replacement_capability") or "",
            add_labels=reader.text_map(item, "add_labels"),
            remove_labels=reader.words(item, "remove_labels"),
        )
        changes = (
            remediation.replacement_topic
            or remediation.replacement_capability
            or remediation.add_labels
            or remediation.remove_labels
        )
        if not changes:
            hint = "name a topic, capability or labels"
            reader.problem(item, "the remediation changes nothing", hint)
        if any(len(value) > LABEL_VALUE_CHARS_MAX for value in remediation.add_labels.values()):
            message = f"a label value is at most {LABEL_VALUE_CHARS_MAX} characters long"
            reader.problem(item, message)
        if any(other.id == remediation.id for other in remediations):
            reader.problem(item, f"the remediation id `{remediation.id}` is used twice")
        remediations.append(remediation)
    return tuple(remediations)


def read_throttle(reader: Reader, entry: Mapping) -> Throttle | None:
    """The `throttle` of a rule {limit, window, key, sum}: the rule speaks past `limit` actions in
    `window`, or where the sum of the amounts at the path `sum` would pass `limit`."""
    block = reader.section(entry, "throttle", ("limit", "window", "key", "sum"))
    if block is None:
        return None
    path = reader.text(block, "sum") or ""
    if path:
        try:
            compile_amount(path)
        except ArgumentError as cause:
            reader.problem(block.value_of("sum"), f"`sum`: {cause}")
    limit = reader.integer(
        block, "limit", minimum=1, maximum=THROTTLE_SUM_MAX if path else THROTTLE_LIMIT_MAX
    )
    window_ms = _duration_ms(reader, block, "window")
    key = reader.words(block, "key") or ("tenant",)
    for word in key:
        if word in _CLAIMED_KEYS:
            message = f"`{word}` is what the client says, so each new word would get a new counter"
            hint = "count by " + ", ".join(_THROTTLE_KEYS) + " or a label that a credential gives"
            reader.problem(block.value_of("key"), message, hint)
        elif word not in _THROTTLE_KEYS and not word.startswith("labels."):
            hint = did_you_mean(word, (*_THROTTLE_KEYS, "labels.NAME"))
            reader.problem(block.value_of("key"), f"nothing is counted by `{word}`", hint)
    if limit is None or window_ms is None:
        if not {"limit", "window"} <= block.entries.keys():
            reader.problem(block, "`throttle` needs a `limit` and a `window`")
        return None
    return Throttle(limit=limit, window_ms=window_ms, key=key, sum=path)


def read_approval(reader: Reader, entry: Mapping) -> ApprovalTerms | None:
    """The `approval` of a rule {roles, quorum, ttl}: its terms of approval."""
    block = reader.section(entry, "approval", ("roles", "quorum", "ttl"))
    if block is None:
        return None
    return ApprovalTerms(
        roles=reader.words(block, "roles"),
        quorum=reader.integer(block, "quorum", minimum=1, maximum=QUORUM_MAX) or 1,
        ttl_ms=_duration_ms(reader, block, "ttl"),
    )


def _duration_ms(reader: Reader, block: Mapping, key: str) -> int | None:
    """`30s`, `10m`, `4h`, `7d` in milliseconds."""
    text = reader.text(block, key)
    if text is None:
        return None
    parts = _DURATION.fullmatch(text)
    duration_ms = int(parts[1]) * _UNIT_MS[parts[2]] if parts is not None else 0
    if not 0 < duration_ms <= DURATION_MS_MAX:
        hint = "such as 30s, 10m, 4h or 7d"
        reader.problem(block.value_of(key), f"`{key}` is a length of time", hint)
        return None
    return duration_ms
