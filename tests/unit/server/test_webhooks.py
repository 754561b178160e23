"""Webhooks in process: what is told, to whom, how often; links; what never leaves the server."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from forestall.control.webhooks import sweep_links
from forestall.identity.roles import Role
from forestall.jobs.webhook import DeliveryMark, Reach, verify_signature
from forestall.limits import WEBHOOK_TRIES_MAX, WEBHOOKS_PER_TENANT_MAX
from forestall.projections.registry import DecodedEntry
from forestall.server.deliver import Deliverer
from forestall.server.post import DeliveryError
from tests.asgi import Door, FailingStore, assert_coded, opened
from tests.http_samples import ALLOWED_JOB, HELD_JOB
from tests.workers_under_test import pass_time

HOOKS = "/api/v1/webhooks"
OPEN = "/api/v1/approvals/open"


def marks(door: Door) -> list[DecodedEntry[DeliveryMark]]:
    """How far each webhook was told."""
    names = [name for name, _ in door.plane.webhooks]
    return [known for name in names if (known := door.plane.webhooks.mark(*name)) is not None]


URL = "https://hooks.example.com/services/T0/B0/secret-path"
PAYLOAD = "payload-that-stays-here"


class Receiver:
    """Takes messages, or refuses them as often as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Mapping[str, str], bytes]] = []
        self.refusals = 0
        self.slow: set[str] = set()  # URLs that never answer
        self.tries = 0

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """See `Sender.send`."""
        self.tries += 1
        if url in self.slow:
            await asyncio.Event().wait()
        if self.refusals:
            self.refusals -= 1
            raise DeliveryError("answered 500")
        self.got.append((url, headers, body))

    def events(self) -> list[str]:
        return [headers["X-Forestall-Event"] for _, headers, _ in self.got]

    def last(self) -> Any:
        return json.loads(self.got[-1][2])


class Post:
    """A deliverer at a door, whose pauses are counted and not waited for."""

    def __init__(self, door: Door) -> None:
        self.door, self.receiver = door, Receiver()
        self.pauses: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin, as after a start of the server."""

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            await asyncio.sleep(0)

        self.deliverer = Deliverer(self.door.plane, self.receiver, self.door.metrics, sleep)

    def stop(self) -> None:
        """End every task, as a crash would."""

        async def end() -> None:
            for name in list(self.deliverer._tasks):
                await self.deliverer._end(name)

        self.door.run(end())

    def until(self, holds: Callable[[], object], what: str = "not told") -> None:
        """Let everything run until this holds."""

        async def look() -> None:
            async with asyncio.timeout(5):
                while not holds():
                    await self.deliverer.start_and_end_tasks()
                    await asyncio.sleep(0.001)

        try:
            self.door.run(look())
        except TimeoutError:
            raise AssertionError(f"{what}: {self.receiver.got}") from None

    def told(self, count: int) -> None:
        """Exactly so many messages were taken, and that is noted."""
        self.until(lambda: len(self.receiver.got) >= count and self.noted() >= count)
        assert len(self.receiver.got) == count, self.receiver.events()

    def noted(self) -> int:
        return sum(known.value.delivered for known in marks(self.door))


@pytest.fixture
def post(door: Door) -> Iterator[Post]:
    made = Post(door)
    yield made
    made.stop()


def declare(door: Door, name: str = "chat", key: str = "", **more: Any) -> Any:
    reply = door.ask("POST", HOOKS, {"name": name, "url": URL, **more}, key=key or None)
    assert reply.status in (200, 201), reply.body
    return reply.json


def held(door: Door, **more: Any) -> str:
    return str(door.submit({**HELD_JOB, "prompt": PAYLOAD, **more}).json["job_id"])


def reject(door: Door, job_id: str) -> None:
    ann = door.key(Role.APPROVER)
    path = f"/api/v1/approvals/{job_id}/reject"
    assert door.ask("POST", path, {"reason": "no"}, key=ann).status == 200


# -- what is told --


def test_asked_and_resolved_are_told_signed_and_without_the_payload(door: Door, post: Post) -> None:
    secret = declare(door)["secret"]
    job_id = held(door)
    post.told(1)
    url, headers, body = post.receiver.got[0]
    assert url == URL
    now_s = door.clock.at_us // 1_000_000
    assert verify_signature(secret, body, headers["X-Forestall-Signature"], now_s=now_s)
    asked = json.loads(body)
    assert asked.keys() == {
        "id",
        "event",
        "at",
        "tenant",
        "job_id",
        "job_hash",
        "topic",
        "reason",
        "rule_id",
        "requester",
        "actor",
        "expires_at",
        "link",
    }
    assert (asked["event"], asked["job_id"], asked["link"]) == ("approval.asked", job_id, "")
    reject(door, job_id)
    door.submit(ALLOWED_JOB)
    second = held(door)
    door.ask("POST", f"/api/v1/jobs/{second}/cancel")
    third = held(door)
    pass_time(door, 25 * 3_600)
    post.told(6)
    assert post.receiver.events()[1:] == [
        "approval.rejected",
        "approval.asked",
        "approval.cancelled",
        "approval.asked",
        "approval.expired",
    ]
    assert post.receiver.last()["job_id"] == third
    assert not [one for one in post.receiver.got if PAYLOAD.encode() in one[2]]


def test_only_what_is_asked_for_and_only_from_now_on(door: Door, post: Post) -> None:
    before = held(door)
    declare(door, events=["approval.rejected"])
    reject(door, before)
    held(door)
    post.told(1)
    assert post.receiver.events() == ["approval.rejected"]


def test_another_tenant_is_told_nothing(door: Door, post: Post) -> None:
    declare(door, key=door.key(Role.ADMIN, "other"))
    held(door)
    declare(door, name="mine")
    held(door)
    post.told(1)
    assert post.receiver.last()["tenant"] == "default"


def test_a_slack_message_cannot_be_written_by_an_agent(door: Door, post: Post) -> None:
    """Neither a mention, nor a link, nor a line of ours: everything foreign stands as code."""
    declare(door, format="slack", link_base="https://forestall.example")
    topic = "job.deploy.<!channel>`x`\nrule: `other` @all <https://evil.example|ok> \x1b[2J\u202e"
    door.submit({**HELD_JOB, "topic": topic, "prompt": PAYLOAD})
    held(door)
    post.until(lambda: post.receiver.got)
    for _, _, body in post.receiver.got:
        text = json.loads(body)["text"]
        assert text.isprintable() or text.replace("\n", "").isprintable()
        lines = text.split("\n")
        assert lines[0] == "Approval asked"
        assert sum(line.startswith("rule: ") for line in lines) == 1
        assert lines[-1].startswith("<https://forestall.example/approvals/open#")
        for line in lines[1:-1]:
            assert line.count("`") == 2
            assert "<" not in line
        assert PAYLOAD not in text


# -- at least once --


def test_a_receiver_that_fails_is_asked_again_ever_later(door: Door, post: Post) -> None:
    declare(door)
    post.receiver.refusals = 5
    held(door)
    post.told(1)
    assert post.receiver.tries == 6
    for number, pause in enumerate(post.pauses[:5]):
        assert 2**number / 2 <= pause <= 2**number
    delivered = [one for one in door.records() if one["kind"] == "webhook.delivered"]
    assert delivered[0]["data"]["tries"] == 6


def test_what_cannot_be_told_is_a_dead_letter_and_the_next_is_told(door: Door, post: Post) -> None:
    declare(door)
    post.receiver.refusals = WEBHOOK_TRIES_MAX
    first, second = held(door), held(door)
    post.told(1)
    assert post.receiver.last()["job_id"] == second
    (dead,) = [one for one in door.records() if one["kind"] == "webhook.dead_lettered"]
    assert (dead["job_id"], dead["data"]["problem"]) == (first, "answered 500")
    (listed,) = door.ask("GET", HOOKS).json["items"]
    assert (listed["delivered"], listed["dead_letters"]) == (1, 1)
    assert listed["last_problem"] == "answered 500"
    assert door.counted("forestall_webhook_messages_total", outcome="dead_lettered") == 1


def test_a_restart_goes_on_where_the_last_one_stopped(door: Door, post: Post) -> None:
    """Marks are durable; what happened while nobody delivered is told afterwards, once."""
    declare(door)
    first = held(door)
    post.told(1)
    post.stop()
    second = held(door)
    reject(door, first)
    door.reload()
    post.start()
    post.told(3)
    told = [
        (json.loads(body)["job_id"], json.loads(body)["event"]) for *_, body in post.receiver.got
    ]
    assert told == [
        (first, "approval.asked"),
        (second, "approval.asked"),
        (first, "approval.rejected"),
    ]


def test_a_crash_after_the_message_repeats_it_under_the_same_id() -> None:
    """The note fails: the message was taken, and is sent again after the restart."""
    store = FailingStore()
    with opened(store) as door:
        post = Post(door)
        declare(door)
        held(door)
        send = post.receiver.send

        async def then_fail(*args: Any) -> None:
            await send(*args)
            store.failure = OSError("gone")

        post.receiver.send = then_fail  # type: ignore[method-assign,assignment]  # one fault
        post.until(lambda: post.receiver.got)
        post.stop()
        store.failure = None
        post.receiver.send = send  # type: ignore[method-assign]  # as before
        door.reload()
        post.start()
        post.until(lambda: post.noted() == 1)
        ids = [headers["X-Forestall-Delivery"] for _, headers, _ in post.receiver.got]
        assert len(ids) >= 2
        assert len(set(ids)) == 1
        post.stop()


def test_a_slow_receiver_delays_nobody_else(door: Door, post: Post) -> None:
    declare(door, name="slow", url="https://slow.example.com/")
    declare(door, name="quick")
    post.receiver.slow.add("https://slow.example.com/")
    for _ in range(5):
        held(door)
    post.told(5)
    assert {url for url, _, _ in post.receiver.got} == {URL}
    assert door.submit(ALLOWED_JOB).status == 200


def test_an_ended_webhook_is_told_nothing_more(door: Door, post: Post) -> None:
    """Not even while a message is under way; its mark goes with it."""
    declare(door, name="slow", url="https://slow.example.com/")
    post.receiver.slow.add("https://slow.example.com/")
    held(door)
    post.until(lambda: post.receiver.tries == 1)
    assert door.ask("DELETE", f"{HOOKS}/slow").status == 204
    post.until(lambda: not post.deliverer._tasks)
    assert not marks(door)
    assert_coded(door.ask("DELETE", f"{HOOKS}/slow"), 404, "webhook_not_found")


# -- links --


def link_of(door: Door, post: Post) -> tuple[str, str]:
    job_id = held(door)
    post.until(lambda: post.receiver.got and post.receiver.last()["job_id"] == job_id)
    base, _, token = post.receiver.last()["link"].partition("#")
    assert base == "https://forestall.example/approvals/open"
    return job_id, token


def test_a_link_opens_once_for_an_approver(door: Door, post: Post) -> None:
    """It is no credential: without a key, or with one that may not approve, it stays unused."""
    declare(door, link_base="https://forestall.example/")
    job_id, token = link_of(door, post)
    ann = door.key(Role.APPROVER)
    assert_coded(door.ask("POST", OPEN, {"token": token}, key=""), 401)
    assert_coded(door.ask("POST", OPEN, {"token": token}, key=door.key(Role.AGENT)), 403)
    stranger = door.key(Role.APPROVER, "other")
    assert_coded(
        door.ask("POST", OPEN, {"token": token}, key=stranger), 404, "approval_link_not_found"
    )
    assert door.ask("POST", OPEN, {"token": token}, key=ann).json == {"job_id": job_id}
    assert_coded(door.ask("POST", OPEN, {"token": token}, key=ann), 404, "approval_link_not_found")
    for wrong in ("", "x", "0" * 64, "\ud800"):
        assert door.ask("POST", OPEN, {"token": wrong}, key=ann).status in (400, 404)
    assert_coded(door.ask("GET", OPEN, key=ann), 405)
    assert door.ask("GET", f"/api/v1/jobs/{job_id}").json["state"] == "APPROVAL_REQUIRED"


def test_a_link_ends_with_its_approval_and_is_swept(door: Door, post: Post) -> None:
    declare(door, link_base="https://forestall.example")
    _, token = link_of(door, post)
    door.clock.forward(25 * 3_600)
    reply = door.ask("POST", OPEN, {"token": token}, key=door.key(Role.APPROVER))
    assert_coded(reply, 404, "approval_link_not_found")
    assert door.run(sweep_links(door.plane)) == 1
    assert not door.plane.webhooks.links()
    assert door.run(sweep_links(door.plane)) == 0


def test_a_link_survives_a_restart_and_works_once_after_it(door: Door, post: Post) -> None:
    declare(door, link_base="https://forestall.example")
    job_id, token = link_of(door, post)
    ann = door.key(Role.APPROVER)
    door.reload()
    assert door.ask("POST", OPEN, {"token": token}, key=ann).json == {"job_id": job_id}
    door.reload()
    assert door.ask("POST", OPEN, {"token": token}, key=ann).status == 404


# -- declaring --


def test_neither_url_secret_nor_token_is_in_a_record_a_listing_or_a_log_line(
    door: Door, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    secret = declare(door, link_base="https://forestall.example")["secret"]
    post.receiver.refusals = WEBHOOK_TRIES_MAX
    held(door)
    _, token = link_of(door, post)
    seen = json.dumps(door.records()) + door.ask("GET", HOOKS).body.decode() + caplog.text
    for word in (secret, secret[6:], "secret-path", token):
        assert word not in seen
    stored = b"".join(known.entry.body for _, known in door.plane.webhooks)
    assert secret[6:].encode() not in stored
    assert token not in str(door.plane.webhooks.links())


def test_a_secret_is_shown_once_and_can_be_changed(door: Door) -> None:
    made = declare(door)
    again = declare(door, events=["approval.asked"])
    assert "secret" not in again
    rotated = declare(door, rotate_secret=True)
    assert rotated["secret"] not in ("", made["secret"])
    other = declare(door, key=door.key(Role.ADMIN, "other"))
    assert other["secret"] not in (made["secret"], rotated["secret"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a"},
        {"url": URL},
        {"name": "a b", "url": URL},
        {"name": "a", "url": "http://example.com"},
        {"name": "a", "url": "https://127.0.0.1/"},
        {"name": "a", "url": "https://169.254.169.254/"},
        {"name": "a", "url": URL, "events": ["all"]},
        {"name": "a", "url": URL, "events": "approval.asked"},
        {"name": "a", "url": URL, "format": "xml"},
        {"name": "a", "url": URL, "link_base": "javascript:alert(1)"},
        {"name": "a", "url": URL, "unknown": 1},
        [],
    ],
    ids=json.dumps,
)
def test_a_webhook_is_declared_only_as_it_should_be(door: Door, body: Any) -> None:
    before = door.trace()
    assert_coded(door.ask("POST", HOOKS, body), 400, "webhook_invalid")
    assert door.trace() == before


def test_there_are_so_many_and_no_more(door: Door) -> None:
    for number in range(WEBHOOKS_PER_TENANT_MAX):
        declare(door, name=f"h{number}")
    reply = door.ask("POST", HOOKS, {"name": "more", "url": URL})
    assert_coded(reply, 409, "webhooks_full")
    declare(door, name="h0", format="slack")  # one that is there can be changed


def test_a_server_without_webhooks_takes_none(door: Door) -> None:
    door.plane.webhooks.reach = Reach.OFF
    assert_coded(door.ask("POST", HOOKS, {"name": "a", "url": URL}), 400, "webhook_invalid")
