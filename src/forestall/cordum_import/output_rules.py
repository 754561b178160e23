"""The peer's output rules → our rules, or a problem that says what to write."""

from typing import Any

from forestall.cordum_import.input_rules import (
    MATCH_KEYS,
    converted_criteria,
    is_enabled,
    smallest_size,
    split_by_size,
)
from forestall.cordum_import.match import converted_texts, converted_topics
from forestall.cordum_import.yaml_writer import (
    ConvertedRule,
    Notes,
    converted_words,
    rule_id_of,
)
from forestall.policy.language.document import Mapping, plain_value
from forestall.policy.language.reader import Reader
from forestall.policy.rules import Verdict

_SIZES = ("output_size_gt", "max_output_bytes")
_DETECTORS = ("personal_data", "prompt_injection", "secret")
_EVERYTHING = {"topics": ["*"]}


def converted_output_rules(reader: Reader, top: Mapping, head_notes: Notes) -> list[ConvertedRule]:
    """Our output rules: one for each of the peer's, or two where its size alone was enough."""
    entries = list(reader.mappings(top, "output_rules", most=10_000))
    if _switched_off(reader, top, head_notes, len(entries)):
        return []
    return [rule for entry in entries for rule in _rules(reader, entry, head_notes)]


def _switched_off(reader: Reader, top: Mapping, notes: Notes, count: int) -> bool:
    """Whether the peer's output rules were off. They were on if enabled, or without `fail_mode`."""
    if "output_policy" not in top.entries:
        return False
    key, node = top.entries["output_policy"]
    block = reader.mapping(node, "`output_policy`")
    if block is not None:
        reader.known_keys(block, ("enabled", "fail_mode"), "`output_policy`")
    settings = plain_value(block) if block is not None and block.entries else {}
    if settings.get("enabled") is False and ("fail_mode" in settings or not count):
        left = f"; the {count} output rules that it switched off are left out" if count else ""
        notes.add(key, f"`output_policy` was switched off and is left out{left}")
        return True
    if count and settings.get("enabled") is not True and settings:
        notes.add(key, "CHECK THIS: were the output rules in force? Here they are")
    notes.add(
        key,
        "`output_policy` is left out: results are always checked here, secrets are removed where no"
        " rule speaks, and a result that cannot be checked is withheld",
    )
    return False


def _rules(reader: Reader, entry: Mapping, head_notes: Notes) -> list[ConvertedRule]:
    notes = Notes()
    if not is_enabled(reader, entry, "output", head_notes, notes):
        return []
    body: dict[str, Any] = {"id": rule_id_of(reader, entry, notes)}
    verdict = _verdict(reader, entry, notes)
    body["decision"] = verdict.value
    converted_words(reader, entry, body, notes)
    block = reader.section(entry, "match")
    if block is None or not block.entries:
        notes.add(entry, "an output rule without `match` matched every result")
        return [ConvertedRule(entry, notes.lines, {**body, "match": dict(_EVERYTHING)})]
    return _by_content(reader, entry, block, body, notes, verdict)


def _verdict(reader: Reader, entry: Mapping, notes: Notes) -> Verdict:
    if "decision" not in entry.entries:
        notes.add(entry, "the rule had no `decision`")
        return Verdict.QUARANTINE
    word = (reader.text(entry, "decision") or "").strip().lower()
    try:
        return Verdict(word)
    except ValueError:
        notes.add(entry.value_of("decision"), f"`{word}` is `quarantine` here")
        return Verdict.QUARANTINE


def _by_content(
    reader: Reader,
    entry: Mapping,
    block: Mapping,
    body: dict[str, Any],
    notes: Notes,
    verdict: Verdict,
) -> list[ConvertedRule]:
    reader.known_keys(block, (*MATCH_KEYS, *_SIZES, "has_error"), "the peer's output `match`")
    fields: dict[str, Any] = {}
    converted_topics(reader, block, fields)
    converted_texts(reader, block, fields, notes)
    if "capabilities" in block.entries:
        notes.add(block.key_of("capabilities"), "the peer looked at `requires` here as well")
    if "has_error" in block.entries:
        hint = "errors are cleaned by the same rules as results: leave it out"
        reader.problem(block.key_of("has_error"), "`has_error` has no counterpart here", hint)
    criteria = converted_criteria(reader, block, notes, _DETECTORS)
    if "patterns" in criteria:
        note = "the peer took every result for a match of such a rule; here the patterns decide"
        notes.add(block.key_of("content_patterns"), note)
    if "content_types" in criteria:
        note = "here a result that is one text is text/plain, anything else application/json"
        notes.add(block.key_of("content_types"), note)
    size = smallest_size(reader, block, _SIZES)
    match = {**fields, **criteria}
    if criteria and size is not None and verdict is Verdict.ALLOW:
        notes.add(block, "size and content must both fit here: an allow that is narrower")
        match["size_gt"] = size
    elif criteria or size is not None:
        return split_by_size(entry, notes, body, fields, criteria, size)
    return [ConvertedRule(entry, notes.lines, {**body, "match": match or dict(_EVERYTHING)})]
