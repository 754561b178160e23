"""Wait for a job to change, in one request instead of many. Keeps a listener and no copy.

A wait counts as a stream towards the streams that a key, a tenant and the server may have open. It
ends when the job's state has changed, when its time is over, when the client closes the connection
and when the server stops; the answer is the job as it is then. When the key ends, it is refused.
"""

import asyncio
import contextlib

from forestall.control.keys import still_valid
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.errors import InvalidRequestError, UnauthorizedError
from forestall.jobs.job import JobState
from forestall.jobs.lifecycle import TERMINAL
from forestall.limits import JOB_WAIT_MS_MAX
from forestall.ports.store import JobView
from forestall.projections.log_listeners import LogListener
from forestall.server.endpoints import Call
from forestall.server.query import state_of


async def read_when_changed(plane: Plane, call: Call) -> JobView:
    """The job of the path, after at most `wait_ms` milliseconds in which its state is `while_state`
    (without it: the state at the request). Without `wait_ms` there is no wait.

    Raises JobNotFoundError, InvalidRequestError, UnauthorizedError, TooManyStreamsError,
    StoppingError.
    """
    job_id = call.params[0]
    wait_ms = _milliseconds(call.query.get("wait_ms", ""))
    state = _state(call.query.get("while_state", ""))
    view = await read_job(plane, call.who, job_id)
    state = state or view.job.state
    if not wait_ms or view.job.state is not state or state in TERMINAL:
        return view
    disconnect = asyncio.ensure_future(call.gone())
    try:
        with plane.announcer.listen(call.who, job_id) as listener:
            disconnect.add_done_callback(lambda _: listener.wake())
            await _wait_for_change(
                plane, call, listener, disconnect, state=state, seconds=wait_ms / 1_000
            )
    finally:
        disconnect.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await disconnect
    return await read_job(plane, call.who, job_id)


async def _wait_for_change(
    plane: Plane,
    call: Call,
    listener: LogListener,
    disconnect: "asyncio.Future[None]",
    *,
    state: JobState,
    seconds: float,
) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while not disconnect.done() and not plane.announcer.stopping:
        if not still_valid(plane, call.who):
            raise UnauthorizedError("unauthorized: the key was revoked or has expired")
        # Read the job after listening began, so that no change falls between the two.
        if (await read_job(plane, call.who, call.params[0])).job.state is not state:
            return
        if not await listener.wait(max(0.0, until - clock())):
            return


def _milliseconds(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise InvalidRequestError(f"`wait_ms` is a whole number from 0 to {JOB_WAIT_MS_MAX}")
    return min(int(text), JOB_WAIT_MS_MAX)


def _state(text: str) -> JobState | None:
    try:
        return state_of(text)
    except InvalidRequestError:
        raise InvalidRequestError("`while_state` is one of " + ", ".join(JobState)) from None
