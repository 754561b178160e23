"""Count what throttle rules count. Bounded: past the bound everything counts as over its limit.

A window begins with its first action, per rule and key, so at most twice the limit can fall into
any stretch as long as a window. Counts live in this process and begin anew with it.
"""

from forestall.limits import THROTTLE_COUNTERS_MAX
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Throttle


class ThrottleCounters:
    """Counters by rule and key: when the window began, and how many came since."""

    __slots__ = ("_counters",)

    def __init__(self) -> None:
        self._counters: dict[tuple[str, ...], tuple[int, int, int]] = {}

    def admits(
        self, decision: Decision, request: Request, *, now_us: int, count: bool = True
    ) -> bool:
        """Whether a throttle decision is lifted because its limit is not reached.

        With `count` the action is counted when it is admitted. A rule without a limit throttles
        always.
        """
        throttle = decision.throttle
        if throttle is None:
            return False
        name = (decision.rule_id, *_key(throttle, request))
        began_us, window_us, seen = self._counters.get(name, (now_us, 0, 0))
        if now_us - began_us >= window_us:
            began_us, seen = now_us, 0
        if seen >= throttle.limit:
            return False
        if not count:
            return True
        if name not in self._counters and not self._has_room(now_us):
            return False
        self._counters[name] = (began_us, throttle.window_ms * 1_000, seen + 1)
        return True

    def _has_room(self, now_us: int) -> bool:
        if len(self._counters) < THROTTLE_COUNTERS_MAX:
            return True
        self._counters = {
            name: counter
            for name, counter in self._counters.items()
            if now_us - counter[0] < counter[1]
        }
        return len(self._counters) < THROTTLE_COUNTERS_MAX


def _key(throttle: Throttle, request: Request) -> tuple[str, ...]:
    """What is counted together. An absent value is a value too: leaving a label out does not give
    an agent a counter of its own, it shares one with all who leave it out."""
    parts = []
    for name in throttle.key:
        if name.startswith("labels."):
            parts.append(request.labels.get(name.removeprefix("labels."), ""))
        elif name == "actor_id":
            parts.append(request.principal or request.actor_id)
        else:
            parts.append(str(getattr(request, name)))
    return tuple(parts)
