"""Combine terms of approval: what several rules demand must all be met.

Demands on the same set of roles become one demand with the larger quorum; demands on different sets
are counted separately. The shortest time stands. One person may count for several demands, just as
for each rule alone. Who may vote at all is not decided here.
"""

from collections.abc import Collection, Iterable, Sequence

from forestall.policy.rules import ApprovalDemands, ApprovalTerms, Effect, RoleDemand, Rule

_ANYBODY = RoleDemand()


def demands_of(rules: Iterable[Rule]) -> ApprovalDemands | None:
    """The combined demands of the matching rules that require approval; None without any terms."""
    return combine_terms(
        rule.approval
        for rule in rules
        if rule.effect is Effect.REQUIRE_APPROVAL and rule.approval is not None
    )


def combine_terms(given: Iterable[ApprovalTerms]) -> ApprovalDemands | None:
    """The demands under which every one of the given terms is met; None when there are no terms."""
    terms = tuple(given)
    if not terms:
        return None
    counts: dict[frozenset[str], RoleDemand] = {}
    for each in terms:
        demand = counts.get(frozenset(each.roles), _ANYBODY)
        counts[frozenset(each.roles)] = RoleDemand(
            roles=demand.roles or each.roles, quorum=max(demand.quorum, each.quorum)
        )
    times = [each.ttl_ms for each in terms if each.ttl_ms is not None]
    return ApprovalDemands(
        each=tuple(
            demand
            for demand in counts.values()
            if not any(_implies(other, demand) for other in counts.values() if other is not demand)
        ),
        ttl_ms=min(times, default=None),
    )


def _implies(met: RoleDemand, demand: RoleDemand) -> bool:
    """Whether meeting one demand always meets the other; never both ways, as their roles differ."""
    narrower = not demand.roles or (bool(met.roles) and set(met.roles) <= set(demand.roles))
    return narrower and met.quorum >= demand.quorum


def is_met(demands: ApprovalDemands | None, approvers: Sequence[Collection[str]]) -> bool:
    """Whether approvers with these roles are enough. Each approver counts once.

    Without demands one approver is enough. Whether an approver may approve at all is not checked
    here.
    """
    each_demand = (_ANYBODY,) if demands is None else demands.each
    return all(
        sum(not each.roles or not set(each.roles).isdisjoint(roles) for roles in approvers)
        >= each.quorum
        for each in each_demand
    )
