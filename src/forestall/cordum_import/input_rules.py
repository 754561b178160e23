"""The peer's input rules, tenants and switches → our rules, or a problem with what to write."""

from collections.abc import Sequence
from typing import Any

from forestall.cordum_import.match import converted_texts, converted_topics
from forestall.cordum_import.yaml_writer import (
    ConvertedRule,
    Notes,
    converted_scope,
    converted_words,
    decision_word,
    rule_id_of,
    yaml_flow,
)
from forestall.policy.arguments import ArgumentError, compile_pattern
from forestall.policy.content import PAYLOAD_DETECTORS
from forestall.policy.language.document import Mapping, plain_value
from forestall.policy.language.literals import glob_of_literal
from forestall.policy.language.reader import Reader

_RULE_KEYS = (
    "id",
    "tier",
    "selector",
    "enabled",
    "severity",
    "description",
    "match",
    "decision",
    "reason",
)
_SCANNERS = ("scanners", "detectors")
_SIZES = ("input_size_gt", "max_input_bytes")
MATCH_KEYS = (
    "tenants",
    "topics",
    "capabilities",
    "risk_tags",
    *_SCANNERS,
    "content_patterns",
    "keywords",
    "content_types",
)
_DETECTOR_OF = {
    "prompt-injection": "prompt_injection",
    "secrets": "secret",
    "secret_leak": "secret",
    "path-traversal": "path_traversal",
    "pii": "personal_data",
}
_BYTES_MAX = 2**53 - 1
_NO_SCOPE = "compare the items with `args`, such as args: {$.items[0].category: {in: [food]}}"
_NO_CRITERION = (
    "write it under `rules`; there it decides whatever the content is, so put it before the rule"
    " that allows"
)


def converted_input_rules(reader: Reader, top: Mapping, head_notes: Notes) -> list[ConvertedRule]:
    """Our input rules: one for each of the peer's, or two where its size alone was enough."""
    return [
        rule
        for entry in reader.mappings(top, "input_rules", most=10_000)
        for rule in _rules(reader, entry, head_notes)
    ]


def _rules(reader: Reader, entry: Mapping, head_notes: Notes) -> list[ConvertedRule]:
    notes = Notes()
    if not is_enabled(reader, entry, "input", head_notes, notes):
        return []
    body: dict[str, Any] = {"id": rule_id_of(reader, entry, notes)}
    body["decision"] = _decision(reader, entry, notes)
    converted_words(reader, entry, body, notes)
    block = reader.section(entry, "match")
    if block is None:
        reader.problem(entry, "an input rule without a `match`", _NO_CRITERION)
        return []
    return _by_content(reader, entry, block, body, notes)


def is_enabled(reader: Reader, entry: Mapping, kind: str, head_notes: Notes, notes: Notes) -> bool:
    """Whether a content rule (`kind` is input or output) was in force; a rule that was not is noted
    at the head of the file. Converts the scope of a rule that was."""
    reader.known_keys(entry, _RULE_KEYS, f"the peer's {kind} rule")
    if reader.boolean(entry, "enabled") is False:
        head_notes.add(entry, f"the {kind} rule that stood here was not enabled and is left out")
        return False
    converted_scope(reader, entry, notes)
    return True


def smallest_size(reader: Reader, block: Mapping, keys: Sequence[str]) -> int | None:
    """The smallest of the bounds on the size, in bytes; None without one."""
    sizes = (reader.integer(block, key, minimum=0, maximum=_BYTES_MAX) for key in keys)
    return min((size for size in sizes if size is not None), default=None)


def _decision(reader: Reader, entry: Mapping, notes: Notes) -> str:
    decision = decision_word(reader, entry, notes)
    if decision not in ("deny", "require_approval"):
        hint = "content can only tighten: deny or require_approval"
        reader.problem(entry.value_of("decision"), f"an input rule that says `{decision}`", hint)
    return decision


def _by_content(
    reader: Reader, entry: Mapping, block: Mapping, body: dict[str, Any], notes: Notes
) -> list[ConvertedRule]:
    reader.known_keys(block, (*MATCH_KEYS, *_SIZES, "scope"), "the peer's input `match`")
    fields: dict[str, Any] = {}
    converted_topics(reader, block, fields)
    converted_texts(reader, block, fields, notes)
    if "scope" in block.entries:
        reader.problem(block.key_of("scope"), "`scope` has no counterpart here", _NO_SCOPE)
    criteria = converted_criteria(reader, block, notes, PAYLOAD_DETECTORS)
    if "content_types" in criteria:
        note = "here a prompt alone is text/plain, anything else application/json"
        notes.add(block.key_of("content_types"), note)
    size = smallest_size(reader, block, _SIZES)
    if not criteria and not set(_SIZES) & block.entries.keys() and "scope" not in block.entries:
        reader.problem(block, "an input rule that says nothing of the content", _NO_CRITERION)
    return split_by_size(entry, notes, body, fields, criteria, size)


def split_by_size(
    entry: Mapping,
    notes: Notes,
    body: dict[str, Any],
    fields: dict[str, Any],
    criteria: dict[str, Any],
    size: int | None,
) -> list[ConvertedRule]:
    """The rule with the content criteria, and one with the size, which the peer tested alone."""
    rules = []
    if criteria:
        match = {**fields, **criteria}
        rules.append(ConvertedRule(entry, notes.lines, {**body, "match": match}))
    if size is not None:
        match = {**fields, "size_gt": size}
        by_size = ConvertedRule(entry, notes.lines, {**body, "match": match})
        if criteria:
            why = ["its size alone was enough, so that is a rule of its own here"]
            name = f"{body['id'][:123]}-size"
            by_size = ConvertedRule(entry, why, {**by_size.body, "id": name})
        rules.append(by_size)
    return rules


def converted_criteria(
    reader: Reader, block: Mapping, notes: Notes, allowed: Sequence[str]
) -> dict[str, Any]:
    """Our content criteria without the size. `allowed` are the detectors that the rule may name."""
    criteria: dict[str, Any] = {}
    detectors = _detectors(reader, block, notes, allowed)
    if detectors:
        criteria["detectors"] = detectors
    if "keywords" in block.entries:
        criteria["keywords"] = list(reader.words(block, "keywords"))
    if "content_patterns" in block.entries:
        criteria["patterns"] = _patterns(reader, block)
        notes.add(block.key_of("content_patterns"), "`content_patterns` is `patterns` here")
    if len(criteria) > 1:
        notes.add(block, f"all of {', '.join(criteria)} must find something here")
    if "content_types" in block.entries:
        criteria["content_types"] = [
            glob_of_literal(word) for word in reader.words(block, "content_types")
        ]
    return criteria


def _detectors(reader: Reader, block: Mapping, notes: Notes, allowed: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for key in _SCANNERS:
        if key not in block.entries:
            continue
        for word in reader.words(block, key):
            name = _DETECTOR_OF.get(word, word)
            if name not in allowed:
                hint = f"detectors: {', '.join(allowed)}; or say with `patterns` what it looks for"
                reader.problem(block.value_of(key), f"there is no detector `{word}` here", hint)
                continue
            found[name] = None
            if name != word:
                notes.add(block.value_of(key), f"`{word}` is `{name}` here")
        if key != "detectors":
            notes.add(block.key_of(key), f"`{key}` is `detectors` here")
    return list(found)


def _patterns(reader: Reader, block: Mapping) -> list[str]:
    patterns = list(reader.words(block, "content_patterns"))
    for text in patterns:
        try:
            compile_pattern(text)
        except ArgumentError as cause:
            reader.problem(
                block.value_of("content_patterns"),
                f"`{text[:60]}`: {cause}",
                "the peer left the whole rule out, in silence, for a pattern that it did not take",
            )
    return patterns


# -- what is said about tenants, and what switches things on --


def refused_tenants(reader: Reader, top: Mapping) -> None:
    """Note a problem for each entry under `tenants`, with the rule to write instead."""
    node = top.value_of("tenants")
    tenants = reader.mapping(node, "`tenants`")
    for tenant, (key, value) in tenants.entries.items() if tenants is not None else ():
        block = reader.mapping(value, f"tenant `{tenant}`")
        if block is not None and not block.entries:
            reader.problem(key, f"tenant `{tenant}` says nothing", "leave it out")
        for name, (place, setting) in block.entries.items() if block is not None else ():
            message = f"`{name}` of tenant `{tenant}` is not converted"
            reader.problem(place, message, _instead_of(tenant, name, plain_value(setting)))


def _instead_of(tenant: str, name: str, value: Any) -> str:
    who = f"tenants: {yaml_flow([glob_of_literal(tenant)])}"
    if name in ("allow_topics", "deny_topics"):
        decision = name.partition("_")[0]
        return (
            "the peer read it only where no rule applied; if it is meant, write a rule:"
            f" {{id: {decision}-topics, decision: {decision},"
            f" match: {{{who}, topics: {yaml_flow(value)}}}}}"
        )
    if name == "mcp":
        return (
            "write rules: {id: no-tools, decision: deny,"
            f" match: {{{who}, mcp: {{tools: [name]}}}}}} and the like"
        )
    if name == "max_concurrent_jobs":
        return (
            "nothing enforced it; write it as a constraint of the rules that allow:"
            f" constraints: {{budgets: {{max_concurrent_jobs: {yaml_flow(value)}}}}}"
        )
    if name in ("allowed_repo_hosts", "denied_repo_hosts"):
        return (
            "nothing enforced it; write a rule over the host that is derived from the payload:"
            f" match: {{{who}, labels: {{url_host: {yaml_flow(value)}}}}}"
        )
    return "leave it out"


def noted_switches(reader: Reader, top: Mapping, notes: Notes) -> None:
    """Note that `input_policy` is left out: the peer never read it."""
    if "input_policy" in top.entries:
        notes.add(
            top.key_of("input_policy"),
            "`input_policy` was never read and is left out; input rules are always on here, look at"
            " the whole payload, and what fails denies",
        )
