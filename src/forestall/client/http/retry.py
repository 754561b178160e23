"""When a request is sent again, and after how long: a policy that the caller states, never a habit.

A request that may not be sent twice is sent again only when no byte of it had left.
"""

from typing import NamedTuple

from forestall.client.http.message import HttpResponse, NoAnswerError

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryPolicy(NamedTuple):
    """How often a request is sent, and the waits between, in seconds.

    Each wait is twice the one before, jittered down to half so that clients do not return all at
    once, and never shorter than the server's `Retry-After`. A server that asks for a longer wait
    than `wait_max` is not asked again.
    """

    tries: int = 3  # the first one included
    wait_first: float = 0.2
    wait_max: float = 30.0
    statuses: frozenset[int] = _PASSING

    def wait_after_answer(
        self, response: HttpResponse, attempt: int, *, repeatable: bool
    ) -> float | None:
        """Seconds until the next try; None when this response is the one to return.

        `attempt` is the number of the try that ended, from 1.
        """
        if not repeatable or response.status not in self.statuses or attempt >= self.tries:
            return None
        asked = response.retry_after_s
        return None if asked > self.wait_max else max(asked, self._wait(attempt))

    def wait_after_error(
        self, error: NoAnswerError, attempt: int, *, repeatable: bool
    ) -> float | None:
        """Seconds until the next try; None when this error is the one to raise."""
        if attempt >= self.tries or not (repeatable or error.nothing_sent):
            return None
        return self._wait(attempt)

    def _wait(self, attempt: int) -> float:
        import random  # a client without a policy has no use for it

        ceiling = min(self.wait_first * 2.0 ** min(attempt - 1, 30), self.wait_max)
        return ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter
