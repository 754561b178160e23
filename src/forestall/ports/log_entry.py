"""One record of the log as it may be shown: without its salt, and with the permission it needs.

A record is shown to its own tenant only, and there to roles that may read its subject matter only.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from forestall.identity.roles import Permission


class Visibility(NamedTuple):
    """How a record is shown."""

    event: str  # the name of its event in a stream
    permission: Permission  # which a reader needs


_APPROVAL = Visibility("approval", Permission.JOBS_READ)

# A kind of record is listed whole, or by its first word. All other kinds need `records.read`.
VISIBILITIES: Mapping[str, Visibility] = {
    "job": Visibility("job.state", Permission.JOBS_READ),
    "job.approval_demanded": _APPROVAL,
    "job.voted": _APPROVAL,
    "job.approved": _APPROVAL,
    "job.fulfilled": _APPROVAL,
    "job.rejected": _APPROVAL,
    "job.expired": _APPROVAL,
    "job.invalidated": _APPROVAL,
    "job.cleared": _APPROVAL,
    "action.checked": Visibility("job.decision", Permission.JOBS_READ),
    "approval": _APPROVAL,
    "output": Visibility("output", Permission.JOBS_READ),
    "policy": Visibility("policy", Permission.POLICY_READ),
    "worker": Visibility("audit", Permission.WORKERS_READ),
    "": Visibility("audit", Permission.RECORDS_READ),
}


def visibility_of(kind: str) -> Visibility:
    """How records of a kind are shown."""
    return VISIBILITIES.get(kind) or VISIBILITIES.get(kind.partition(".")[0]) or VISIBILITIES[""]


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One record at its position in the log, as it may be shown."""

    position: int
    visibility: Visibility
    kind: str
    at_us: int  # µs since the epoch, UTC
    tenant: str
    actor: str
    job_id: str  # empty for a record of no job
    # who submitted that job; without a job, the actor. None: not known, or not looked up
    principal: str | None = None
    data: msgspec.Raw  # JSON without line breaks
