"""The stream of the log: every record of the tenant once, in order, to those who may see it."""

import base64
import json
import logging
from typing import Any

import msgspec
import pytest

from forestall.audit.record import Record
from forestall.control.records import SALT_BYTES
from forestall.identity.roles import Role
from forestall.jobs.lifecycle import Event
from forestall.ports.change import Change
from forestall.ports.log_entry import VISIBILITIES, visibility_of
from forestall.ports.store import StoreUnavailableError
from forestall.projections import log_listeners as announce
from forestall.projections import log_reader
from forestall.server import stream
from forestall.store.memory import MemoryStore
from tests.asgi import Door
from tests.asgi import opened as door_opened
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB
from tests.streams import Opened, opened

STREAM = "/api/v1/stream"


def positions(events: list[dict[str, Any]]) -> list[int]:
    return [event["position"] for event in events]


def log_end(door: Door) -> int:
    return len(door.links())


def record(door: Door, kind: str, *, tenant: str = "default", job_id: str = "", **data: Any) -> int:
    """Put a record of any kind into the log; its position."""
    one = Record(
        kind=kind,
        at_us=door.clock.now_us(),
        tenant=tenant,
        actor="test",
        salt=door.plane.random.token(SALT_BYTES).hex(),
        job_id=job_id,
        data=data,
    )
    return door.run(door.plane.commit(Change(records=(one,)))).position


def code(one: Opened) -> str:
    one.ended()
    text: str = json.loads(one.body)["code"]
    return text


# -- what is shown --


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_a_stream_begins_now_and_shows_what_comes(door: Door, websocket: bool) -> None:
    """Nothing old; then each record once, in order, without its salt."""
    one = opened(door, websocket=websocket)
    assert one.status == (101 if websocket else 200)
    assert one.headers["last-event-id"] == str(log_end(door) - 1)
    assert one.events() == []
    first = log_end(door)
    for body in (ALLOWED_JOB, DENIED_JOB, HELD_JOB):
        door.submit(body)
    events = one.wait_for(3)
    assert positions(events) == [first, first + 1, first + 2]
    for event, link in zip(events, door.links()[first:], strict=True):
        leaf = json.loads(link.record)
        salt = leaf.pop("salt")
        assert len(salt) == 32
        assert salt not in json.dumps(event)
        assert {name: event[name] for name in leaf} == leaf
    one.hang_up()
    assert len(door.plane.announcer) == 0


def test_nothing_stands_before_the_first_event(door: Door) -> None:
    """A comment would be the first event of one published client."""
    one = opened(door)
    assert one.status == 200
    assert one.headers["content-type"] == "text/event-stream"
    assert one.headers["cache-control"] == "no-store"
    door.submit(ALLOWED_JOB)
    one.wait_for(1)
    assert one.body.startswith(b"id: ")
    one.hang_up()


def test_the_peers_packet_stands_in_the_same_object(door: Door) -> None:
    """Exactly one of jobRequest, jobProgress, jobResult, for events of jobs alone."""
    one = opened(door, websocket=True)
    accepted = door.submit(ALLOWED_JOB).json["job_id"]
    denied = door.submit(DENIED_JOB).json
    record(door, "job.started", job_id=accepted, state="RUNNING")
    record(door, "job.succeeded", job_id=accepted, state="SUCCEEDED", reason="fine")
    record(door, "policy.tried")
    events = one.wait_for(5)
    assert [sorted(event.keys() & {"jobRequest", "jobProgress", "jobResult"}) for event in events]
    assert events[0]["jobRequest"] == {"jobId": accepted, "topic": "job.demo.read"}
    assert events[1]["jobResult"] == {
        "jobId": denied["job_id"],
        "status": "JOB_STATUS_DENIED",
        "errorMessage": denied["reason"],
    }
    assert events[2]["jobProgress"] == {"jobId": accepted, "message": "RUNNING"}
    assert events[3]["jobResult"] == {"jobId": accepted, "status": "JOB_STATUS_SUCCEEDED"}
    for event in events[:4]:
        assert event["protocolVersion"] == 1
        assert event["createdAt"].endswith("Z")
        assert len(event.keys() & {"jobRequest", "jobProgress", "jobResult"}) == 1
    assert not events[4].keys() & {"senderId", "createdAt", "jobResult"}
    one.hang_up()


def test_every_kind_of_record_has_an_event() -> None:
    """The names that published clients know, no others; a kind nobody thought of is for admins."""
    names = {"job.state", "job.decision", "approval", "output", "policy", "audit"}
    assert {one.event for one in VISIBILITIES.values()} == names
    assert {visibility_of(f"job.{event}").event for event in Event} == {"job.state", "approval"}
    for kind in ("job.submitted", "job.denied", "job.timed_out", "job.unheard_of"):
        assert visibility_of(kind).event == "job.state"
    for kind in ("job.approval_demanded", "job.approved", "job.rejected", "approval.refused"):
        assert visibility_of(kind).event == "approval"
    assert visibility_of("action.checked").event == "job.decision"
    for kind in ("key.created", "new.thing", "", "jobs", "policyx.y"):
        assert visibility_of(kind) == VISIBILITIES[""]


@pytest.mark.parametrize(
    ("role", "events"),
    [
        (Role.ADMIN, ["job.state", "policy", "audit", "audit", "audit"]),
        (Role.VIEWER, ["job.state", "policy", "audit"]),
        (Role.AGENT, ["job.state"]),
    ],
)
def test_a_role_sees_what_it_may_read(door: Door, role: Role, events: list[str]) -> None:
    """jobs.read for jobs, policy.read for policy, workers.read for workers, keys.read for keys."""
    key = door.key(role)
    one = opened(door, key=key)
    assert one.status == 200
    # A viewer submits nothing and sees what everybody submits; an agent sees its own alone.
    door.submit(ALLOWED_JOB, key=key if role is Role.AGENT else None)
    for kind in ("policy.refused", "worker.refused", "key.created", "new.thing"):
        record(door, kind)
    shown = [event["event"] for event in one.wait_for(len(events))]
    assert sorted(shown) == sorted(events)
    if role is Role.AGENT:
        door.submit(ALLOWED_JOB)
        assert len(one.wait_for(len(events))) == len(events)
    else:
        record(door, "job.started")
        one.wait_for(len(events) + 1)
    one.hang_up()


def test_other_tenants_do_not_exist(door: Door) -> None:
    """Neither live nor replayed; the platform's own records are its tenant's."""
    theirs = door.key(Role.ADMIN, tenant="acme")
    first = log_end(door) - 1  # the record of that key is theirs
    mine, live, replay = (
        opened(door),
        opened(door, key=theirs),
        opened(door, f"{STREAM}?from=0", key=theirs),
    )
    assert [one.status for one in (mine, live, replay)] == [200, 200, 200]
    door.submit(ALLOWED_JOB)
    door.submit(ALLOWED_JOB, key=theirs)
    record(door, "policy.activated")
    assert [event["tenant"] for event in mine.wait_for(2)] == ["default", "default"]
    assert positions(live.wait_for(1)) == [first + 2]
    assert positions(replay.wait_for(2)) == [first, first + 2]
    for one in (mine, live, replay):
        one.hang_up()


# -- where it begins --


def test_going_on_leaves_no_gap_and_no_duplicate(door: Door) -> None:
    """Whatever the cut: what came before and after it together is the log."""
    for _ in range(6):
        door.submit(ALLOWED_JOB)
    whole = opened(door, f"{STREAM}?from=0")
    everything = positions(whole.wait_for(log_end(door)))
    assert everything == list(range(log_end(door)))
    whole.hang_up()
    for cut in everything:
        for path, headers in (
            (STREAM, {"Last-Event-ID": str(cut)}),
            (f"{STREAM}?last_event_id={cut}", {}),
            (f"{STREAM}?from=0", {"Last-Event-ID": str(cut)}),
            (f"{STREAM}?from={cut + 1}", {}),
        ):
            rest = opened(door, path, headers=headers)
            assert rest.headers["last-event-id"] == str(cut)
            assert positions(rest.wait_for(len(everything) - cut - 1)) == everything[cut + 1 :]
            rest.hang_up()


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
@pytest.mark.parametrize(
    "text",
    ["-1", "x", "1.0", "0x1", "٣", "9" * 15, "9" * 16, "9" * 17, "1" * 10_000, "1 2", "1,2", "+1"],
    ids=lambda text: text[:20],
)
def test_a_position_that_is_none_is_refused(door: Door, websocket: bool, text: str) -> None:
    """Beyond the end as well: silence there would hide that the log is another one."""
    for path in (f"{STREAM}?from={text.replace('+', '%2B')}", f"{STREAM}?last_event_id={text}"):
        if text.isascii():
            one = opened(door, path.replace(" ", "%20"), websocket=websocket)
            assert one.status == 400
            if text != "+1" or "from" in path:
                assert code(one) == "stream_position_invalid"
    one = opened(door, websocket=websocket, headers={"Last-Event-ID": text})
    assert one.status == 400
    assert code(one) == "stream_position_invalid"
    assert len(door.plane.announcer) == 0


def test_the_end_of_the_log_is_a_position(door: Door) -> None:
    """`from` the next record is now; one further is nowhere."""
    end = log_end(door)
    one = opened(door, f"{STREAM}?from={end}")
    assert one.status == 200
    one.hang_up()
    assert opened(door, f"{STREAM}?from={end + 1}").status == 400
    assert opened(door, headers={"Last-Event-ID": str(end)}).status == 400
    assert opened(door, headers={"Last-Event-ID": ""}).status == 200


# -- one job --


def test_a_job_is_followed_alone_with_its_history(door: Door) -> None:
    """Its records and no others, from the beginning if asked."""
    first, other = (door.submit(ALLOWED_JOB).json["job_id"] for _ in range(2))
    live = opened(door, f"/api/v1/jobs/{first}/stream")
    replay = opened(door, f"/api/v1/jobs/{first}/stream?from=0")
    assert [event["kind"] for event in replay.wait_for(1)] == ["job.submitted"]
    record(door, "job.started", job_id=other, state="RUNNING")
    record(door, "job.started", job_id=first, state="RUNNING")
    assert [event["kind"] for event in live.wait_for(1)] == ["job.started"]
    assert {event["job_id"] for event in (*live.events(), *replay.wait_for(2))} == {first}
    live.hang_up()
    replay.hang_up()


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_another_tenants_job_is_not_found(door: Door, websocket: bool) -> None:
    """It looks as one that does not exist."""
    theirs = door.key(Role.ADMIN, tenant="acme")
    job_id = door.submit(ALLOWED_JOB, key=theirs).json["job_id"]
    for name in (job_id, "none", "%2e%2e"):
        one = opened(door, f"/api/v1/jobs/{name}/stream?from=0", websocket=websocket)
        assert one.status == 404
        assert code(one) == "job_not_found"


# -- who may, and for how long --


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_a_revoked_key_ends_its_streams_at_once(door: Door, websocket: bool) -> None:
    """The record of the revocation wakes them; what comes after it they never see."""
    key = door.key(Role.ADMIN, name="short")
    job_id = door.submit(ALLOWED_JOB).json["job_id"]
    streams = [
        opened(door, path, key=key, websocket=websocket)
        for path in (STREAM, f"/api/v1/jobs/{job_id}/stream")
    ]
    assert {one.status for one in streams} <= {101, 200}
    items = door.ask("GET", "/api/v1/auth/keys").json["items"]
    (key_id,) = [one["id"] for one in items if one["name"] == "short"]
    door.ask("DELETE", f"/api/v1/auth/keys/{key_id}")
    door.submit(ALLOWED_JOB)
    for one in streams:
        one.ended()
        assert one.events() == []
        assert not websocket or one.closed == 1008
    assert len(door.plane.announcer) == 0
    assert opened(door, key=key).status == 401


def test_an_expired_key_ends_its_streams(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next heartbeat, with nothing happening at all."""
    monkeypatch.setattr(stream, "STREAM_HEARTBEAT_SECONDS", 0.02)
    key = door.key(Role.VIEWER, expires_at_us=door.clock.at_us + 60_000_000)
    one = opened(door, key=key)
    one.until(lambda: b":\n\n" in one.body, "no heartbeat")
    door.clock.at_us += 60_000_000
    one.ended()
    assert one.events() == []


def test_a_heartbeat_comes_whatever_others_do(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that the follower may not see wake it, but are no sign of life to its client."""
    monkeypatch.setattr(stream, "STREAM_HEARTBEAT_SECONDS", 0.05)
    one = opened(door, key=door.key(Role.AGENT))
    assert one.status == 200
    for _ in range(20):
        record(door, "key.created")
    one.until(lambda: one.body.count(b":\n\n") >= 2, "no heartbeats")
    one.hang_up()


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_a_stream_asks_for_what_jobs_ask_for(door: Door, websocket: bool) -> None:
    """A key; its tenant, in whatever place a tenant is named."""
    assert opened(door, key="", websocket=websocket).status == 401
    assert opened(door, key="wrong", websocket=websocket).status == 401
    for path, headers in (
        (STREAM, {"X-Tenant-ID": "acme"}),
        (STREAM, {"X-Cordum-Tenant": "acme"}),
        (f"{STREAM}?tenant=acme", {}),
        (f"{STREAM}?tenant_id=acme", {}),
    ):
        one = opened(door, path, headers=headers, websocket=websocket)
        assert one.status == 403
        assert code(one) == "tenant_access_denied"
    fine = opened(door, f"{STREAM}?tenant=default&tenant_id=default", websocket=websocket)
    assert fine.status in (101, 200)
    fine.hang_up()


def _encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def test_a_key_may_come_in_the_subprotocol(door: Door) -> None:
    """In both forms; only the plain name is answered, and only to those who offered it."""
    key = _encoded(door.admin)
    for offered, answered in (
        (["cordum-api-key", key], "cordum-api-key"),
        (["other", "cordum-api-key", key], "cordum-api-key"),
        ([f"cordum-api-key.{key}"], None),
        ([f"cordum-api-key.{key}="], None),
    ):
        one = opened(door, key="", websocket=True, subprotocols=offered)
        assert one.status == 101, offered
        assert one.sent[0]["subprotocol"] == answered
        one.hang_up()
    for offered in (
        ["cordum-api-key"],
        ["cordum-api-key", ""],
        ["cordum-api-key", "!!!"],
        ["cordum-api-key", _encoded("wrong")],
        [key, "cordum-api-key"],
        ["cordum-api-key.", key],
        ["cordum-api-key", _encoded("é" * 50)],
        ["cordum-api-key", "A" * 100_000],
    ):
        one = opened(door, key="", websocket=True, subprotocols=offered)
        assert one.status == 401, offered
        assert code(one) == "unauthorized"


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://here.example.evil", "https://here.example:8443", "x"],
)
def test_a_foreign_page_gets_nothing_by_ambient_credentials(
    door: Door, websocket: bool, origin: str
) -> None:
    """A header may have been added by something on the way; a sub-protocol may not."""
    key = _encoded(door.admin)
    one = opened(door, websocket=websocket, headers={"Origin": origin})
    assert one.status == 403
    assert code(one) == "origin_denied"
    if websocket:
        offered = ["cordum-api-key", key]
        both = opened(door, websocket=True, headers={"Origin": origin}, subprotocols=offered)
        assert both.status == 403, "the header was the credential"
        sub = opened(door, key="", websocket=True, headers={"Origin": origin}, subprotocols=offered)
        assert sub.status == 101
        sub.hang_up()


def test_a_page_of_our_own_may(door: Door) -> None:
    """Scheme aside: TLS may end before us."""
    for origin in ("https://here.example", "http://HERE.example"):
        one = opened(door, websocket=True, headers={"Origin": origin})
        assert one.status == 101
        one.hang_up()


# -- bounds --


def test_streams_are_counted(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per key, per tenant and in total; a stream that ended makes room."""
    monkeypatch.setattr(announce, "STREAMS_PER_KEY_MAX", 2)
    monkeypatch.setattr(announce, "STREAMS_PER_TENANT_MAX", 3)
    monkeypatch.setattr(announce, "STREAMS_MAX", 4)
    mine, other = door.key(Role.VIEWER), door.key(Role.VIEWER)
    acme, more = door.key(Role.VIEWER, tenant="acme"), door.key(Role.VIEWER, tenant="more")
    open_ones = [opened(door, key=key) for key in (mine, mine, other, acme)]
    assert [one.status for one in open_ones] == [200] * 4
    for key, whose in ((mine, "key"), (other, "tenant"), (more, "server")):
        for websocket in (False, True):
            one = opened(door, key=key, websocket=websocket)
            assert one.status == 429
            assert one.headers["retry-after"] == "15"
            assert code(one) == "too_many_streams"
            assert f"this {whose}" in json.loads(one.body)["error"].replace("API ", "")
    open_ones.pop(0).hang_up()
    again = opened(door, key=mine)
    assert again.status == 200
    for one in (*open_ones, again):
        one.hang_up()
    assert len(door.plane.announcer) == 0


def test_who_does_not_read_costs_one_page(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is not read ahead; later everything comes, in order."""
    monkeypatch.setattr(log_reader, "STREAM_PAGE_RECORDS_MAX", 10)
    reads = []
    store: Any = door.store
    links = store.links

    async def counted(**asked: Any) -> Any:
        reads.append(asked["start"])
        return await links(**asked)

    store.links = counted
    one = opened(door, f"{STREAM}?from=0", reads=False)
    for _ in range(100):
        door.submit(ALLOWED_JOB)
    assert reads == []  # it still waits for its headers to be taken
    one.read()
    one.wait_for(len(door.run(links(start=0, limit=10_000))))
    assert reads[0] == 0
    assert positions(one.events()) == list(range(len(one.events())))
    one.hang_up()


def test_a_page_is_bounded_in_bytes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large records come one after the other; none is lost at the seam."""
    monkeypatch.setattr(log_reader, "STREAM_PAGE_BYTES_MAX", 2_000)
    for _ in range(30):
        door.submit({**ALLOWED_JOB, "labels": {"note": "x" * 1_500}})
    one = opened(door, f"{STREAM}?from=0")
    end = log_end(door)
    assert positions(one.wait_for(end)) == list(range(end))
    bodies = [message for message in one.sent if message["type"] == "http.response.body"]
    assert max(len(message["body"]) for message in bodies) < 10_000
    one.hang_up()


def test_followers_share_what_is_read(door: Door) -> None:
    """Twenty followers of one tenant at one place: one read for each wake-up, not twenty."""
    reads = []
    store: Any = door.store
    links = store.links

    async def counted(**asked: Any) -> Any:
        reads.append(asked["start"])
        return await links(**asked)

    key = door.key(Role.VIEWER)
    streams = [opened(door, key=key) for _ in range(20)]
    assert {one.status for one in streams} == {200}
    door.submit(ALLOWED_JOB)
    for one in streams:
        one.wait_for(1)
    store.links = counted
    for number in range(2, 7):
        door.submit(ALLOWED_JOB)
        for one in streams:
            one.wait_for(number)
    assert len(reads) <= 5
    for one in streams:
        one.hang_up()


def test_nothing_is_read_while_nothing_happens(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats come from the clock, not from the store."""
    monkeypatch.setattr(stream, "STREAM_HEARTBEAT_SECONDS", 0.01)
    one = opened(door)
    one.until(lambda: b":\n\n" in one.body, "no heartbeat")
    with monkeypatch.context() as unreadable:
        unreadable.setattr(door.store, "links", None)
        beats = one.body.count(b":\n\n")
        one.until(lambda: one.body.count(b":\n\n") > beats + 5, "no more heartbeats")
    one.hang_up()


# -- ways to ask, and ways to end --


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/*", "text/event-streams"])
def test_neither_events_nor_websocket_is_426(door: Door, accept: str) -> None:
    """With the one error body, and what to upgrade to."""
    for path in (STREAM, "/api/v1/jobs/job-1/stream"):
        one = opened(door, path, headers={"accept": accept})
        assert one.status == 426
        assert one.headers["upgrade"] == "websocket"
        assert code(one) == "upgrade_required"


@pytest.mark.parametrize("accept", ["text/event-stream, */*", "a/b;q=1, TEXT/event-stream;q=0.5"])
def test_accept_is_a_list(door: Door, accept: str) -> None:
    one = opened(door, headers={"accept": accept})
    assert one.status == 200
    one.hang_up()


def test_head_answers_and_ends(door: Door) -> None:
    """The headers of the stream; no stream."""
    one = opened(door, method="HEAD")
    one.ended()
    assert (one.status, one.body) == (200, b"")
    assert one.headers["content-type"] == "text/event-stream"
    assert len(door.plane.announcer) == 0
    assert opened(door, method="POST").status == 405


def test_an_upgrade_of_another_path_is_an_ordinary_request(door: Door) -> None:
    """A server may ignore an upgrade: the answer comes as if nobody had asked for one."""
    for path, status in (("/api/v1/jobs", 200), ("/api/v1/nothing", 404), ("/livez", 200)):
        one = opened(door, path, websocket=True)
        assert one.status == status
        one.ended()


def test_what_a_client_says_is_ignored(door: Door) -> None:
    """A stream takes no messages, and none ends it."""
    one = opened(door, websocket=True)
    assert one.status == 101
    for _ in range(100):
        one.say({"type": "websocket.receive", "text": "x" * 4_000})
    door.submit(ALLOWED_JOB)
    one.wait_for(1)
    one.hang_up()


def test_a_client_that_vanishes_while_it_is_written_to_is_no_error(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """ASGI says OSError; nobody is told anything, and nothing is left."""
    one = opened(door, websocket=True)
    assert one.status == 101
    one.lost = True
    door.submit(ALLOWED_JOB)
    one.ended()
    assert len(door.plane.announcer) == 0
    assert not [entry for entry in caplog.records if entry.levelno >= logging.ERROR]


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_stopping_ends_every_stream(door: Door, websocket: bool) -> None:
    """At once, properly; nobody may open another one."""
    streams = [opened(door, websocket=websocket) for _ in range(5)]
    assert {one.status for one in streams} <= {101, 200}
    door.plane.announcer.stop()
    for one in streams:
        one.ended()
        if websocket:
            assert one.closed == 1012
        else:
            assert one.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    late = opened(door, websocket=websocket)
    assert late.status == 503
    assert late.headers["retry-after"] == "1"
    assert code(late) == "stopping"


class _Failing(MemoryStore):
    """A store that cannot be read from the moment `failing` is set."""

    failing = False

    async def links(self, **asked: Any) -> Any:
        if self.failing:
            raise StoreUnavailableError("the disk is gone")
        return await super().links(**asked)


@pytest.mark.parametrize("websocket", [False, True], ids=["sse", "websocket"])
def test_a_log_that_cannot_be_read_ends_the_stream(websocket: bool) -> None:
    """The client goes on from its last event when it can be read again."""
    store = _Failing()
    with door_opened(store) as door:
        one = opened(door, websocket=websocket)
        assert one.status in (101, 200)
        store.failing = True
        door.submit(ALLOWED_JOB)
        one.ended()
        assert not websocket or one.closed == 1011
        assert len(door.plane.announcer) == 0


def test_an_announcement_during_a_read_is_not_lost(door: Door) -> None:
    """What is committed while a page is read comes with the next page, however the turns fall."""
    streams = [opened(door) for _ in range(3)]
    assert {one.status for one in streams} == {200}

    async def burst() -> None:
        for _ in range(200):
            await door.ask_async("POST", "/api/v1/jobs", ALLOWED_JOB)

    first = log_end(door)
    door.run(burst())
    for one in streams:
        assert positions(one.wait_for(200)) == list(range(first, first + 200))
        one.hang_up()


def test_no_secret_leaves(door: Door) -> None:
    """Neither salts, nor hashes of keys, nor payloads."""
    door.submit({**ALLOWED_JOB, "prompt": "hush-hush", "context": {"password": "hush-hush"}})
    key = door.key(Role.VIEWER)
    one = opened(door, f"{STREAM}?from=0")
    one.wait_for(log_end(door))
    text = one.body.decode()
    assert "hush-hush" not in text
    assert key not in text
    assert '"salt"' not in text
    for link in door.links():
        assert msgspec.json.decode(link.record)["salt"] not in text
    one.hang_up()
