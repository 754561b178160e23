"""The compiled, content-addressed form of policies: rule lists, layers, snapshot. No I/O.

`compile_policy` makes a snapshot and rejects policies that clash; evaluate, explain and lint read
it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from forestall.canonical import canonical_struct, digest
from forestall.facts.derive import DEFAULT_DERIVATIONS, DERIVED_LABELS, Derivation
from forestall.facts.origin import Origin
from forestall.policy.arguments import ArgumentError
from forestall.policy.calendar import CalendarError, zone_rules_version
from forestall.policy.claims import attestation_check, sure_exception
from forestall.policy.fields import Labels
from forestall.policy.finding_names import class_of
from forestall.policy.foreign_labels import ForeignLabels, accepted_labels, foreign_labels
from forestall.policy.globs import compile_globs
from forestall.policy.index import LayerIndex
from forestall.policy.output_rules import OutputRules
from forestall.policy.own_programs import without_examples
from forestall.policy.read_set import ReadSet
from forestall.policy.request import Request
from forestall.policy.rule_conditions import amount_test, residual_tests, rule_clauses
from forestall.policy.rules import (
    Clause,
    Detect,
    Effect,
    OutputRule,
    OwnProgram,
    Policy,
    Rule,
)

_RuleT = TypeVar("_RuleT", Rule, OutputRule)

# To be raised whenever the same policy and request may lead to another decision than before: the
# engine version is part of the digest.
ENGINE_VERSION = 5


class RuleError(Exception):
    """A rule cannot be evaluated on a request. Names the rule, the path and types, never a value.

    `clause` is the clause that failed, with the cause as what was found.
    """

    def __init__(self, rule: Rule, clause: Clause, cause: Exception) -> None:
        super().__init__(f"rule `{rule.id}`: {cause}")
        self.rule_id = rule.id
        self.clause = replace(clause, found=(str(cause),))


def _rule_error(
    rule: Rule, request: Request, labels: Labels, now: datetime, cause: Exception
) -> RuleError:
    """The error of a rule whose residual tests raised `cause`, with the clause that did so."""
    for each in rule_clauses(rule):
        try:
            each.holds(request, labels, now)
        except (ArgumentError, CalendarError) as again:
            return RuleError(rule, each.clause, again)
    return RuleError(rule, Clause(field="", wanted=()), cause)


class RuleList:
    """Rules in their written order. The first rule whose every clause holds speaks for the list,
    and before it, without hiding it, each rule that holds because of something unsure (`claims`).
    `foreign` are the labels that are foreign to the file of the list."""

    __slots__ = ("_amounts", "_claims", "_residual", "index", "rules")

    def __init__(self, rules: Sequence[Rule], foreign: ForeignLabels | None = None) -> None:
        self.rules = tuple(rules)
        self.index = LayerIndex([rule.match for rule in rules])
        self._claims = {
            number: check
            for number, rule in enumerate(rules)
            if (check := attestation_check(rule, foreign)) is not None
        }
        self._residual = {
            number: tests
            for number, rule in enumerate(rules)
            if (tests := residual_tests(sure_exception(rule, foreign)))
        }
        self._amounts = {
            number: clause.holds
            for number, rule in enumerate(rules)
            if (clause := amount_test(rule)) is not None
        }

    @property
    def on_foreign_labels(self) -> dict[str, ForeignLabels]:
        """The rules that read a label that may be foreign to their file, by their ids."""
        return {
            self.rules[number].id: check.foreign
            for number, check in self._claims.items()
            if check.foreign is not None
        }

    def speaker(
        self,
        request: Request,
        labels: Labels,
        now: datetime,
        lifted: frozenset[str],
        on_claims: list[Rule],
    ) -> Rule | None:
        """The first rule whose every clause holds under this label view, whatever is not sure;
        None when there is none. Rules before it that rest on something unsure are appended to
        `on_claims`: they speak beside it (`claims`).

        A throttle rule named by `lifted` does not speak. Raises RuleError when a clause that is
        reached cannot be evaluated.
        """
        claims = self._claims
        for number in self.index.candidates(request, labels):
            tests = self._residual.get(number)
            check = claims.get(number) if claims else None
            rule = self.rules[number]
            speaks: bool | None = True
            if tests is not None or check is not None:
                try:
                    if tests and not all(holds(request, labels, now) for holds in tests):
                        continue
                    if check is not None:
                        speaks = check.speaks(request, labels, now)
                except (ArgumentError, CalendarError) as cause:
                    raise _rule_error(rule, request, labels, now, cause) from cause
            if speaks is None:
                continue
            if rule.throttle is not None:
                self._require_amount(number, request, labels, now)
                if rule.id in lifted:
                    continue
            if speaks:
                return rule
            on_claims.append(rule)
        return None

    def _require_amount(self, number: int, request: Request, labels: Labels, now: datetime) -> None:
        """Raises RuleError when the rule adds up amounts and the one of this request cannot be."""
        amount = self._amounts.get(number)
        if amount is not None:
            try:
                amount(request, labels, now)
            except ArgumentError as cause:
                raise _rule_error(self.rules[number], request, labels, now, cause) from cause


class Layer:
    """One policy file as a layer: a list of its rules and a list of its input rules.

    Each list has its own first speaker, so that an ordinary allow never hides an input rule.
    """

    __slots__ = ("lists", "name")

    def __init__(self, policy: Policy, foreign: ForeignLabels | None = None) -> None:
        self.name = policy.name
        self.lists = tuple(
            RuleList(rules, foreign) for rules in (policy.rules, policy.input_rules) if rules
        )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of the layer, input rules last."""
        return tuple(rule for each in self.lists for rule in each.rules)


class Snapshot:
    """A compiled, content-addressed set of policies. Immutable once made.

    `digest` is SHA-256 (hex) over all that can change a decision: layers in order, rules, label
    trust, derivations, accepted labels, own programs, output rules, data of the detectors that
    rules name, default, engine version and fail mode. `reads` is what the rules read of a request;
    `foreign_of_rule` has the rules that read a label that may be foreign to their file;
    `clauses_of_rule` keeps the clauses of rules in words.
    """

    __slots__ = (
        "_approval_texts",
        "_caller_topics",
        "clauses_of_rule",
        "default",
        "detect",
        "digest",
        "foreign_of_rule",
        "label_trust",
        "layers",
        "output",
        "policies",
        "reads",
    )

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = tuple(policies)
        foreign = foreign_labels(policies)
        self.layers = tuple(Layer(*each) for each in zip(policies, foreign, strict=True))
        self.default = _combined_default(policies)
        self.label_trust = _combined_trust(policies)
        self._caller_topics = compile_globs(
            [glob for policy in policies for glob in policy.caller_topics]
        )
        self.reads = ReadSet(policies)
        self.output = OutputRules(policies, foreign)
        self.foreign_of_rule = self.output.on_foreign_labels
        for layer in self.layers:
            for each in layer.lists:
                self.foreign_of_rule.update(each.on_foreign_labels)
        self.detect = _combined_detect(policies)
        self.digest = _snapshot_digest(self)
        # Filled by evaluate, one entry for each rule that spoke.
        self.clauses_of_rule: dict[str, tuple[Clause, ...]] = {}
        self._approval_texts: dict[str, str] | None = None

    @property
    def rule_count(self) -> int:
        """The number of rules over all layers, without output rules."""
        return sum(len(layer.rules) for layer in self.layers)

    @property
    def without_default_derivations(self) -> tuple[str, ...]:
        """The names of the files for whose rules the default derivations derive nothing."""
        return tuple(
            policy.name for policy in self.policies if policy.danger_no_default_derivations
        )

    def all_derivations(self) -> Iterator[tuple[str, Derivation]]:
        """Every derivation in force, with the name of its file; empty for the default ones."""
        if len(self.without_default_derivations) < len(self.policies):
            yield from (("", derivation) for derivation in DEFAULT_DERIVATIONS)
        for policy in self.policies:
            yield from ((policy.name, derivation) for derivation in policy.derivations)

    def approval_text(self, rule_ids: Iterable[str]) -> str:
        """SHA-256 (hex) over the text of those of these rules that require an approval. Equal under
        two snapshots: the rules that ask a person read the same in both. Lines are left out."""
        if self._approval_texts is None:  # made when it is first asked for: few snapshots need it
            self._approval_texts = {
                rule.id: digest("rule", canonical_struct(replace(rule, line=0)))
                for layer in self.layers
                for rule in layer.rules
                if rule.effect is Effect.REQUIRE_APPROVAL
            }
        texts = self._approval_texts
        found = sorted(texts[rule_id] for rule_id in set(rule_ids) if rule_id in texts)
        return digest("rules", "\n".join(found).encode())

    def is_run_by_caller(self, topic: str) -> bool:
        """Whether the submitter of a job on this topic runs it itself, and no worker does."""
        return self._caller_topics(topic)


def _combined_default(policies: Sequence[Policy]) -> Effect:
    """Allow only when every ordinary file says so and no invariants file says deny.

    A file without a default means deny, so adding a file can tighten the default and never loosen
    it. A file that only defines names says nothing of it.
    """
    ordinary = [policy for policy in policies if not policy.invariants and not policy.only_names]
    allowed = bool(ordinary) and all(p.default_decision is Effect.ALLOW for p in ordinary)
    forbidden = any(p.invariants and p.default_decision is Effect.DENY for p in policies)
    return Effect.ALLOW if allowed and not forbidden else Effect.DENY


def _combined_trust(policies: Sequence[Policy]) -> dict[str, Origin]:
    """For each label the strongest origin that any file demands. A file demands the origin
    `derived` of the labels that a deriver sets, unless it lists them: listing one in a file lowers
    nothing for the rules of another."""
    trust: dict[str, Origin] = {}
    for policy in policies:
        for label, origin in policy.label_trust.items():
            trust[label] = max(origin, trust.get(label, Origin.CLAIMED))
    for label in DERIVED_LABELS:
        if not policies or any(label not in policy.label_trust for policy in policies):
            trust[label] = max(Origin.DERIVED, trust.get(label, Origin.CLAIMED))
    return trust


def _combined_detect(policies: Sequence[Policy]) -> Detect:
    """Internal hosts and source paths of all files together."""
    return Detect(
        internal_hosts=_union(policy.detect.internal_hosts for policy in policies),
        source_paths=_union(policy.detect.source_paths for policy in policies),
    )


def _union(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({word for words in lists for word in words}))


class _DigestedContent(msgspec.Struct, frozen=True, kw_only=True):
    """What the digest covers. Field names are part of it: renaming one changes every digest."""

    engine: int
    fail_mode: str
    time_zones: str  # edition of the time zone rules; empty when no rule reads the time
    default: str
    layers: tuple[tuple[str, bool, int, tuple[Rule, ...], tuple[Rule, ...]], ...]
    label_trust: tuple[tuple[str, int], ...]
    # of each layer: its derivations, and whether the default ones derive nothing for its rules
    derivations: tuple[tuple[tuple[Derivation, ...], bool], ...]
    caller_topics: tuple[str, ...]
    output_rules: tuple[tuple[OutputRule, ...], ...]  # in the order of the layers
    detect: Detect
    # Digests of the data of built-in detectors that rules name; left out when no rule names one.
    detectors: tuple[tuple[str, str], ...] | msgspec.UnsetType = msgspec.UNSET
    # Of each layer: the own programs by which it reads commands; left out when there is none.
    programs: tuple[tuple[OwnProgram, ...], ...] | msgspec.UnsetType = msgspec.UNSET
    # Of each layer: the labels that it accepts from every file; left out when no file derives one
    # for another.
    accepted: tuple[tuple[str, ...], ...] | msgspec.UnsetType = msgspec.UNSET


def _named_detectors(snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Each built-in detector that an input or output rule names, and the digest of its data."""
    # Imported here: many policies name no detector, and an agent's client has none to load.
    from forestall.output.detectors import DETECTORS, data_digest

    rules = [rule for policy in snapshot.policies for rule in policy.input_rules]
    contents = [rule.match.content for rule in rules if rule.match.content is not None]
    named = {class_of(name) for content in contents for name in content.detectors}
    return tuple(
        (name, data_digest(name))
        for name in sorted(named | snapshot.output.classes)
        if name in DETECTORS
    )


def _without_lines(rules: Sequence[_RuleT]) -> tuple[_RuleT, ...]:
    """The rules without their lines: moving a rule in its file changes no decision."""
    return tuple(replace(rule, line=0) for rule in rules)


def _snapshot_digest(snapshot: Snapshot) -> str:
    """The digest. The order of the rules counts, their lines do not."""
    policies = snapshot.policies
    programs = tuple(without_examples(policy.all_programs) for policy in policies)
    accepted = tuple(tuple(sorted(accepted_labels(policy))) for policy in policies)
    reads_time = snapshot.reads.time or snapshot.output.reads.time
    content = _DigestedContent(
        engine=ENGINE_VERSION,
        fail_mode="closed",
        time_zones=zone_rules_version() if reads_time else "",
        default=snapshot.default.value,
        layers=tuple(
            (
                policy.name,
                policy.invariants,
                policy.priority,
                _without_lines(policy.rules),
                _without_lines(policy.input_rules),
            )
            for policy in policies
        ),
        label_trust=tuple(
            sorted((label, int(origin)) for label, origin in snapshot.label_trust.items())
        ),
        derivations=tuple(
            (policy.derivations, policy.danger_no_default_derivations) for policy in policies
        ),
        caller_topics=tuple(sorted({glob for policy in policies for glob in policy.caller_topics})),
        output_rules=tuple(_without_lines(policy.output_rules) for policy in policies),
        detect=snapshot.detect,
        detectors=_named_detectors(snapshot) or msgspec.UNSET,
        programs=programs if any(programs) else msgspec.UNSET,
        accepted=accepted if any(accepted) and any(foreign_labels(policies)) else msgspec.UNSET,
    )
    return digest("policy-snapshot", canonical_struct(content))
