"""What is not sure can tighten a decision and never loosen it: claims, and labels that only another
file derives (ADR 0027, ADR 0038).

Which fields are claims
-----------------------

`pack_id`, `actor_type` and `risk_tags` come from the body of a request, and nothing depends on them
but the policy. A client that lies about one runs exactly what it would run otherwise. So they are
*claims*, unless someone else vouches for a value (`Request.attested`): the plane does for the pack
and the risk tags of a registered topic, a program that embeds the evaluator for what it knows.

`topic`, `capability`, `requires`, `mcp`, `args` and the payload come from the client too, and are
no claims: they are what is asked for. They are in the job hash and in the ticket, they choose the
worker and are what it executes, so a client that "lies" about one asks for something else, and that
something is what is decided and what runs. The tenant, the agent with its tier and data classes,
and a delegation come from the credential. An actor that the client names is decided beside the one
that its credential proves (`label_views.actors_of`), and labels have a trust of their own.

Labels of another file
----------------------

A derived label that a rule reads, and that on this topic only another file derives
(`foreign_labels`), is no surer than a claim: without that file it would be absent. Below, it counts
as a claim.

How a rule that rests on a claim speaks
---------------------------------------

A rule *rests on a claim* when it would not apply, or would no longer be excepted, if the client had
said less. In a list of rules the first one that applies speaks, and hides the rules after it. A
rule that rests on a claim speaks too, but hides nothing: the search goes on to the first rule that
applies whatever the client says. All of them count, and the strictest stands; where none of them
applies without a claim, the default decision counts as well.

So the rules that speak for a request are a superset of those that speak for the same request with
any of its claims left out: a further claim adds speakers and removes none. That is why one pass is
enough, and no decision for each of the 2^n sets of claims is needed.

Cases that surprise
-------------------

* An allow that rests on a claim alone allows nothing, because the default (deny) counts beside it.
  `policy check` warns of it.
* `unless` with a claim: the rule speaks although its exception holds, and the search goes on as if
  it had not spoken. An allow with such an exception therefore still tightens by the claim.
* What a claim-bound rule adds beside its effect (constraints, demands on an approval, a throttle)
  adds up with the others, as across layers, and never replaces them.
* A value that is vouched for and another one that is claimed are two requests, and the stricter
  decision stands.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any, TypeVar

from msgspec.structs import replace

from forestall.policy.fields import FIELDS, Labels, MatchField
from forestall.policy.foreign_labels import ForeignLabels, foreign_in
from forestall.policy.request import Request
from forestall.policy.rule_conditions import compile_clauses
from forestall.policy.rules import LabelConflict, Match, OutputRule, Rule

RuleT = TypeVar("RuleT", Rule, OutputRule)
CLAIMED_FIELDS: tuple[MatchField, ...] = tuple(field for field in FIELDS if field.claimed)


def claimed_in(match: Match | None) -> tuple[MatchField, ...]:
    """The claimed fields that a match reads."""
    if match is None:
        return ()
    return tuple(field for field in CLAIMED_FIELDS if field.wanted(match))


def without_claims(request: Request) -> Request:
    """The request with nothing in its claimed fields but what someone vouches for."""
    attested = request.attested
    return replace(
        request,
        pack_id=next(iter(attested.get("pack_id", ())), ""),
        actor_type=next(iter(attested.get("actor_type", ())), ""),
        risk_tags=tuple(attested.get("risk_tags", ())),
    )


def attested_views(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """Each request with the values that someone vouches for. Where the client claims another value
    the request is decided under each of the two, and with several under each combination."""
    if not requests[0].attested:
        return requests
    return tuple(view for request in requests for view in _with_attested(request))


def _with_attested(request: Request) -> Iterator[Request]:
    attested = request.attested
    tags = (*request.risk_tags, *attested.get("risk_tags", ()))
    proven, differing = {}, []
    for name in ("pack_id", "actor_type"):
        claim = getattr(request, name)
        value = next(iter(attested.get(name, ())), "")
        proven[name] = value or claim
        if value and claim and value != claim:
            differing.append(name)
    base = replace(request, **proven, risk_tags=tuple(dict.fromkeys(tags)))
    for count in range(len(differing) + 1):
        for names in combinations(differing, count):
            claims = {name: getattr(request, name) for name in names}
            rest = {name: value for name, value in attested.items() if name not in names}
            yield replace(base, **claims, attested=rest) if names else base


class AttestationCheck:
    """Whether one rule, of which all conditions but an unsure `unless` hold, speaks.

    `foreign` are the labels that may be foreign to the file of the rule; None when it reads none.
    """

    __slots__ = ("_claims", "_labels", "_unless", "foreign")

    def __init__(self, rule: Rule | OutputRule, foreign: ForeignLabels | None = None) -> None:
        of_match, of_unless = foreign_in(rule, foreign)
        self.foreign = foreign if of_match or of_unless else None
        fields = claimed_in(rule.match)
        claimed: dict[str, Any] = {field.name: field.wanted(rule.match) for field in fields}
        self._claims = compile_clauses(Match(**claimed))
        self._labels = compile_clauses(_only_labels(rule.match, of_match))
        own = rule.unless if of_unless or claimed_in(rule.unless) else None
        self._unless = compile_clauses(own) if own is not None else ()

    def speaks(self, request: Request, labels: Labels, now: datetime) -> bool | None:
        """True: whatever is not sure. False: because of something that is not, so it hides no other
        rule. None: it does not speak. Raises ArgumentError, CalendarError."""
        sure = labels if self.foreign is None else self.foreign.sure(labels, request)
        unless = self._unless
        if unless and all(each.holds(request, labels, now) for each in unless):
            proven = without_claims(request)
            excepted = all(each.holds(proven, sure, now) for each in unless)
            return None if excepted else False
        if sure is not labels and not all(each.holds(request, sure, now) for each in self._labels):
            return False
        if not self._claims:
            return True
        if not request.attested:
            return False  # a fact that is left out matches nothing, not even `*`
        proven = without_claims(request)
        return all(each.holds(proven, labels, now) for each in self._claims)


def _only_labels(match: Match, names: frozenset[str]) -> Match:
    """The conditions of a match on these labels."""
    commands = match.commands if "command_words" in names else ()
    return Match(
        labels=tuple((name, globs) for name, globs in match.labels if name in names),
        tests=tuple(test for test in match.tests if test.label in names),
        commands=commands,
        own_programs=match.own_programs if commands else (),
    )


def attestation_check(
    rule: Rule | OutputRule, foreign: ForeignLabels | None = None
) -> AttestationCheck | None:
    """The check of a rule that reads something unsure; None for any other rule. `foreign` are the
    labels that are foreign to its file."""
    if claimed_in(rule.match) or claimed_in(rule.unless) or any(foreign_in(rule, foreign)):
        return AttestationCheck(rule, foreign)
    return None


def sure_exception(rule: RuleT, foreign: ForeignLabels | None = None) -> RuleT:
    """The rule without an `unless` that reads something unsure: its `AttestationCheck` tests that
    one."""
    _, of_unless = foreign_in(rule, foreign)
    return replace(rule, unless=None) if of_unless or claimed_in(rule.unless) else rule


def exceptions(
    rule: Rule, request: Request, labels: Labels, foreign: ForeignLabels | None
) -> tuple[tuple[Request, Labels], ...]:
    """What the `unless` of a rule is tested on: an exception that holds because of something unsure
    does not keep the rule from speaking."""
    sure = labels if foreign is None else foreign.sure(labels, request)
    if sure is labels and not claimed_in(rule.unless):
        return ((request, labels),)
    return ((request, labels), (without_claims(request), sure))


def claim_conflicts(
    rules: Sequence[Rule],
    requests: Sequence[Request],
    views: Sequence[Labels],
    foreign_of_rule: Mapping[str, ForeignLabels],
) -> tuple[LabelConflict, ...]:
    """The claims and foreign labels on which some of these rules rest, for the record beside
    conflicts of labels."""
    found: dict[LabelConflict, None] = {}
    dropped: dict[ForeignLabels, dict[LabelConflict, None]] = {}
    for rule in {rule.id: rule for rule in rules}.values():
        for field in (*claimed_in(rule.match), *claimed_in(rule.unless)):
            for request in requests:
                proven = set(field.values(without_claims(request)))
                claims = [value for value in field.values(request) if value not in proven]
                if claims:
                    conflict = _unsure(field.attribute or field.name, "claimed", ",".join(claims))
                    found[conflict] = None
        foreign = foreign_of_rule.get(rule.id)
        if foreign is not None:
            if foreign not in dropped:
                dropped[foreign] = dict.fromkeys(_dropped(foreign, requests[0], views))
            names = frozenset[str]().union(*foreign_in(rule, foreign))
            found.update((each, None) for each in dropped[foreign] if each.label in names)
    return tuple(found)


def _dropped(
    foreign: ForeignLabels, request: Request, views: Sequence[Labels]
) -> Iterator[LabelConflict]:
    """The values in some views on which no rule of a file may rest."""
    for labels in views:
        sure = foreign.sure(labels, request)
        for name in sorted(labels.keys() - sure.keys()):
            yield _unsure(name, "derived", labels[name])


def _unsure(label: str, origin: str, value: str) -> LabelConflict:
    return LabelConflict(label=label, origin=origin, value=value, trusted_value=None)
