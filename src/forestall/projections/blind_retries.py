"""Recognise blind retries (control 12): the same payload again, soon after it was denied.

A denial offers remediations, which are to replace the habit of sending the same payload once more,
perhaps with fewer labels. A blind retry is recorded and counted; it changes no decision.
"""

from collections import OrderedDict

from forestall.limits import (
    BLIND_RETRY_ENTRIES_MAX,
    BLIND_RETRY_ENTRIES_PER_PRINCIPAL_MAX,
    BLIND_RETRY_SECONDS,
)

_PayloadName = tuple[str, str, str]  # tenant, principal, digest of the payload
_Denial = tuple[int, str]  # its instant (µs, UTC), and the id of the job


class BlindRetries:
    """The latest denials by tenant, principal and payload digest. Bounded in time and number: the
    oldest are forgotten first, of a principal with many its own oldest."""

    def __init__(self) -> None:
        self._denied: OrderedDict[tuple[str, str], OrderedDict[str, _Denial]] = OrderedDict()
        self._count = 0

    def denied(self, name: _PayloadName, job_id: str, *, now_us: int) -> None:
        """Remember a denial."""
        tenant, principal, payload = name
        of_principal = self._denied.setdefault((tenant, principal), OrderedDict())
        self._denied.move_to_end((tenant, principal))
        self._count += payload not in of_principal
        of_principal[payload] = (now_us, job_id)
        of_principal.move_to_end(payload)
        if len(of_principal) > BLIND_RETRY_ENTRIES_PER_PRINCIPAL_MAX:
            of_principal.popitem(last=False)
            self._count -= 1
        if self._count > BLIND_RETRY_ENTRIES_MAX:
            longest_silent = next(iter(self._denied))
            self._denied[longest_silent].popitem(last=False)
            self._count -= 1
            if not self._denied[longest_silent]:
                del self._denied[longest_silent]

    def earlier(self, name: _PayloadName, *, now_us: int) -> str:
        """The id of the job that was denied with this payload within BLIND_RETRY_SECONDS; empty
        when there is none."""
        tenant, principal, payload = name
        of_principal = self._denied.get((tenant, principal))
        denial = of_principal.get(payload) if of_principal is not None else None
        if denial is None:
            return ""
        denied_at_us, job_id = denial
        is_recent = now_us - denied_at_us <= BLIND_RETRY_SECONDS * 1_000_000
        return job_id if is_recent else ""
