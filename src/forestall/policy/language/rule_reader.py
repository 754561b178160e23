"""Read the rules of a file: `rules`, `input_rules` and `output_rules`.

An input rule looks at the content of a payload; it can tighten and never allow. An output rule
judges a result; it may match on the job alone (for example a topic whose results always need a
person).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from forestall.limits import OUTPUT_RULES_PER_FILE_MAX, REASON_CHARS_MAX, RULES_PER_FILE_MAX
from forestall.policy.language import document
from forestall.policy.language.cordum_hints import PEER_DECISIONS, PEER_RULE_KEYS, PEER_VERDICTS
from forestall.policy.language.match_reader import (
    read_match,
    read_payload_content,
    read_result_content,
)
from forestall.policy.language.reader import Reader
from forestall.policy.language.terms_reader import (
    read_approval,
    read_constraints,
    read_remediations,
    read_throttle,
)
from forestall.policy.rules import ContentMatch, Effect, OutputRule, Rule, Verdict

_SHARED_KEYS = ("id", "decision", "reason", "match", "unless", "owner", "severity")
_RULE_KEYS = (*_SHARED_KEYS, "throttle", "approval", "constraints", "remediations")
_SEVERITIES = ("low", "medium", "high", "critical")
_INPUT_EFFECTS = (Effect.DENY, Effect.REQUIRE_APPROVAL)


_ContentReader = Callable[[Reader, document.Mapping], ContentMatch | None]


class _DecisionWords(NamedTuple):
    """The words that a rule may say under `decision`, and hints for words of another language."""

    allowed: tuple[str, ...]
    instead: Mapping[str, str]


class RuleReader:
    """Reads the rules of one file, whose ids are distinct over its three lists."""

    def __init__(self, reader: Reader, top: document.Mapping) -> None:
        self._reader, self._top = reader, top
        self._first_line: dict[str, int] = {}  # of each rule id

    def rules(self) -> tuple[Rule, ...]:
        """The rules under `rules`."""
        entries = self._reader.mappings(self._top, "rules", most=RULES_PER_FILE_MAX)
        read = (self._rule(entry, tuple(Effect), None) for entry in entries)
        return tuple(rule for rule in read if rule is not None)

    def input_rules(self) -> tuple[Rule, ...]:
        """The rules under `input_rules`."""
        entries = self._reader.mappings(self._top, "input_rules", most=RULES_PER_FILE_MAX)
        read = (self._rule(entry, _INPUT_EFFECTS, read_payload_content) for entry in entries)
        return tuple(rule for rule in read if rule is not None)

    def output_rules(self) -> tuple[OutputRule, ...]:
        """The rules under `output_rules`."""
        entries = self._reader.mappings(self._top, "output_rules", most=OUTPUT_RULES_PER_FILE_MAX)
        read = (self._output_rule(entry) for entry in entries)
        return tuple(rule for rule in read if rule is not None)

    def _output_rule(self, entry: document.Mapping) -> OutputRule | None:
        reader = self._reader
        reader.known_keys(entry, _SHARED_KEYS, "an output rule", PEER_RULE_KEYS)
        rule_id = reader.identifier(entry, "id", "an output rule")
        words = _DecisionWords(tuple(Verdict), PEER_VERDICTS)
        decision, shared = self._shared_fields(entry, words, read_result_content)
        if rule_id is None or decision is None or shared["match"] is None:
            return None
        self._note_id(entry, rule_id)
        return OutputRule(id=rule_id, verdict=Verdict(decision), **shared)

    def _rule(
        self, entry: document.Mapping, effects: tuple[Effect, ...], content: _ContentReader | None
    ) -> Rule | None:
        reader = self._reader
        reader.known_keys(entry, _RULE_KEYS, "a rule", PEER_RULE_KEYS)
        rule_id = reader.identifier(entry, "id", "a rule")
        words = _DecisionWords(effects, PEER_DECISIONS)
        decision, shared = self._shared_fields(entry, words, content)
        throttle, approval = read_throttle(reader, entry), read_approval(reader, entry)
        constraints = read_constraints(reader, entry)
        remediations = read_remediations(reader, entry, rule_id)
        if rule_id is None or decision is None or shared["match"] is None:
            return None
        effect = Effect(decision)
        for name, owner in (("throttle", Effect.THROTTLE), ("approval", Effect.REQUIRE_APPROVAL)):
            if name in entry.entries and effect is not owner:
                message = f"`{name}` belongs to a rule that says `{owner}`"
                reader.problem(entry.key_of(name), message)
        if constraints is not None and effect is Effect.DENY:
            message = "nothing runs after a deny, so its constraints bind nobody"
            reader.problem(entry.key_of("constraints"), message)
            return None
        if constraints is not None and effect is Effect.ALLOW:
            effect = Effect.ALLOW_WITH_CONSTRAINTS
        if constraints is None and effect is Effect.ALLOW_WITH_CONSTRAINTS:
            reader.problem(entry, "`allow_with_constraints` without `constraints`", "say `allow`")
            return None
        self._note_id(entry, rule_id)
        return Rule(
            id=rule_id,
            effect=effect,
            throttle=throttle,
            approval=approval,
            constraints=constraints,
            remediations=remediations,
            **shared,
        )

    def _shared_fields(
        self,
        entry: document.Mapping,
        words: _DecisionWords,
        content: _ContentReader | None,
    ) -> tuple[str | None, dict[str, Any]]:
        """The decision of a rule as written, and the fields that every kind of rule has. Decision
        and match are None where they are missing or wrong, which is a problem."""
        reader = self._reader
        decision = reader.word(entry, "decision", words.allowed, words.instead)
        if "decision" not in entry.entries:
            reader.problem(
                entry, "the rule has no `decision`", f"one of: {', '.join(words.allowed)}"
            )
        fields = {
            "match": read_match(reader, entry, content=content),
            "unless": read_match(reader, entry, "unless") if "unless" in entry.entries else None,
            "reason": reader.text(entry, "reason", most=REASON_CHARS_MAX) or "",
            "owner": reader.text(entry, "owner") or "",
            "severity": reader.word(entry, "severity", _SEVERITIES) or "",
            "line": entry.line,
        }
        return decision, fields

    def _note_id(self, entry: document.Mapping, rule_id: str) -> None:
        """Note where a rule id stands; a problem when the id was used before."""
        if rule_id in self._first_line:
            message = f"the rule id `{rule_id}` is used twice"
            hint = f"first on line {self._first_line[rule_id]}"
            self._reader.problem(entry.value_of("id"), message, hint)
        self._first_line.setdefault(rule_id, entry.line)
