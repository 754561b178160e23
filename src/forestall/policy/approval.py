"""Terms of approval combine: what several rules demand is demanded together.

Each set of roles keeps its own count, as if its rule stood alone; the shortest time stands. One
person may count for several demands, exactly as they would for each of the rules alone.
"""

from collections.abc import Collection, Iterable, Sequence

from forestall.policy.rules import ApprovalDemands, ApprovalTerms, Effect, RoleDemand, Rule

_ANYBODY = RoleDemand()


def demands_of(rules: Iterable[Rule]) -> ApprovalDemands | None:
    """What the rules that hold a request demand together; None when none of them has terms."""
    return combine_terms(
        rule.approval
        for rule in rules
        if rule.effect is Effect.REQUIRE_APPROVAL and rule.approval is not None
    )


def combine_terms(given: Iterable[ApprovalTerms]) -> ApprovalDemands | None:
    """The demands under which every one of the given terms is met; None for none given."""
    terms = tuple(given)
    if not terms:
        return None
    counts: dict[frozenset[str], RoleDemand] = {}
    for each in terms:
        known = counts.get(frozenset(each.roles), _ANYBODY)
        counts[frozenset(each.roles)] = RoleDemand(
            roles=known.roles or each.roles, quorum=max(known.quorum, each.quorum)
        )
    demands = tuple(counts.values())
    times = [each.ttl_ms for each in terms if each.ttl_ms is not None]
    return ApprovalDemands(
        each=tuple(
            one
            for one in demands
            if not any(_implies(other, one) for other in demands if other is not one)
        ),
        ttl_ms=min(times, default=None),
    )


def _implies(one: RoleDemand, other: RoleDemand) -> bool:
    """Whether `other` is met wherever `one` is. Never both ways: the sets of roles differ."""
    narrower = not other.roles or (bool(one.roles) and set(one.roles) <= set(other.roles))
    return narrower and one.quorum >= other.quorum


def is_met(demands: ApprovalDemands | None, approvers: Sequence[Collection[str]]) -> bool:
    """Whether these people, given by their roles and each of them counted once, are enough.

    Without demands one person is. Whether any of them may approve at all is not asked here.
    """
    wanted = (_ANYBODY,) if demands is None else demands.each
    return all(
        sum(not each.roles or not set(each.roles).isdisjoint(roles) for roles in approvers)
        >= each.quorum
        for each in wanted
    )
