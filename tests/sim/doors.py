"""The server's own handlers, as people and agents use them: read jobs, results and the stream,
release and discard. Whatever they answer is searched; a progress is not in the store at all."""

import asyncio
from random import Random
from typing import Any

import msgspec

from forestall.control.keys import authenticate
from forestall.errors import ForestallError
from forestall.identity.roles import Permission
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Call, StreamingBody
from tests.sim.world import Client, NoAnswerError, Process, World, short

HANDLERS = {(endpoint.method, endpoint.path): endpoint.handler for endpoint in ENDPOINTS}
JOB = "/api/v1/jobs/{job_id}"
OUTPUT = JOB + "/output"
_OF_ONE = (JOB, OUTPUT, JOB + "/decisions")
_OF_ALL = ("/api/v1/jobs", "/api/v1/dlq", "/api/v1/dlq/page", "/api/v1/quarantine")
_STREAM = "/api/v1/stream"
_QUIET_S = 2.0  # of a stream that has said everything


async def read(world: World, who: str, key: str, random: Random, job_id: str) -> None:
    """Read something, of this job if there is one."""
    path = random.choice((*_OF_ONE, JOB, *_OF_ALL) if job_id else _OF_ALL)

    async def send(process: Process, client: Client) -> str:
        await _look(world, process, client, key, path, job_id)
        return "read"

    try:
        await world.call(who, f"read {path.removeprefix('/api/v1')} {short(job_id)}", send)
    except (NoAnswerError, ForestallError):
        return


async def resolve(world: World, who: str, key: str, random: Random, job_id: str, verb: str) -> bool:
    """Release or discard a withheld result; whether that was done, as far as is known."""
    results = world.checks.results
    mode = random.choice(("original", "redacted"))
    reason = f"looked at {short(job_id)}"

    async def send(process: Process, client: Client) -> str:
        subject = authenticate(process.plane, key)
        said = {"reason": reason} | ({"mode": mode} if verb == "release" else {})
        call = Call(subject, (job_id,), {}, {}, msgspec.json.encode(said), client.receive)
        answer = await HANDLERS["POST", f"{OUTPUT}/{verb}"](process.plane, call)
        results.search(msgspec.json.encode(answer.body), f"{verb} answers")
        return "done"

    if random.random() < 0.2:  # people quote what they look at
        canary = results.canaries.credential(random)
        results.reasons.setdefault(job_id, []).append(canary)
        reason += f" because of {canary.text} in it"
    try:
        await world.call(who, f"{verb} {mode} {short(job_id)}", send, patience_s=20)
    except (NoAnswerError, ForestallError):
        return False
    return True


async def _look(
    world: World, process: Process, client: Client, key: str, path: str, job_id: str
) -> None:
    subject = authenticate(process.plane, key)
    params = (job_id,) if "{" in path else ()
    query = {"include_resolved": "true", "limit": "200"}
    call = Call(subject, params, query, {}, b"", client.receive)
    answer = await HANDLERS["GET", path](process.plane, call)
    body = msgspec.to_builtins(msgspec.json.decode(msgspec.json.encode(answer.body)))
    world.counts["answers searched"] += 1
    if path == JOB:
        _progress(world, process, subject.tenant, job_id, body)
    # Whoever may release sees what stands round a finding; what is a word may be none any more.
    whole = path == OUTPUT and subject.may(Permission.OUTPUT_RELEASE)
    results = world.checks.results
    results.search(msgspec.json.encode(body), f"{path} answers", but_words=whole)


def _progress(
    world: World, process: Process, tenant: str, job_id: str, body: dict[str, Any]
) -> None:
    """Judge what is shown of the last thing a worker said, and take it out."""
    shown = body.pop("progress")["message"]
    if not shown:
        return
    world.counts["progress seen"] += 1
    results, plane = world.checks.results, process.plane
    assert plane.snapshot is not None
    told = world.checks.jobs[tenant, job_id]
    lease = told.job.lease.id if told.job.lease is not None else ""
    said = results.beats.get(lease, {})
    for canary in results.canaries.found(shown.encode()):
        beside = said.get(canary, ())
        if canary not in results.progress(plane.snapshot.digest, beside):
            raise world.violate("11", f"progress of {short(job_id)} shows {canary.text}")


async def read_stream(world: World, process: Process, key: str) -> None:
    """Read the log of a tenant from its beginning, as a client of the stream does."""
    subject = authenticate(process.plane, key)
    gone, sent = asyncio.Event(), [b""]

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    headers = {b"accept": b"text/event-stream"}
    call = Call(subject, (), {"from": "0"}, headers, b"", receive)
    answer = await HANDLERS["GET", _STREAM](process.plane, call)
    assert isinstance(answer.body, StreamingBody)
    following = asyncio.ensure_future(
        answer.body.run({"type": "http", "method": "GET"}, receive, send, ())
    )
    known = 0
    while len(sent) > known:
        known = len(sent)
        await asyncio.sleep(_QUIET_S)
    gone.set()
    await following
    world.counts["bytes streamed"] += sum(map(len, sent))
    for body in sent:
        world.checks.results.search(body, "the stream says")


async def read_everything(world: World, process: Process, key: str) -> None:
    """All lists and the stream."""
    for path in _OF_ALL:
        await _look(world, process, Client(), key, path, "")
    await read_stream(world, process, key)
