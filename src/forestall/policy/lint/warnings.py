"""Warn about rules that load and do not mean what their author thinks. Pure; decides nothing.

A warning is never a guess: it rests on a proof over the rules, or on a request made from the rule
whose decision shows the fault. Without either there is no warning.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from forestall.facts.derive import DERIVED_LABELS, LABELS_OF_KIND, PayloadKind
from forestall.policy.claims import attestation_check, claimed_in
from forestall.policy.evaluator import evaluate
from forestall.policy.globs import compile_globs
from forestall.policy.index import LayerIndex
from forestall.policy.label_views import views_of
from forestall.policy.lint.globs import can_match
from forestall.policy.lint.implication import rule_covers
from forestall.policy.lint.remediations import Remedies, speaker_in_words
from forestall.policy.lint.witness import Sample, fields_sample, sample_of
from forestall.policy.problems import PolicyWarning, file_warning, rule_warning
from forestall.policy.request import Request
from forestall.policy.rules import Effect, Match, OutputRule, Policy, Rule, Verdict
from forestall.policy.snapshot import Snapshot

_CANDIDATES_MAX = 32  # how many earlier rules are compared with one rule
_COMMAND_KINDS = (PayloadKind.SHELL, PayloadKind.CLUSTER)
_COMMAND_LABELS = {label for kind in _COMMAND_KINDS for label in LABELS_OF_KIND[kind]}
_CLAIMED_FIELDS = {
    "capabilities": "capability",
    "pack_ids": "pack_id",
    "actor_types": "actor_type",
    "risk_tags": "risk_tags",
    "requires": "requires",
}
_CLASS_LABELS = frozenset(label for label in DERIVED_LABELS if label.endswith("_class"))
# No deriver can read the prompt, and no default derivation reads a place of this name.
_UNREADABLE = {"prompt": "unreadable (", "context": {"unread": "unreadable ("}}
_ALLOWS: frozenset[Effect | Verdict]
_ALLOWS = frozenset({Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS, Verdict.ALLOW})


def analyse(snapshot: Snapshot) -> tuple[PolicyWarning, ...]:
    """Every warning about the policies of a snapshot, in the order of the files."""
    warnings: list[PolicyWarning] = []
    remedies = Remedies(snapshot)
    for policy, layer in zip(snapshot.policies, snapshot.layers, strict=True):
        lists: list[tuple[Sequence[Rule | OutputRule], LayerIndex]]
        lists = [(each.rules, each.index) for each in layer.lists]
        lists.append((policy.output_rules, LayerIndex([r.match for r in policy.output_rules])))
        for rules, index in lists:
            for number in range(len(rules)):
                warnings += _about_rule(snapshot, remedies, policy, rules, index, number)
        warnings += _unused(snapshot, policy)
        warnings += _unknown_allowed(snapshot, policy)
        warnings += _unshared_programs(snapshot, policy)
    return tuple(sorted(warnings, key=lambda each: (each.source, each.line, each.code)))


def _about_rule(
    snapshot: Snapshot,
    remedies: Remedies,
    policy: Policy,
    rules: Sequence[Rule | OutputRule],
    index: LayerIndex,
    number: int,
) -> Iterator[PolicyWarning]:
    """Every warning about one rule of a list; about a rule that never speaks, only that."""
    rule = rules[number]
    shadow = _shadow(snapshot, rules, index, number)
    if shadow is not None:
        yield rule_warning(
            "shadowed",
            policy,
            rule,
            f"never speaks: rule `{shadow.id}` on line {shadow.line} matches first whatever"
            " this one matches",
            "put it before that rule, or leave it out",
        )
        return
    yield from _on_claim(snapshot, policy, rule)
    yield from _on_foreign_label(snapshot, policy, rule)
    if isinstance(rule, OutputRule) or (rule.effect in _ALLOWS and not rule.remediations):
        return
    sample = sample_of(snapshot, rule)
    if sample is not None:
        if rule.effect not in _ALLOWS:
            yield from _dodges(snapshot, policy, rule, sample)
        yield from _remediations(remedies, policy, rule, sample)


# -- rules that never speak --


def _shadow(
    snapshot: Snapshot, rules: Sequence[Rule | OutputRule], index: LayerIndex, number: int
) -> Rule | OutputRule | None:
    """An earlier rule of the list that is proven to speak wherever this rule would, or None."""
    rule = rules[number]
    sample = fields_sample(snapshot, rule.match)
    if sample is None:
        return None
    # A rule that covers this one matches each of its requests, hence also the sample.
    candidates = index.candidates(sample.request, sample.labels)
    for earlier in islice(candidates, _CANDIDATES_MAX):
        if earlier >= number:
            return None
        other = rules[earlier]
        # A throttle rule is silent below its limit, and a rule on something unsure hides no other.
        throttled = isinstance(other, Rule) and other.throttle is not None
        rests = attestation_check(other) is not None or other.id in snapshot.foreign_of_rule
        if not throttled and not rests and rule_covers(other, rule):
            return other
    return None


# -- what a client says --


def _on_claim(
    snapshot: Snapshot, policy: Policy, rule: Rule | OutputRule
) -> Iterator[PolicyWarning]:
    if rule.decision not in _ALLOWS:
        return
    claims = [f"`{field.name}`" for field in claimed_in(rule.match)]
    if claims:
        yield rule_warning(
            "allow_on_claim",
            policy,
            rule,
            f"allows nothing by itself: {' and '.join(claims)} is what the client says, and a claim"
            " never loosens",
            "match what it cannot choose, or register the topic with its pack and risk tags",
        )
        return
    labels = _claimed_labels(snapshot, rule.match)
    if labels:
        also = [name for name in _CLAIMED_FIELDS if getattr(rule.match, name)]
        beside = f" (and `{'`, `'.join(also)}`)" if also else ""
        message = f"allows whoever claims {_listed(labels)}{beside}"
        yield rule_warning("allow_on_claim", policy, rule, message, _trust_hint(labels[0]))
    if rule.unless is None:
        return
    exceptions = _claimed_labels(snapshot, rule.unless)
    fields = [name for name in _CLAIMED_FIELDS if getattr(rule.unless, name)]
    if exceptions or fields:
        what = [_listed(exceptions)] if exceptions else []
        what += [f"`{name}`" for name in fields]
        message = f"still allows a client that leaves out {' or '.join(what)}"
        hint = _trust_hint(exceptions[0]) if exceptions else "say in `match` what is allowed"
        yield rule_warning("dodgeable", policy, rule, message, hint)


def _on_foreign_label(
    snapshot: Snapshot, policy: Policy, rule: Rule | OutputRule
) -> Iterator[PolicyWarning]:
    """An allow that rests on a label which, on some topic, only another file derives."""
    foreign = snapshot.foreign_of_rule.get(rule.id)
    if foreign is None or rule.decision not in _ALLOWS:
        return
    matches = compile_globs(rule.match.topics or ("*",))
    derived = [each for name, each in snapshot.all_derivations() if name != policy.name]
    globs = dict.fromkeys((*rule.match.topics, *(glob for each in derived for glob in each.topics)))
    for topic in (glob.replace("*", "a") for glob in islice(globs, _CANDIDATES_MAX)):
        labels = [name for name in rule.match.label_names if name in foreign.on(topic)]
        if not labels or not matches(topic):
            continue
        files = _deriving(snapshot, policy, labels[0], topic)
        yield rule_warning(
            "allow_on_foreign_label",
            policy,
            rule,
            f"allows nothing by itself on `{topic}`: only {files} derives"
            f" {' and '.join(f'`{label}`' for label in labels)} there, and a label of another file"
            " never loosens",
            "repeat the `derive` entry in this file, or accept the label from any file:"
            f" labels: {{{', '.join(f'{label}: {{trust: derived}}' for label in labels)}}}",
        )
        return


def _deriving(snapshot: Snapshot, policy: Policy, label: str, topic: str) -> str:
    """The first other file that derives a label on a topic, in words."""
    for name, each in snapshot.all_derivations():
        applies = topic not in each.except_topics and compile_globs(each.topics)(topic)
        if name and name != policy.name and applies and label in LABELS_OF_KIND[each.kind]:
            return f"the file `{name}`"
    return "a default derivation of other files"


def _claimed_labels(snapshot: Snapshot, match: Match) -> list[str]:
    """Labels of a match that clients may claim, where no file says that this is intended."""
    return [name for name in match.label_names if name not in snapshot.label_trust]


def _listed(labels: list[str]) -> str:
    return ", ".join(f"label `{name}`" for name in labels)


def _trust_hint(label: str) -> str:
    return f"labels: {{{label}: {{trust: credential}}}}, or `trust: claimed` when that is meant"


def _dodges(
    snapshot: Snapshot, policy: Policy, rule: Rule, sample: Sample
) -> Iterator[PolicyWarning]:
    """The sample of a rule with some facts left out: is its decision looser?"""
    now = sample.now
    if evaluate(snapshot, sample.request, now=now).decision.strictness < rule.effect.strictness:
        return
    dodges: list[tuple[str, Request]] = []
    for label in rule.match.label_names:
        if label not in snapshot.label_trust:
            fewer = {k: v for k, v in sample.request.labels.items() if k != label}
            dodges.append((f"label `{label}`", _changed(sample.request, labels=fewer)))
    for name, attribute in _CLAIMED_FIELDS.items():
        if getattr(rule.match, name):
            nothing = type(getattr(sample.request, attribute))()
            dodges.append((f"`{attribute}`", _changed(sample.request, **{attribute: nothing})))
    for what, request in dodges:
        got = evaluate(snapshot, request, now=now)
        if got.decision.strictness < rule.effect.strictness:
            message = f"does not hold a client that leaves out {what}: {speaker_in_words(got)}"
            hint = "let no looser rule match without it, or match what the client cannot leave out"
            yield rule_warning("dodgeable", policy, rule, message, hint)


def _changed(request: Request, **changes: object) -> Request:
    return msgspec.structs.replace(request, **changes)


# -- remediations --


def _remediations(
    remedies: Remedies, policy: Policy, rule: Rule, sample: Sample
) -> Iterator[PolicyWarning]:
    for denial in remedies.denials(rule, sample):
        if not denial.decision.rule_id and not denial.always:
            continue  # a request with more facts than the sample may meet another rule
        warning = file_warning(
            "remediation_denied",
            policy,
            f"rule `{rule.id}` offers the remediation `{denial.remediation.id}`, which is"
            f" denied too: {speaker_in_words(denial.decision)}",
            "offer what a rule allows"
            if denial.always
            else "at least for some requests of this rule",
            entry=("remediation", rule.id, denial.remediation.id),
        )
        yield msgspec.structs.replace(warning, rule_id=rule.id, error=denial.always)


# -- texts that nothing can read, under a default that allows --


def _unknown_allowed(snapshot: Snapshot, policy: Policy) -> Iterator[PolicyWarning]:
    """Rules that tighten some classes of a text, and leave `unknown` to an allowing default."""
    if snapshot.default not in _ALLOWS:
        return
    warned: set[tuple[str, tuple[str, ...]]] = set()
    for rule in policy.job_rules:
        label = next((name for name in rule.match.label_names if name in _CLASS_LABELS), "")
        key = (label, rule.match.topics)
        sample = fields_sample(snapshot, rule.match) if label and key not in warned else None
        if sample is None or rule.effect in _ALLOWS:
            continue
        warned.add(key)
        given = sample.request.server_labels
        facts = {name: value for name, value in given.items() if name not in DERIVED_LABELS}
        request = _changed(sample.request, payload=_UNREADABLE, args=None, server_labels=facts)
        if not any(view.get(label) == "unknown" for view in views_of(snapshot, request)[0]):
            continue  # nothing derives the label on this topic
        got = evaluate(snapshot, request, now=sample.now)
        if got.decision in _ALLOWS and not got.rule_id:
            yield rule_warning(
                "unknown_allowed",
                policy,
                rule,
                f"reads `{label}`, and on `{request.topic}` a text of class `unknown`, which nobody"
                f" could read, is allowed by the default",
                f"match: {{topics: [{json.dumps(request.topic)}], labels: {{{label}: unknown}}}}"
                " with decision: require_approval, or default_decision: deny",
            )


# -- what nothing reads --


def _unused(snapshot: Snapshot, policy: Policy) -> Iterator[PolicyWarning]:
    read = _labels_read(snapshot)
    for label in policy.label_trust:
        if label not in read:
            message = f"no rule reads the label `{label}`, whose trust is said under `labels`"
            yield file_warning("unused_label_trust", policy, message, entry=("label", label))
    for number, derivation in enumerate(policy.derivations):
        topics = derivation.topics
        if not any(can_match(glob, topic=True) for glob in topics):
            why = "no topic fits " + " or ".join(f"`{glob}`" for glob in topics)
        elif not read & DERIVED_LABELS:
            why = "no rule reads a derived label"
        else:
            continue
        message = f"the `derive` entry of kind `{derivation.kind}` is for nothing: {why}"
        yield file_warning("unused_derive", policy, message, entry=("derive", str(number)))


def _unshared_programs(snapshot: Snapshot, policy: Policy) -> Iterator[PolicyWarning]:
    """Own programs that do not help, because another file judges the same texts without them."""
    if not policy.all_programs:
        return
    rules = [
        rule for rule in policy.rules if not _COMMAND_LABELS.isdisjoint(rule.match.label_names)
    ]
    globs = dict.fromkeys(glob for rule in rules for glob in rule.match.topics)
    for topic in (glob.replace("*", "a") for glob in islice(globs, _CANDIDATES_MAX)):
        terms = [each for one in snapshot.reads.readings_of(topic) for each in one.parsed_as]
        if len({id(each.programs) for each in terms if each.kind in _COMMAND_KINDS}) > 1:
            others = ", ".join(
                f"`{other.name}`"
                for other in snapshot.policies
                if other.rules and not set(policy.all_programs) <= set(other.all_programs)
            )
            yield file_warning(
                "unshared_programs",
                policy,
                f"on the topic `{topic}` other files ({others}) judge commands, too, and do"
                " not use the same own programs, which are `unknown` to them",
                "name the file that describes the programs under `use_programs` there",
            )
            return


def _labels_read(snapshot: Snapshot) -> set[str]:
    read: set[str] = set(snapshot.output.reads.labels)
    for layer in snapshot.layers:
        for rule in layer.rules:
            for match in (rule.match, rule.unless):
                read |= set(match.label_names) if match is not None else set()
            if rule.throttle is not None:
                read |= {key.removeprefix("labels.") for key in rule.throttle.key}
    return read
