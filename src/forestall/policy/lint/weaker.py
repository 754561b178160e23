"""What a change of policies can make weaker. Pure; decides nothing.

Everything is reported that is not proven to be at least as strict as before: a rule that tightens
and is gone, asks for less, matches less or stands behind a looser rule; a rule that lets through
and is new or matches more; a weaker default, label trust, derivation or verdict on results. Where a
request can be made whose decision is looser under the new policies, the report shows it.

Not seen: that a rule which failed on an argument of another type, and so denied, is gone; and what
a new version of the engine or of its tables decides otherwise.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import msgspec

from forestall.facts.origin import Origin
from forestall.policy.arguments import names_of_only
from forestall.policy.evaluator import evaluate
from forestall.policy.lint.implication import disjoint, rule_covers
from forestall.policy.lint.weaker_programs import weaker_programs
from forestall.policy.lint.witness import Sample, sample_of
from forestall.policy.problems import PolicyWarning, file_warning, rule_warning
from forestall.policy.rules import (
    ArgCondition,
    Constraints,
    Decision,
    Effect,
    Match,
    Operator,
    OutputRule,
    Policy,
    Rule,
    Verdict,
)
from forestall.policy.snapshot import Snapshot

_VARIANTS_MAX = 32  # requests that are made from one rule
_COMPARED_MAX = 200  # earlier rules with which one rule is compared
# Parts of a policy that are compared one by one. A part that is not here is reported when it
# differs, because nothing is proven of it.
_COMPARED_PARTS = frozenset(
    {
        *("name", "source", "invariants", "priority", "default_decision", "places"),
        *("label_trust", "derivations", "caller_topics", "detect"),
        *("rules", "input_rules", "output_rules", "tests", "output_tests"),
        *("programs", "programs_of", "used_programs"),
    }
)


class _RulePosition(NamedTuple):
    """One rule, the list in which it stands, and its position there."""

    policy: Policy
    rules: Sequence[Rule | OutputRule]
    number: int

    @property
    def rule(self) -> Rule | OutputRule:
        return self.rules[self.number]


def weakened(old: Snapshot, new: Snapshot) -> tuple[PolicyWarning, ...]:
    """All that may be decided less strictly under `new` than under `old`, in the order of the
    files; a rule that is gone is reported at its old place."""
    before, after = _places(old), _places(new)
    found: list[PolicyWarning] = [*_defaults(old, new), *_facts(old, new), *_other_parts(old, new)]
    found.extend(weaker_programs(old, new))
    for rule_id, place in before.items():
        found.extend(_about_old(old, new, place, after.get(rule_id), before))
    for rule_id, place in after.items():
        found.extend(_about_new(old, new, place, before.get(rule_id), before))
    return tuple(sorted(found, key=lambda each: (each.source, each.line, each.code)))


def _places(snapshot: Snapshot) -> dict[str, _RulePosition]:
    found: dict[str, _RulePosition] = {}
    for policy in snapshot.policies:
        lists: list[Sequence[Rule | OutputRule]]
        lists = [policy.rules, policy.input_rules, policy.output_rules]
        for rules in lists:
            for number, rule in enumerate(rules):
                found[rule.id] = _RulePosition(policy, rules, number)
    return found


# -- one rule, before and after --


def _about_old(
    old: Snapshot,
    new: Snapshot,
    was: _RulePosition,
    now: _RulePosition | None,
    before: Mapping[str, _RulePosition],
) -> Iterator[PolicyWarning]:
    """What a rule that tightened no longer does."""
    rule = was.rule
    if rule.decision.strictness == 0:
        return
    if now is None or type(now.rule) is not type(rule):
        text = f"is gone: it said {rule.decision}"
        yield _warning("rule_removed", was, text, _witness(old, new, rule, old))
        return
    if now.rule.decision.strictness < rule.decision.strictness:
        text = f"says {now.rule.decision}, and said {rule.decision}"
        yield _warning("rule_loosened", now, text, _witness(old, new, rule, old))
    else:
        yield from _terms(was, now)
    if not rule_covers(now.rule, rule):
        text = f"may match less than before, and says {rule.decision}"
        yield _warning("rule_shrank", now, text, _witness(old, new, rule, old))
    for other in _looser_before(now):
        if not _was_before(other, rule, before):
            text = (
                f"stands behind the looser rule `{other.id}`, which speaks first where both match"
            )
            yield _warning("rule_hidden", now, text, _witness(old, new, rule, old))


def _about_new(
    old: Snapshot,
    new: Snapshot,
    now: _RulePosition,
    was: _RulePosition | None,
    before: Mapping[str, _RulePosition],
) -> Iterator[PolicyWarning]:
    """What a rule that does not deny lets through, beyond what it did."""
    rule = now.rule
    if rule.decision is Effect.DENY:
        return
    if isinstance(rule, OutputRule) and rule.verdict is not Verdict.ALLOW:
        return
    if isinstance(rule, Rule) and rule.match.content is not None:
        return  # an input rule never stands in for an allow
    if was is None or type(was.rule) is not type(rule):
        text = f"is new and says {rule.decision}"
        yield _warning("rule_added", now, text, _witness(old, new, rule, new))
    elif not rule_covers(was.rule, rule):
        text = f"may match more than before, and says {rule.decision}"
        yield _warning("rule_widened", now, text, _witness(old, new, rule, new))


def _looser_before(place: _RulePosition) -> Iterator[Rule | OutputRule]:
    """The rules before one in its list that are looser and may match the same."""
    rule = place.rule
    of_job = isinstance(rule, Rule)
    for other in islice(reversed(place.rules[: place.number]), _COMPARED_MAX):
        looser = other.decision.strictness < rule.decision.strictness
        if looser and not disjoint(other.match, rule.match, of_job=of_job):
            yield other


def _was_before(
    other: Rule | OutputRule, rule: Rule | OutputRule, before: Mapping[str, _RulePosition]
) -> bool:
    """Whether the other rule stood before this one already, and matches no more than it did."""
    was, was_other = before[rule.id], before.get(other.id)
    return (
        was_other is not None
        and was_other.rules is was.rules
        and was_other.number < was.number
        and was_other.rule.decision.strictness <= other.decision.strictness
        and rule_covers(was_other.rule, other)
    )


def _terms(was: _RulePosition, now: _RulePosition) -> Iterator[PolicyWarning]:
    """Constraints, terms of approval and limits that bind less than before."""
    before, after = was.rule, now.rule
    if not isinstance(before, Rule) or not isinstance(after, Rule):
        return
    for name in ("constraints", "approval", "throttle"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new and not _binds_as_much(name, old, new):
            yield _warning("rule_loosened", now, f"has other `{name}` than before", "")


def _binds_as_much(name: str, old: object, new: object) -> bool:
    """Whether terms are proven to bind at least as much as the old ones."""
    if name == "throttle":
        return new is None  # without a limit the rule throttles always
    if name == "constraints":
        return old is None or old == Constraints()
    return old is None


# -- what holds for all rules --


def _defaults(old: Snapshot, new: Snapshot) -> Iterator[PolicyWarning]:
    if new.default.strictness < old.default.strictness:
        message = f"the default decision is {new.default.value}, and was {old.default.value}"
        yield file_warning("default_loosened", new.policies[0], message)
    kinds = {policy.name: policy.invariants for policy in new.policies}
    for policy in old.policies:
        if policy.invariants and kinds.get(policy.name) is False:
            message = f"`{policy.name}` is no longer a file of invariants"
            yield file_warning("default_loosened", policy, message)
    topics = {glob for policy in old.policies for glob in policy.caller_topics}
    for policy in new.policies:
        for glob in policy.caller_topics:
            if glob not in topics:
                message = f"jobs on `{glob}` are run by their caller, and no worker is offered them"
                yield file_warning("fact_weakened", policy, message)


def _facts(old: Snapshot, new: Snapshot) -> Iterator[PolicyWarning]:
    """Labels that believe more, payloads that are no longer parsed, detectors that know less."""
    first = new.policies[0]
    for label, origin in sorted(old.label_trust.items()):
        trusted = new.label_trust.get(label, Origin.CLAIMED)
        if trusted < origin:
            message = (
                f"the label `{label}` believes {trusted.name.lower()}, and demanded"
                f" {origin.name.lower()}"
            )
            yield file_warning("fact_weakened", first, message)
    derivations = set(new.all_derivations())
    for file, derivation in old.all_derivations():
        if (file, derivation) not in derivations:
            topics = ", ".join(f"`{glob}`" for glob in derivation.topics)
            message = (
                f"payloads on {topics} are no longer read as {derivation.kind} in the same way"
            )
            yield file_warning("fact_weakened", first, message)
    for name in ("internal_hosts", "source_paths"):
        removed = set(getattr(old.detect, name)) - set(getattr(new.detect, name))
        if removed:
            listed = ", ".join(f"`{entry}`" for entry in sorted(removed)[:5])
            yield file_warning("fact_weakened", first, f"`detect.{name}` no longer names {listed}")


def _other_parts(old: Snapshot, new: Snapshot) -> Iterator[PolicyWarning]:
    """Parts of the language of which nothing is proven here."""
    before = {policy.name: policy for policy in old.policies}
    for policy in new.policies:
        was = before.get(policy.name)
        if was is None:
            continue
        for name in Policy.__struct_fields__:
            if name not in _COMPARED_PARTS and getattr(policy, name) != getattr(was, name):
                yield file_warning("fact_weakened", policy, f"`{name}` differs from before")


# -- a request that shows it --


def _witness(old: Snapshot, new: Snapshot, rule: Rule | OutputRule, of: Snapshot) -> str:
    """A request of the rule that is decided more loosely under the new policies, in words; that
    there is none, where that is proven; empty when neither was found."""
    if not isinstance(rule, Rule):
        return ""
    for sample in islice(_samples(of, rule), _VARIANTS_MAX):
        before = evaluate(old, sample.request, now=sample.now)
        after = evaluate(new, sample.request, now=sample.now)
        if after.decision.strictness < before.decision.strictness:
            was, becomes = _decision_in_words(before), _decision_in_words(after)
            return f"{_in_words(sample)}: was {was}, becomes {becomes}"
    if of is old and _nothing_looser(new, rule):
        return "no decision gets weaker by it: nothing looser may match the same now"
    return ""


def _nothing_looser(snapshot: Snapshot, rule: Rule) -> bool:
    """Whether it is proven that no looser rule may speak where this one did."""
    if snapshot.default.strictness < rule.effect.strictness:
        return False
    looser = [
        other
        for layer in snapshot.layers
        for other in layer.rules
        if other.effect.strictness < rule.effect.strictness
    ]
    return len(looser) <= _COMPARED_MAX and all(
        disjoint(other.match, rule.match) for other in looser
    )


def _samples(snapshot: Snapshot, rule: Rule) -> Iterator[Sample]:
    """Requests of a rule: one for each pattern of its topics, tenants, capabilities and labels, and
    for each name under `only`."""
    for match in chain((rule.match,), _variants(rule.match)):
        sample = sample_of(snapshot, msgspec.structs.replace(rule, match=match))
        if sample is not None:
            yield sample


def _variants(match: Match) -> Iterator[Match]:
    for name in ("topics", "tenants", "capabilities", "actor_ids", "risk_tags"):
        for pattern in getattr(match, name)[1:]:
            yield msgspec.structs.replace(match, **{name: (pattern,)})
    for label, globs in match.labels:
        for glob in globs[1:]:
            changed = tuple((n, (glob,) if n == label else g) for n, g in match.labels)
            yield msgspec.structs.replace(match, labels=changed)
    for condition in match.args:  # a member that `only` lists, which no other condition demands
        for name in sorted(names_of_only(condition) or ()):
            path = f"{condition.path}[{json.dumps(name)}]"
            member = ArgCondition(path=path, operator=Operator.EXISTS, operand=True)
            yield msgspec.structs.replace(match, args=(*match.args, member))


def _in_words(sample: Sample) -> str:
    request = sample.request
    facts = [f"topic {request.topic}"]
    for name in ("tenant", "capability", "pack_id", "actor_id", "actor_type", "agent"):
        value = getattr(request, name)
        if value and (name, value) != ("tenant", "default"):
            facts.append(f"{name} {value}")
    facts += [f"{name} {value}" for name, value in sorted(sample.labels.items())]
    facts += [f"risk tag {tag}" for tag in request.risk_tags]
    if request.args is not None:
        facts.append("args " + msgspec.json.encode(request.args).decode()[:120])
    return "for example " + ", ".join(facts)


def _decision_in_words(decision: Decision) -> str:
    who = f"by `{decision.rule_id}`" if decision.rule_id else "by default"
    return f"{decision.decision} {who}"


def _warning(code: str, place: _RulePosition, message: str, hint: str) -> PolicyWarning:
    return rule_warning(code, place.policy, place.rule, message, hint)
