"""Counters of throttle rules. Bounded: past the bound a new counter is over its limit. A principal
and a tenant have bounds of their own, so that a principal with ever new keys meets its own bound.

A counter counts actions, or adds up the amounts that a rule with `sum` finds in their arguments, in
millionths and rounded up. An amount that cannot be added up never lowers a counter and is never
admitted; the evaluator has denied such an action before.

There is one counter for each rule and each key of the rule. Its window begins with the first action
in it, so at most twice the limit can pass in any interval as long as a window. Counters are kept in
this process alone and begin anew with it.
"""

from collections import Counter
from collections.abc import Mapping

from forestall.facts.origin import Origin
from forestall.limits import (
    THROTTLE_COUNTERS_MAX,
    THROTTLE_COUNTERS_PER_PRINCIPAL_MAX,
    THROTTLE_COUNTERS_PER_TENANT_MAX,
)
from forestall.policy.arguments import MILLION, ArgumentError
from forestall.policy.label_views import largest_amount
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Throttle

_SWEEP_EVERY_US = 1_000_000
_NO_DEMAND: Mapping[str, Origin] = {}


class ThrottleCounters:
    """Counters of each tenant by rule and key."""

    __slots__ = ("_of_tenant",)

    def __init__(self) -> None:
        self._of_tenant: dict[str, _TenantCounters] = {}

    def admits(
        self,
        decision: Decision,
        request: Request,
        *,
        now_us: int,
        trust: Mapping[str, Origin] = _NO_DEMAND,
        count: bool = True,
    ) -> bool:
        """Whether the rule of a throttle decision is lifted, since its limit is not reached.

        `trust` is the label trust of the snapshot that decided: a counter is kept for a value of a
        label only if the label trusts the origin of the value. A label that is not in `trust`
        trusts every origin.

        With `count` an action that is admitted is counted. A rule without a limit admits none.
        """
        throttle = decision.throttle
        if throttle is None:
            return False
        # A rule that adds up and one that counts, of one id in two policies, share no counter.
        name = (decision.rule_id, throttle.sum, *_key(throttle, request, trust))
        of_tenant = self._of_tenant.get(request.tenant) or _TenantCounters()
        began_us, window_us, used, opener = of_tenant.counters.get(name, (now_us, 0, 0, ""))
        if now_us - began_us >= window_us:
            began_us, used = now_us, 0
        limit: int = throttle.limit
        amount: int | None = 1
        if throttle.sum:
            limit, amount = throttle.limit * MILLION, _amount(throttle.sum, request)
        if amount is None or used + amount > limit:
            return False
        if not count:
            return True
        if name not in of_tenant.counters:
            opener = request.principal or request.actor_id
            if not self._has_room(of_tenant, opener, now_us):
                return False
            self._of_tenant[request.tenant] = of_tenant
            of_tenant.of_principal[opener] = of_tenant.of_principal.get(opener, 0) + 1
        of_tenant.counters[name] = (began_us, throttle.window_ms * 1_000, used + amount, opener)
        return True

    def _has_room(self, of_tenant: "_TenantCounters", principal: str, now_us: int) -> bool:
        """Whether a principal may have one more counter, after those that ended are forgotten."""
        if of_tenant.is_full(principal):
            of_tenant.sweep(now_us)
            if of_tenant.is_full(principal):
                return False
        if self._total() < THROTTLE_COUNTERS_MAX:
            return True
        for tenant, counters in list(self._of_tenant.items()):
            counters.sweep(now_us)
            if not counters.counters:
                del self._of_tenant[tenant]
        return self._total() < THROTTLE_COUNTERS_MAX

    def _total(self) -> int:
        return sum(len(of_tenant.counters) for of_tenant in self._of_tenant.values())


class _TenantCounters:
    """The counters of one tenant. Each holds the instant at which its window began (µs, UTC), the
    length of the window (µs), the number of actions in it or the sum of their amounts, and the
    principal whose action was the first."""

    __slots__ = ("_swept_us", "counters", "of_principal")

    def __init__(self) -> None:
        self.counters: dict[tuple[str, ...], tuple[int, int, int, str]] = {}
        self.of_principal: dict[str, int] = {}
        self._swept_us: int | None = None

    def is_full(self, principal: str) -> bool:
        """Whether this principal may have no further counter, by its own bound or the tenant's."""
        return (
            self.of_principal.get(principal, 0) >= THROTTLE_COUNTERS_PER_PRINCIPAL_MAX
            or len(self.counters) >= THROTTLE_COUNTERS_PER_TENANT_MAX
        )

    def sweep(self, now_us: int) -> None:
        """Forget counters whose window has ended; at most once in _SWEEP_EVERY_US, since a client
        that fills the table causes every sweep."""
        if self._swept_us is not None and 0 <= now_us - self._swept_us < _SWEEP_EVERY_US:
            return
        self._swept_us = now_us
        self.counters = {
            name: counter
            for name, counter in self.counters.items()
            if now_us - counter[0] < counter[1]
        }
        self.of_principal = dict(Counter(opener for *_, opener in self.counters.values()))


def _amount(path: str, request: Request) -> int | None:
    """The amount of an action in millionths; None for one that cannot be added up. Where arguments
    are sent in two places, the larger amount."""
    try:
        return largest_amount(path, request)
    except ArgumentError:
        return None


def _key(throttle: Throttle, request: Request, trust: Mapping[str, Origin]) -> tuple[str, ...]:
    """The values of the rule's key, each combination of which has a counter. A missing value is a
    value too: an agent that leaves a label out shares a counter with all requests without it."""
    parts = []
    for name in throttle.key:
        if name.startswith("labels."):
            parts.append(_label(name.removeprefix("labels."), request, trust))
        elif name == "actor_id":
            parts.append(request.principal or request.actor_id)
        else:
            parts.append(str(getattr(request, name)))
    return tuple(parts)


def _label(name: str, request: Request, trust: Mapping[str, Origin]) -> str:
    """The value from the strongest origin that has one, if the label trusts that origin."""
    trust_demanded = trust.get(name, Origin.CLAIMED)
    for origin, labels in (
        (Origin.SERVER, request.server_labels),
        (Origin.CREDENTIAL, request.credential_labels),
        (Origin.CLAIMED, request.labels),
    ):
        if name in labels:
            return labels[name] if origin >= trust_demanded else ""
    return ""
