"""A second process learns everything from the log, and what it knows is what a start would load."""

from collections.abc import Iterator

import pytest

from forestall.control.expire import tick
from forestall.control.plane import Plane
from forestall.control.publish import publish
from forestall.identity.credentials import key_hash
from forestall.identity.roles import Role
from forestall.ports.change import Change, Receipt
from forestall.ports.entries import PLATFORM_TENANT, EntryKind
from forestall.ports.store import StoreUnavailableError
from forestall.store.memory import MemoryStore
from tests.asgi import Door, opened, second_process
from tests.workers_under_test import JOBS, Worker, enforce, submit

ALLOW_ALL = "name: all\nrules: [{id: all, decision: allow, match: {topics: ['job.*']}}]"


@pytest.fixture
def door() -> Iterator[Door]:
    """The first process, over a memory store."""
    with opened(policy=ALLOW_ALL) as one:
        yield one


def catch_up(door: Door, plane: Plane) -> None:
    """Let the second process see that the log grew, and that it stays so."""
    door.run(tick(plane))
    door.clock.forward(2)
    door.run(tick(plane))


def known(plane: Plane) -> dict[str, object]:
    """What the projections say, as far as another process can know it."""
    return {
        "keys": plane.keys.of_tenant("default"),
        "topics": sorted(plane.registry.topics("default")),
        "pools": sorted(plane.registry.pools("default")),
        "schemas": sorted(plane.registry.schemas("default")),
        "webhooks": plane.webhooks.of_tenant("default"),
        "links": sorted(name for name, _ in plane.webhooks.links()),
        "policy": plane.policy.digest,
        "queue": sorted((entry.lane.topic, entry.job_id) for entry in plane.queue),
        "leases": sorted((lease.job.id, lease.job.revision) for lease in plane.leases),
    }


def live(door: Door) -> None:
    """Something of every kind happens in the first process."""
    door.key(Role.AGENT, name="agent-1")
    leaver = door.ask("POST", "/api/v1/auth/keys", {"name": "leaver", "role": "agent"}).json
    door.ask("DELETE", f"/api/v1/auth/keys/{leaver['key']['id']}")
    assert door.ask("PUT", "/api/v1/pools/p", {}).status == 201
    schema = {"id": "s", "schema": {"type": "object"}}
    assert door.ask("POST", "/api/v1/schemas", schema).status == 204
    hook = {"name": "h", "url": "https://hooks.example.com/x", "events": ["approval.asked"]}
    assert door.ask("POST", "/api/v1/webhooks", hook).status == 201
    worker = Worker(door)
    submit(door, topic="job.a")
    worker.lease(1)
    submit(door, topic="job.b")


def test_a_second_process_knows_what_the_log_tells(door: Door) -> None:
    second = second_process(door)
    at_start = second.snapshot
    assert at_start is None, "loaded, and not compiled: every gate refuses"
    live(door)
    enforce(door, ALLOW_ALL.replace("name: all", "name: other"))
    catch_up(door, second)
    assert known(second) == known(second_process(door)) == known(door.plane)
    assert second.snapshot is not None
    assert second.snapshot.digest == door.plane.policy.digest
    assert second.output_stats.of_day("default", now_us=door.clock.now_us()) == (
        door.plane.output_stats.of_day("default", now_us=door.clock.now_us())
    )


def test_what_was_removed_is_forgotten_too(door: Door) -> None:
    live(door)
    second = second_process(door)
    for path in ("pools/p?force=true", "schemas/s", "webhooks/h"):
        assert door.ask("DELETE", f"/api/v1/{path}").status in (200, 204), path
    catch_up(door, second)
    assert known(second) == known(second_process(door))
    assert not second.registry.pools("default")


def test_a_key_revoked_elsewhere_works_no_more_here(door: Door) -> None:
    text = door.key(Role.AGENT, name="leaver")
    second = second_process(door)
    (key,) = [each for each in second.keys.of_tenant("default") if each.name == "leaver"]
    assert key.usable(door.clock.now_us())
    assert door.ask("DELETE", f"/api/v1/auth/keys/{key.id}").status == 204
    catch_up(door, second)
    here = second.keys.by_hash(key_hash(text))
    assert here is not None
    assert not here.usable(door.clock.now_us())


class Losing(MemoryStore):
    """Makes changes durable whose records are of one kind, and says that it could not."""

    loses = ""

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        receipt = await super().commit(change)
        if self.loses and any(record.kind == self.loses for record in change.records):
            raise StoreUnavailableError("the answer was lost")
        return receipt


@pytest.mark.parametrize(
    ("kind", "method", "path", "body"),
    [
        ("pool.created", "PUT", "/api/v1/pools/p", {}),
        ("schema.created", "POST", "/api/v1/schemas", {"id": "s", "schema": {"type": "object"}}),
        ("topic.created", "POST", "/api/v1/topics", {"name": "job.a"}),
        ("key.created", "POST", "/api/v1/auth/keys", {"name": "k", "role": "agent"}),
        (
            "webhook.created",
            "POST",
            "/api/v1/webhooks",
            {"name": "h", "url": "https://hooks.example.com/x", "events": ["approval.asked"]},
        ),
    ],
)
def test_a_declaration_whose_answer_was_lost_is_taken_up(
    kind: str, method: str, path: str, body: dict[str, object]
) -> None:
    """Before, it stayed unknown until a restart, and the name could be used by nobody."""
    store = Losing()
    with opened(store, ALLOW_ALL) as door:
        store.loses = kind
        reply = door.ask(method, path, body)
        assert reply.status == 503, reply.body
        store.loses = ""
        door.run(tick(door.plane))
        assert known(door.plane) == known(second_process(door))


def test_a_submit_whose_answer_was_lost_is_queued() -> None:
    store = Losing()
    with opened(store, ALLOW_ALL) as door:
        worker = Worker(door)
        store.loses = "job.submitted"
        assert door.ask("POST", JOBS, {"topic": "job.a", "prompt": "x"}).status == 503
        store.loses = ""
        door.run(tick(door.plane))
        assert len(worker.lease()) == 1


def test_a_policy_activated_elsewhere_comes_into_force_here(door: Door) -> None:
    second = second_process(door)
    catch_up(door, second)
    door.run(publish(door.plane, [("p.yaml", b"default_decision: deny")], actor="test"))
    catch_up(door, second)
    assert second.snapshot is not None
    assert second.snapshot.digest == door.plane.policy.digest


def test_a_policy_that_cannot_be_compiled_here_closes_the_gate_and_stops_no_clock(
    door: Door,
) -> None:
    """Whoever has the database can take the content away; leases must end all the same."""
    worker = Worker(door)
    submit(door, topic="job.a")
    (leased,) = worker.lease(1)
    submit(door, topic="job.b")
    assert isinstance(door.store, MemoryStore)
    second = second_process(door)
    door.run(publish(second, [("p.yaml", b"default_decision: deny")], actor="test"))
    del door.store._registry[PLATFORM_TENANT, EntryKind.POLICY, second.policy.digest]
    catch_up(door, door.plane)
    assert door.plane.is_tightening
    assert worker.lease() == []
    door.clock.forward(3_600)
    door.run(tick(door.plane))
    assert door.ask("GET", f"{JOBS}/{leased['job_id']}").json["state"] == "TIMEOUT"
