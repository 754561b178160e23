"""Bounds on what is in progress at once: for each key, for each tenant, and for the server.

One key never takes all of its tenant's share, and one tenant never all of the server's, so a caller
that takes too much is refused alone. This module counts; it waits for nothing and reads no clock.
"""

from typing import NamedTuple

from forestall.errors import ForestallError
from forestall.identity.credentials import Subject


class ShareTakenError(ForestallError):
    """This key, this tenant or this server has as much in progress as it may have. Nothing was
    done; ask again after `Retry-After` seconds."""

    code, http_status = "share_taken", 429


class Payer(NamedTuple):
    """The key, and its tenant, whose shares a request takes from."""

    tenant: str
    key_id: str


THE_PLANE = Payer("", "")  # the plane's own work; no key and no tenant has these names


def payer_of(subject: Subject | None) -> Payer:
    """The payer of a subject's request; a request without a subject takes from the plane's own
    share."""
    return THE_PLANE if subject is None else Payer(subject.tenant, subject.key_id)


class Shares:
    """What is taken of one bounded thing now. Not thread-safe.

    `what` names the thing in a refusal, in the plural: `requests`, `streams`.
    """

    __slots__ = ("_of_key", "_of_tenant", "_per_key", "_per_tenant", "_total", "_what", "taken")

    def __init__(self, what: str, *, per_key: int, per_tenant: int, total: int) -> None:
        assert 0 < per_key <= per_tenant <= total, "a key has a part of what its tenant has"
        self._what = what
        self._per_key, self._per_tenant, self._total = per_key, per_tenant, total
        self._of_key: dict[str, int] = {}
        self._of_tenant: dict[str, int] = {}
        self.taken = 0

    def take(self, payer: Payer, amount: int = 1) -> None:
        """Take an amount, to be given back. Raises ShareTakenError, and takes nothing then."""
        tenant, key_id = payer
        taken_by_key = self._of_key.get(key_id, 0) + amount
        if taken_by_key > self._per_key:
            raise self._refusal("this API key", self._per_key)
        taken_by_tenant = self._of_tenant.get(tenant, 0) + amount
        if taken_by_tenant > self._per_tenant:
            raise self._refusal("this tenant", self._per_tenant)
        if self.taken + amount > self._total:
            raise self._refusal("this server", self._total)
        self._of_key[key_id] = taken_by_key
        self._of_tenant[tenant] = taken_by_tenant
        self.taken += amount

    def give(self, payer: Payer, amount: int = 1) -> None:
        """Give back an amount that was taken."""
        self.taken -= amount
        for counts, name in ((self._of_key, payer.key_id), (self._of_tenant, payer.tenant)):
            left = counts[name] - amount
            if left:
                counts[name] = left
            else:
                del counts[name]

    def _refusal(self, whose: str, most: int) -> ShareTakenError:
        return ShareTakenError(
            f"{whose} has as many {self._what} in progress as it may have; wait until one has"
            " ended, then ask again",
            details={"limit": most},
            retry_after_s=1,
        )
