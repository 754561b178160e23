"""What the log alone tells of a hand-over: was there an allow, or an approval of exactly that?

Knows nothing of `jobs/approval.py` or the verbs: it reads records, and holds against them
the promise that what was approved is what runs, once.
"""

import json
from collections.abc import Mapping
from typing import Any

from forestall.store.memory import MemoryStore

_DAY_US = 24 * 3_600 * 1_000_000


class Ask:
    """One time that somebody was asked."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.snapshot = record["data"]["snapshot"]
        self.job_hash = record["data"]["job_hash"]
        self.at_us = record["at_us"]
        self.voters: set[str] = set()
        self.approved = self.spent = False

    def allows(self, record: Mapping[str, Any], snapshot: str, quorum: int) -> bool:
        """Whether this lets the job run as the record says it did."""
        return (
            self.approved
            and not self.spent
            and self.snapshot == snapshot == record["data"]["snapshot"]
            and self.job_hash == record["data"]["job_hash"]
            and record["at_us"] < self.at_us + _DAY_US
            and len(self.voters - {"agent"}) >= quorum
        )


def told(store: MemoryStore, job_id: str, position: int, quorums: Mapping[str, int]) -> bool:
    """Whether the last dispatch before a position was allowed under the policy in force then."""
    snapshot, ask, good, revoked = "", None, False, False
    for link in store._log[:position]:
        record = json.loads(link.record)
        kind, data = record["kind"], record["data"]
        if kind == "policy.activated":
            snapshot = data["snapshot"]
        if kind == "key.revoked" and data["name"] == "agent":
            revoked = True
        if record["job_id"] != job_id:
            continue
        if kind == "job.approval_demanded" or (
            kind == "job.submitted" and data["state"] == "APPROVAL_REQUIRED"
        ):
            ask = Ask(record)
        elif kind in ("job.voted", "job.approved") and ask is not None:
            ask.voters.add(data["approver"])
            ask.approved = kind == "job.approved"
        elif kind in ("job.rejected", "job.expired", "job.invalidated", "job.cancelled"):
            ask = None
        elif kind == "job.returned" and ask is not None:
            ask.spent = False
        elif kind == "job.dispatched":
            quorum = quorums.get(snapshot, 0)
            if quorum:  # the policy in force holds the job
                good = ask is not None and ask.allows(record, snapshot, quorum) and not revoked
            else:
                allow = data["decision"] == "allow" and data["code"] != "approved"
                good = allow and data["snapshot"] == snapshot and not revoked
            if ask is not None:
                ask.spent = True
    return good
