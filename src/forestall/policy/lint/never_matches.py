"""Refuse rules that provably never match, labels that nobody gives where a rule reads them, and
counters that a client could choose.

A deny that never matches is a hole that looks like a wall, so such a rule is a load error and no
warning. Every refusal is a proof over the rules and derivations of all files together: a rule that
some request may match is never refused. What a proof would need to know of payloads, clocks or
credentials is not proven.
"""

from collections.abc import Iterator, Sequence

from forestall.facts.derive import DERIVED_LABELS, LABELS_OF_KIND, Derivation
from forestall.facts.label_values import CLOSED_VALUES
from forestall.facts.origin import Origin
from forestall.policy.arguments import ORDERED
from forestall.policy.lint.globs import globs_disjoint
from forestall.policy.lint.implication import contradiction
from forestall.policy.problems import Problem, problem_at, rule_problem
from forestall.policy.rules import Match, OutputRule, Place, Policy, Rule, Throttle
from forestall.policy.snapshot import Snapshot

_CLOSE_LENGTH_MIN = 8  # a shorter label is close to too many others
_CLOSE = 0.85  # least similarity of two names for one to be a misspelling, from 0 to 1
_TOPICS_SHOWN_MAX = 5


def never_matching(snapshot: Snapshot, *, wire: bool) -> list[Problem]:
    """A problem for each rule of a snapshot that no request can match as its author means it.

    `wire`: requests come over the wire, so their topics have its grammar (`job.` and words).
    """
    check = _Check(snapshot, wire=wire)
    problems: list[Problem] = []
    for policy in snapshot.policies:
        for rule in policy.all_rules:
            problems.extend(check.problems(policy, rule))
            if isinstance(rule, Rule) and rule.throttle is not None:
                problems.extend(check.counter_problems(policy, rule, rule.throttle))
        problems.extend(check.trust_problems(policy))
    return problems


class _Check:
    """The checks on one snapshot, and what they remember between rules."""

    def __init__(self, snapshot: Snapshot, *, wire: bool) -> None:
        self._wire = wire
        self._derivations = [derivation for _, derivation in snapshot.all_derivations()]
        self._listed = {label for policy in snapshot.policies for label in policy.label_trust}
        self._derived_here: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}
        self._meant: dict[str, str] = {}

    def problems(self, policy: Policy, rule: Rule | OutputRule) -> Iterator[Problem]:
        """Why a rule never matches; at most one problem for each of its conditions."""
        why = contradiction(rule, wire=self._wire)
        if why:
            yield rule_problem(policy, rule, f"never matches: {why}")
        topics = rule.match.topics
        for test in rule.match.tests:
            label = test.label
            if test.operator in ORDERED and label in CLOSED_VALUES:
                yield rule_problem(
                    policy, rule, f"never matches: `{label}` is a word and no number"
                )
        yield from self._label_problems(policy, rule, rule.match, topics)
        if rule.unless is not None:
            yield from self._label_problems(policy, rule, rule.unless, topics)

    def trust_problems(self, policy: Policy) -> Iterator[Problem]:
        """Labels that are to be derived, and that no deriver gives."""
        for label, origin in policy.label_trust.items():
            if origin is Origin.DERIVED and label not in DERIVED_LABELS:
                yield problem_at(
                    policy,
                    policy.places.get(("label", label)),
                    f"no deriver gives the label `{label}`, so `trust: derived` never has a value",
                    self._misspelling(label, listed=False)
                    or "trust `credential` or `server`, or leave it out",
                )

    def counter_problems(self, policy: Policy, rule: Rule, throttle: Throttle) -> Iterator[Problem]:
        """Labels of a throttle's key that give a client a new counter whenever it likes."""
        labels = [key.removeprefix("labels.") for key in throttle.key if key.startswith("labels.")]
        for label in labels:
            if label in DERIVED_LABELS:
                why = f"counts by `{label}`, of which one payload may have several values"
                hint = "match the label instead, and count by tenant, actor_id or agent"
            elif label not in self._listed:
                why = f"counts by the label `{label}`, and each new value gets a new counter"
                hint = (
                    f"say who gives it: labels: {{{label}: {{trust: credential}}}}, or `trust:"
                    " claimed` when a client may choose its counter"
                )
            else:
                continue
            yield rule_problem(policy, rule, why, hint)

    def _label_problems(
        self, policy: Policy, rule: Rule | OutputRule, match: Match, topics: Sequence[str]
    ) -> Iterator[Problem]:
        for label in match.label_names:
            if label not in DERIVED_LABELS:
                hint = self._misspelling(label, listed=True)
                if hint:
                    message = f"rule `{rule.id}` reads the label `{label}`"
                    at_rule = Place(line=max(1, rule.line), column=1)
                    place = policy.places.get(("used label", label), at_rule)
                    yield problem_at(policy, place, message, hint)
        # A label that a file lists may come from a credential, the server or a claim.
        derived = [n for n in match.label_names if n in DERIVED_LABELS and n not in self._listed]
        for label in derived:
            if not self._is_derived(label, tuple(topics), match.topics):
                shown = [f"`{glob}`" for glob in (*topics, *match.topics)[:_TOPICS_SHOWN_MAX]]
                yield rule_problem(
                    policy,
                    rule,
                    f"never matches: nothing derives the label `{label}` on"
                    f" {' or '.join(dict.fromkeys(shown)) or 'any topic'}",
                    "say what the payload is: derive: [{kind: "
                    f"{' or '.join(_kinds_of(label))}, topics: […]}}], or name topics whose"
                    " payloads are parsed",
                )
                return
        if derived and not any(set(derived) <= set(labels) for labels in LABELS_OF_KIND.values()):
            kinds = sorted({_kinds_of(label)[0] for label in derived})
            yield rule_problem(
                policy,
                rule,
                f"never matches: its labels are derived by {' and '.join(kinds)}, and each part of"
                " a payload has the labels of one kind",
                "write a rule for each kind",
            )

    def _is_derived(self, label: str, topics: tuple[str, ...], also: tuple[str, ...]) -> bool:
        """Whether a derivation of the label may apply to a topic of the rule."""
        return any(
            self._meets(derivation, topics) and self._meets(derivation, also)
            for derivation in self._derivations
            if label in LABELS_OF_KIND[derivation.kind]
        )

    def _meets(self, derivation: Derivation, topics: tuple[str, ...]) -> bool:
        if not topics:
            return True
        key = (derivation.topics, topics)
        found = self._derived_here.get(key)
        if found is None:
            apart = globs_disjoint(topics, derivation.topics, topic=self._wire)
            found = self._derived_here[key] = not apart
        return found

    def _misspelling(self, label: str, *, listed: bool) -> str:
        """A hint with the derived label that was probably meant; empty when there is none. With
        `listed` a label that a file lists under `labels` exists, as its author says."""
        if listed and label in self._listed:
            return ""
        if label not in self._meant:
            self._meant[label] = _meant(label)
        meant = self._meant[label]
        if not meant:
            return ""
        return f"did you mean `{meant}`? A label of your own is listed under `labels`"


def _kinds_of(label: str) -> list[str]:
    """The kinds of payload that give a label, in the order in which they are declared."""
    return [kind.value for kind, labels in LABELS_OF_KIND.items() if label in labels]


def _meant(label: str) -> str:
    """The derived label that a name is probably a misspelling of; empty when there is none."""
    from difflib import get_close_matches  # imported here: many policies name no label

    folded = label.lower().replace("-", "_").replace(".", "_")[:80]
    names = sorted(name for name in DERIVED_LABELS if len(name) >= _CLOSE_LENGTH_MIN)
    close = get_close_matches(folded, names, n=1, cutoff=_CLOSE)
    return close[0] if close else ""
