"""Recognise blind retries (control 12): the same payload again, soon after it was denied.

A denial offers remediations, which are to replace the habit of sending the same payload once more,
perhaps with fewer labels. A blind retry is recorded and counted; it changes no decision.
"""

from collections import OrderedDict

from forestall.limits import BLIND_RETRY_ENTRIES_MAX, BLIND_RETRY_SECONDS

_Name = tuple[str, str, str]  # tenant, principal, digest of the payload


class BlindRetries:
    """The latest denials by tenant, principal and payload digest. Bounded in time and number: the
    oldest are forgotten first."""

    def __init__(self) -> None:
        self._denied: OrderedDict[_Name, tuple[int, str]] = OrderedDict()

    def denied(self, name: _Name, job_id: str, *, now_us: int) -> None:
        """Remember a denial."""
        self._denied[name] = (now_us, job_id)
        self._denied.move_to_end(name)
        if len(self._denied) > BLIND_RETRY_ENTRIES_MAX:
            self._denied.popitem(last=False)

    def earlier(self, name: _Name, *, now_us: int) -> str:
        """The id of the job that was denied with this payload lately; empty when there is none."""
        found = self._denied.get(name)
        if found is None or now_us - found[0] > BLIND_RETRY_SECONDS * 1_000_000:
            return ""
        return found[1]
