"""One record of the log as it may be shown: without its salt, and with who may see it.

A record is shown to its own tenant only, and to those only whose role may read its subject matter.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from forestall.identity.roles import Permission


class Visibility(NamedTuple):
    """Under which event name a record is shown, and who may see it."""

    event: str
    permission: Permission


_APPROVAL = Visibility("approval", Permission.JOBS_READ)

# A kind stands here whole or by its first word. What stands here in neither way is for admins.
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
    "": Visibility("audit", Permission.KEYS_READ),
}


def visibility_of(kind: str) -> Visibility:
    """How a kind of record is shown."""
    return VISIBILITIES.get(kind) or VISIBILITIES.get(kind.partition(".")[0]) or VISIBILITIES[""]


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One record at its position, as it may be shown. `data` is JSON without line breaks."""

    position: int
    visibility: Visibility
    kind: str
    at_us: int
    tenant: str
    actor: str
    job_id: str
    data: msgspec.Raw
