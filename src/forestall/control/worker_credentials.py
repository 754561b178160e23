"""Issue, list and revoke the credentials of workers. The text of a credential is given out once.

The credential says which jobs a worker may be offered; what the worker says can only narrow that
(control 2).
"""

import msgspec

from forestall.control.keys import bound_to_agent, create_key, end_key, list_keys
from forestall.control.plane import Plane
from forestall.errors import ConflictError, InvalidRequestError, NotFoundError
from forestall.identity.credentials import (
    CALLER_PREFIX,
    WORKER_PREFIX,
    ApiKey,
    NewKey,
    WorkerGrant,
    require_name,
)
from forestall.identity.roles import Role
from forestall.policy.globs import GlobError, compile_globs
from forestall.ports.store import PreconditionFailedError


class WorkerGrantError(InvalidRequestError):
    """The grant cannot be made as asked: a name or a glob is wrong, or it allows nothing."""

    code, http_status = "WORKER_CRED_BINDING_INVALID", 400


class WorkerCredentialNotFoundError(NotFoundError):
    """No worker of this tenant has this id."""

    code, http_status = "WORKER_CRED_NOT_FOUND", 404


class WorkerCredentialRaceError(ConflictError):
    """Another request issued or revoked this worker's credential at the same moment."""

    code, http_status = "WORKER_CRED_CONFLICT", 409


class IssuedCredential(msgspec.Struct, frozen=True):
    """A credential that was just issued."""

    key: ApiKey  # as stored
    token: str  # its text: shown this once
    rotated: bool  # whether it replaces an earlier credential of the worker


async def issue_worker(
    plane: Plane,
    tenant: str,
    grant: WorkerGrant,
    *,
    actor: str,
    expires_at_us: int | None = None,
    agent_id: str = "",
) -> IssuedCredential:
    """Issue a credential for a worker; an earlier one of the same worker is revoked. `agent_id`:
    the worker is this agent, and is offered nothing that the agent may not do; a rotation without
    it keeps the agent of the earlier credential. Raises
    WorkerGrantError, WorkerCredentialRaceError, StoreUnavailableError, and as `create_key`."""
    # load and decide
    _require_grant(grant)
    before = _credential(plane, tenant, grant.worker_id)
    if before is not None and not agent_id:
        agent_id = before.agent_id  # a rotation does not loosen
    new_key = NewKey(
        tenant=tenant,
        name=WORKER_PREFIX + grant.worker_id,
        role=Role.WORKER,
        principal="" if agent_id else WORKER_PREFIX + grant.worker_id,
        expires_at_us=expires_at_us,
        worker=grant,
        agent_id=agent_id,
    )
    if agent_id:  # refuse before the earlier credential ends
        bound_to_agent(plane, new_key, plane.clock.now_us())
    if before is not None:
        await _revoke(plane, before, actor=actor)
    key, token = await create_key(plane, new_key, actor=actor)
    return IssuedCredential(key, token, before is not None)


def list_workers(plane: Plane, tenant: str) -> list[ApiKey]:
    """The credentials of a tenant's workers, oldest first."""
    return [key for key in list_keys(plane, tenant) if key.worker is not None]


async def revoke_worker(plane: Plane, tenant: str, worker_id: str, *, actor: str) -> ApiKey:
    """Revoke the credential of a worker: it gets no more jobs, and its answers are refused. Raises
    WorkerCredentialNotFoundError, WorkerCredentialRaceError."""
    # load
    key = _credential(plane, tenant, worker_id)
    # decide
    if key is None:
        raise WorkerCredentialNotFoundError(f"there is no worker `{worker_id[:80]}`")
    await _revoke(plane, key, actor=actor)
    return key


def _credential(plane: Plane, tenant: str, worker_id: str) -> ApiKey | None:
    keys = list_workers(plane, tenant)
    return next((key for key in keys if key.worker and key.worker.worker_id == worker_id), None)


async def _revoke(plane: Plane, key: ApiKey, *, actor: str) -> None:
    # commit, and announce: its session ends as the key is taken up
    try:
        await end_key(plane, key, actor=actor)
    except PreconditionFailedError as cause:
        raise WorkerCredentialRaceError(
            "the credential of this worker was changed at the same moment; look and try again"
        ) from cause


def _require_grant(grant: WorkerGrant) -> None:
    try:
        require_name(grant.worker_id, "worker id")
        for globs in (grant.topics, grant.capabilities):
            compile_globs(globs)
    except (InvalidRequestError, GlobError) as cause:
        raise WorkerGrantError(str(cause)) from cause
    if grant.worker_id.startswith(CALLER_PREFIX):
        raise WorkerGrantError(f"a worker id does not begin with `{CALLER_PREFIX}`")
    if not grant.topics:
        raise WorkerGrantError(
            "`allowed_topics` is empty, so the worker could never be offered a job; name topics"
            " such as `job.deploy.*`"
        )
