"""When a request is sent again, and after which wait: only by a policy that the
caller states.

A request that must not be sent twice is sent again only when no byte of it left.
"""

from typing import NamedTuple

from forestall.client.http.message import HttpResponse, NoAnswerError

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryPolicy(NamedTuple):
    """How often a request is sent, and the waits between, in seconds.

    Each wait is twice the one before, jittered down to half so that clients do not return all at
    once, and never shorter than the server's `Retry-After`. When a server asks for more than
    `wait_max`, the request is not sent again.
    """

    tries: int = 3  # including the first one
    wait_first: float = 0.2
    wait_max: float = 30.0
    statuses: frozenset[int] = _PASSING

    def wait_after_answer(
        self, response: HttpResponse, attempt: int, *, repeatable: bool
    ) -> float | None:
        """Seconds until the next try; None when this response is final.

        `attempt` is the number of the try that ended, from 1.
        """
        if not repeatable or response.status not in self.statuses or attempt >= self.tries:
            return None
        asked = response.retry_after_s
        return None if asked > self.wait_max else max(asked, self._wait(attempt))

    def wait_after_error(
        self, error: NoAnswerError, attempt: int, *, repeatable: bool
    ) -> float | None:
        """Seconds until the next try; None when this error is final."""
        if attempt >= self.tries or not (repeatable or error.nothing_sent):
            return None
        return self._wait(attempt)

    def _wait(self, attempt: int) -> float:
        import random  # imported here: a client without a policy does not need it

        ceiling = min(self.wait_first * 2.0 ** min(attempt - 1, 30), self.wait_max)
        return ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter
