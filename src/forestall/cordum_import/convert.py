"""A policy file of the peer → one of ours, as text. Nothing is dropped in silence.

A part with the same meaning is copied. A part that is written differently here is converted, with a
comment that names its line in the source. A part without a counterpart is a problem at its place,
and then no text results.
"""

import re
from typing import Any

from forestall.cordum_import.input_rules import (
    converted_input_rules,
    noted_switches,
    refused_tenants,
)
from forestall.cordum_import.match import converted_match
from forestall.cordum_import.output_rules import converted_output_rules
from forestall.cordum_import.yaml_writer import (
    ConvertedRule,
    Notes,
    converted_scope,
    decision_word,
    rule_id_of,
    yaml_flow,
)
from forestall.policy.language.document import Mapping, Node, Scalar, parse_document, plain_value
from forestall.policy.language.policy_file import load_policy
from forestall.policy.language.reader import Reader

_TOP_KEYS = (
    "version",
    "tier",
    "selector",
    "default_tenant",
    "default_decision",
    "rules",
    "input_policy",
    "input_rules",
    "output_policy",
    "output_rules",
    "tenants",
)
_RULE_KEYS = (
    "id",
    "tier",
    "selector",
    "match",
    "velocity",
    "decision",
    "reason",
    "constraints",
    "remediations",
)
_VELOCITY_KEYS = ("tenant", "topic", "actor_id", "pack_id", "capability")
_HEAD = """\
# Converted from {source} by `forestall policy convert`.
# Every rule is one list here: a label of an MCP call no longer leads past the other rules.
# Names are compared as written, upper and lower case apart.
"""


def convert(data: bytes, *, source: str) -> str:
    """The text of our policy for the peer's file, with a comment for each change.

    Raises PolicyError with every place that has no counterpart.
    """
    root, lines = parse_document(data, source)
    reader = Reader(source, lines)
    text = ""
    if root is None:
        reader.problem(None, "the file is empty")
    else:
        top = reader.mapping(root, "a policy file")
        text = _converted(reader, top) if top is not None else ""
    reader.raise_problems()
    load_policy(text.encode(), source=f"{source} (converted)")
    return text


def _converted(reader: Reader, top: Mapping) -> str:
    reader.known_keys(top, _TOP_KEYS, "the peer's policy file")
    notes = Notes()
    converted_scope(reader, top, notes)
    noted_switches(reader, top, notes)
    if "tenants" in top.entries and plain_value(top.value_of("tenants")):
        refused_tenants(reader, top)
    elif "tenants" in top.entries:
        notes.add(top.key_of("tenants"), "`tenants` is empty and left out")
    if "default_tenant" in top.entries:
        key_node = top.key_of("default_tenant")
        notes.add(key_node, "`default_tenant` is left out: the API key names the tenant")
    body: dict[str, Any] = {}
    if "version" in top.entries:
        body["version"] = reader.text(top, "version") or ""
    body["default_decision"] = _default(reader, top, notes)
    lists = {
        "rules": _rules(reader, top),
        "input_rules": converted_input_rules(reader, top, notes),
        "output_rules": converted_output_rules(reader, top, notes),
    }
    _distinct(reader, [rule for each in lists.values() for rule in each])
    parts = [_HEAD.format(source=" ".join(reader.source.split())), *_comments(notes.lines, "")]
    parts += [f"{key}: {yaml_flow(value)}\n" for key, value in body.items()]
    for key, rules in lists.items():
        if rules:
            parts.append(f"\n{key}:\n")
        for rule in rules:
            parts += _comments(rule.notes, "  ")
            opening = "  - "
            for name, value in rule.body.items():
                parts.append(f"{opening}{name}: {yaml_flow(value)}\n")
                opening = "    "
    return "".join(parts)


def _comments(notes: list[str], indent: str) -> list[str]:
    return [f"{indent}# {note}\n" for note in notes]


def _default(reader: Reader, top: Mapping, notes: Notes) -> str:
    word = reader.text(top, "default_decision")
    if word not in (None, "allow", "deny"):
        notes.add(top.value_of("default_decision"), f"`{word}` meant deny")
    return "allow" if word == "allow" else "deny"


# -- rules --


def _rules(reader: Reader, top: Mapping) -> list[ConvertedRule]:
    return [_rule(reader, entry) for entry in reader.mappings(top, "rules", most=10_000)]


def _distinct(reader: Reader, rules: list[ConvertedRule]) -> None:
    """Note a problem for every id that is used twice."""
    taken: dict[str, int] = {}
    for rule in rules:
        name = str(rule.body["id"])
        if name in taken:
            reader.problem(
                rule.place, f"the rule id `{name}` is used twice", f"first on line {taken[name]}"
            )
        taken.setdefault(name, rule.place.line)


def _rule(reader: Reader, entry: Mapping) -> ConvertedRule:
    reader.known_keys(entry, _RULE_KEYS, "the peer's rule")
    notes = Notes()
    converted_scope(reader, entry, notes)
    body: dict[str, Any] = {"id": rule_id_of(reader, entry, notes)}
    decision = decision_word(reader, entry, notes)
    constraints = _passed_on(entry, "constraints")
    if decision == "deny" and constraints:
        notes.add(entry.key_of("constraints"), "constraints of a deny bind nobody: left out")
        constraints = None
    if decision == "allow_with_constraints" and not constraints:
        notes.add(entry, "`allow_with_constraints` without constraints is `allow`")
        decision = "allow"
    body["decision"] = decision
    reason = reader.text(entry, "reason", most=None)
    if reason:
        body["reason"] = reason
    match, unless = converted_match(reader, entry, decision, notes)
    body["match"] = match
    if unless:
        body["unless"] = unless
    throttle = _velocity(reader, entry, decision, notes)
    if throttle:
        body["throttle"] = throttle
    if constraints:
        body["constraints"] = constraints
    remediations = _passed_on(entry, "remediations")
    if remediations:
        body["remediations"] = remediations
    return ConvertedRule(entry, notes.lines, body)


def _passed_on(entry: Mapping, key: str) -> Any:
    """A block with the same spelling here; our reader checks its content."""
    if key not in entry.entries:
        return None
    return _exact_value(entry.value_of(key))


def _exact_value(node: Node) -> Any:
    """The value of a node. A text that is no plain number or word stays a text."""
    if isinstance(node, Scalar):
        value = plain_value(node) if node.plain else node.text
        # `007` is a text, not the number 7
        return value if yaml_flow(value) == node.text else node.text
    if isinstance(node, Mapping):
        return {key: _exact_value(value) for key, (_, value) in node.entries.items()}
    return [_exact_value(item) for item in getattr(node, "items", ())]


def _velocity(reader: Reader, entry: Mapping, decision: str, notes: Notes) -> dict[str, Any] | None:
    block = reader.section(entry, "velocity")
    if block is None:
        return None
    key_node = entry.key_of("velocity")
    reader.known_keys(block, ("max_requests", "window_seconds", "key"), "`velocity`")
    limit = reader.integer(block, "max_requests", minimum=1, maximum=1_000_000)
    window = reader.integer(block, "window_seconds", minimum=1, maximum=86_400)
    if limit is None or window is None:
        reader.problem(block, "`velocity` needs `max_requests` and `window_seconds`")
        return None
    if decision != "throttle":
        hint = "only `decision: throttle` counts here; write it as a rule of its own"
        reader.problem(key_node, f"`velocity` on a rule that says `{decision}`", hint)
        return None
    keys = _velocity_keys(reader, block, notes)
    if not keys:
        return None
    notes.add(key_node, "`velocity` is `throttle` here")
    minutes = window % 60 == 0 and window >= 60
    return {"limit": limit, "window": f"{window // 60}m" if minutes else f"{window}s", "key": keys}


def _velocity_keys(reader: Reader, block: Mapping, notes: Notes) -> list[str]:
    """The keys that a velocity rule counts separately; several names are joined by `:`."""
    if "key" not in block.entries:
        notes.add(block, "`velocity` without a `key` counted nothing; here it counts by tenant")
        return ["tenant"]
    keys = []
    for written in (reader.text(block, "key") or "").split(":"):
        if written in _VELOCITY_KEYS or re.fullmatch(r"labels\.\S+", written):
            keys.append(written)
        else:
            hint = f"known: {', '.join(_VELOCITY_KEYS)}, labels.NAME"
            reader.problem(block.value_of("key"), f"nothing is counted by `{written}` here", hint)
    return keys
