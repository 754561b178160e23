"""The API of workers: credentials, sessions, leases, heartbeats, results."""

import asyncio
import contextlib
from collections.abc import Awaitable

from forestall.control.complete import complete
from forestall.control.dispatch import dispatch
from forestall.control.plane import Plane
from forestall.control.worker_credentials import issue_worker, list_workers, revoke_worker
from forestall.control.worker_protocol import (
    beat,
    give_back,
    hand_back,
    register,
    require_clean_offer,
    require_itself,
    session_of,
    wait_for_work,
)
from forestall.errors import ForestallError, NotFoundError
from forestall.identity.roles import Permission
from forestall.jobs.worker import DispatchedJob, WorkerAnswer
from forestall.projections.worker_sessions import WorkerSession
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.errors import error_object
from forestall.wire.jobs import JobSummaryObject, job_summary
from forestall.wire.objects import ItemList
from forestall.wire.work import (
    AnsweredItemObject,
    AnsweredObject,
    CompletedObject,
    CredentialBody,
    CredentialObject,
    HeartbeatBody,
    HeartbeatObject,
    LeaseBody,
    LeasedObject,
    LostObject,
    RegisterBody,
    RegisteredObject,
    ResultBody,
    ResultsBody,
    ReturnBody,
    ReturnedObject,
    SessionRevokedObject,
    WorkerObject,
    completed_object,
    credential_object,
    decode_credential,
    decode_heartbeat,
    decode_lease,
    decode_lease_id,
    decode_register,
    decode_result,
    decode_results,
    dispatched_object,
    registered_object,
    worker_object,
)


class WorkerNotFoundError(NotFoundError):
    """No worker of this tenant with this id is registered now."""

    code, http_status = "WORKER_NOT_FOUND", 404


async def _take(
    plane: Plane,
    session: WorkerSession,
    limit: int,
    seconds: float,
    disconnect: asyncio.Future[None],
) -> list[DispatchedJob]:
    """Jobs for a worker: at once when there are any, else when some are queued. Empty when the time
    is over, the client has closed the connection, or the session was replaced."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        dispatched = await dispatch(plane, session, limit=limit)
        left = until - loop.time()
        if dispatched or left <= 0 or disconnect.done() or plane.workers.closed:
            return dispatched
        await _unless_gone(wait_for_work(plane, session, seconds=left), disconnect)
        if plane.workers.get(*session.name) is not session:
            return []  # the worker registered again, or its credential was revoked


async def _unless_gone(waiting: Awaitable[None], disconnect: asyncio.Future[None]) -> None:
    """Await `waiting`, but no longer than the client keeps the connection open."""
    task = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _notice(session: WorkerSession, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(session.notice.wait(), seconds)


def _session(plane: Plane, call: Call) -> WorkerSession:
    session = plane.workers.get(call.who.tenant, call.params[0])
    if session is None:
        raise WorkerNotFoundError("no such worker is registered now; `GET /api/v1/workers`")
    return session


def _worker_object(plane: Plane, session: WorkerSession) -> WorkerObject:
    active = plane.leases.count_of_worker(session.name)
    now_us = plane.clock.now_us()
    return worker_object(session.status(), active=active, now_us=now_us, lease_us=plane.lease_us)


P = Permission
_WORKERS = "/api/v1/workers"
_TABLE = EndpointTable()


@_TABLE.row(
    "POST",
    _WORKERS + "/credentials",
    P.WORKERS_WRITE,
    {200: CredentialObject, 201: CredentialObject},
    CredentialBody,
)
async def _issue(plane: Plane, call: Call) -> Answer:
    """Issue or rotate the credential of a worker."""
    grant, seconds, agent_id = await call.decoded(decode_credential)
    expires_at_us = plane.clock.now_us() + seconds * 1_000_000 if seconds is not None else None
    issued = await issue_worker(
        plane,
        call.who.tenant,
        grant,
        actor=call.who.principal,
        expires_at_us=expires_at_us,
        agent_id=agent_id,
    )
    body = credential_object(issued.key, token=issued.token)
    return Answer(200 if issued.rotated else 201, body)


@_TABLE.row("GET", _WORKERS + "/credentials", P.WORKERS_READ, {200: ItemList[CredentialObject]})
async def _credentials(plane: Plane, call: Call) -> Answer:
    """List the credentials of workers."""
    keys = list_workers(plane, call.who.tenant)
    return Answer(200, ItemList([credential_object(key) for key in keys]))


@_TABLE.row("DELETE", _WORKERS + "/credentials/{worker_id}", P.WORKERS_WRITE, {204: None})
async def _revoke(plane: Plane, call: Call) -> Answer:
    """Revoke the credential of a worker."""
    await revoke_worker(plane, call.who.tenant, call.params[0], actor=call.who.principal)
    return Answer(204, None)


@_TABLE.row("GET", _WORKERS, P.WORKERS_READ, {200: ItemList[WorkerObject]})
async def _workers(plane: Plane, call: Call) -> Answer:
    """List the workers that are there now."""
    sessions = [session for session in plane.workers if session.tenant == call.who.tenant]
    return Answer(200, ItemList([_worker_object(plane, session) for session in sessions]))


@_TABLE.row("GET", _WORKERS + "/{worker_id}", P.WORKERS_READ, {200: WorkerObject})
async def _worker(plane: Plane, call: Call) -> Answer:
    """Read one worker."""
    return Answer(200, _worker_object(plane, _session(plane, call)))


@_TABLE.row(
    "GET", _WORKERS + "/{worker_id}/jobs", P.WORKERS_READ, {200: ItemList[JobSummaryObject]}
)
async def _jobs_of_worker(plane: Plane, call: Call) -> Answer:
    """List the jobs that a worker holds."""
    leased = plane.leases.of_worker((call.who.tenant, call.params[0]))
    return Answer(200, ItemList([job_summary(item.job) for item in leased]))


@_TABLE.row(
    "POST", _WORKERS + "/{worker_id}/revoke-session", P.WORKERS_WRITE, {200: SessionRevokedObject}
)
async def _revoke_session(plane: Plane, call: Call) -> Answer:
    """Forget a worker's session; it may register again while its credential lasts."""
    session = _session(plane, call)
    plane.workers.drop(session.tenant, session.id)
    return Answer(200, SessionRevokedObject(session.id, session.tenant, revoked=True))


@_TABLE.row(
    "POST", _WORKERS + "/{worker_id}/register", P.WORK, {200: RegisteredObject}, RegisterBody
)
async def _register(plane: Plane, call: Call) -> Answer:
    """A worker says what it can do."""
    await require_itself(plane, call.who, call.params[0], what="register")
    offer = await call.decoded(decode_register)
    await require_clean_offer(plane, call.who, offer)
    session = register(plane, call.who, call.params[0], offer)
    key = plane.signer.public_key
    return Answer(200, registered_object(session.status(), key, lease_us=plane.lease_us))


@_TABLE.row("POST", _WORKERS + "/{worker_id}/lease", P.WORK, {200: LeasedObject}, LeaseBody)
async def _lease(plane: Plane, call: Call) -> Answer:
    """Take jobs, waiting for the first if wanted."""
    await require_itself(plane, call.who, call.params[0], what="lease")
    session = session_of(plane, call.who, call.params[0])
    limit, seconds = await call.decoded(decode_lease)
    with session.waiting():
        disconnect = asyncio.ensure_future(call.gone())
        try:
            dispatched = await _take(plane, session, limit, seconds, disconnect)
            if dispatched and disconnect.done():
                await give_back(plane, dispatched)
                dispatched = []
        finally:
            disconnect.cancel()
    return Answer(200, LeasedObject([dispatched_object(item) for item in dispatched]))


@_TABLE.row(
    "POST", _WORKERS + "/{worker_id}/heartbeat", P.WORK, {200: HeartbeatObject}, HeartbeatBody
)
async def _heartbeat(plane: Plane, call: Call) -> Answer:
    """Renew leases; learn which jobs to stop."""
    await require_itself(plane, call.who, call.params[0], what="heartbeat")
    session = session_of(plane, call.who, call.params[0])
    beats, seconds = await call.decoded(decode_heartbeat)
    session.notice.clear()
    lost = await beat(plane, session, beats)
    if not lost and seconds > 0 and not plane.workers.closed:
        with session.waiting():
            disconnect = asyncio.ensure_future(call.gone())
            try:
                await _unless_gone(_notice(session, seconds), disconnect)
            finally:
                disconnect.cancel()
        lost = await beat(plane, session, beats)
    return Answer(200, HeartbeatObject([LostObject.of(item) for item in lost]))


@_TABLE.row("POST", "/api/v1/jobs/{job_id}/result", P.WORK, {200: CompletedObject}, ResultBody)
async def answer_for_job(plane: Plane, call: Call) -> Answer:
    """Answer for a job.

    Take the answer of a worker, or of a caller that claimed the job.
    """
    lease_id, answer = await call.decoded(decode_result)
    job = await complete(plane, call.who, call.params[0], lease_id, answer)
    return Answer(200, completed_object(job))


@_TABLE.row("POST", _WORKERS + "/{worker_id}/results", P.WORK, {200: AnsweredObject}, ResultsBody)
async def _answer_for_jobs(plane: Plane, call: Call) -> Answer:
    """Answer for several jobs at once.

    Take several answers. Each is accepted or refused on its own; their commits may share one
    sync of the disk.
    """
    session_of(plane, call.who, call.params[0])
    answers = await call.decoded(decode_results)

    async def answer_for_one(
        job_id: str, lease_id: str, answer: WorkerAnswer
    ) -> AnsweredItemObject:
        try:
            job = await complete(plane, call.who, job_id, lease_id, answer)
        except ForestallError as error:
            return AnsweredItemObject.of(error_object(error), job_id=job_id)
        return AnsweredItemObject.of(completed_object(job), status=200)

    items = await asyncio.gather(*(answer_for_one(*each) for each in answers))
    return Answer(200, AnsweredObject(items))


@_TABLE.row("POST", "/api/v1/jobs/{job_id}/return", P.WORK, {200: ReturnedObject}, ReturnBody)
async def _return(plane: Plane, call: Call) -> Answer:
    """Give back a job that was not begun."""
    lease_id = await call.decoded(decode_lease_id)
    job = await hand_back(plane, call.who, call.params[0], lease_id)
    return Answer(200, ReturnedObject(job.id, job.state))


ENDPOINTS = tuple(_TABLE)
