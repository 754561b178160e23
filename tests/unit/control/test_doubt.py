"""A commit whose end nobody knows: what it may have done is looked up, never guessed."""

from unittest import mock

import pytest

from forestall.control.publish import (
    PolicyChangeUnderWayError,
    activate,
    keep_policy,
    publish,
)
from forestall.identity.roles import Role
from forestall.ports.change import Change, Receipt
from forestall.ports.entries import IN_FORCE, PLATFORM_TENANT, EntryKind
from forestall.ports.store import StoreUnavailableError
from forestall.projections.doubts import EntryDoubts
from forestall.store.memory import MemoryStore
from tests.asgi import opened
from tests.workers_under_test import Worker, job, pass_time, submit

POLICY = (PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE)
STRICTER = [("p.yaml", b"rules: [{id: no, decision: deny, match: {topics: ['**']}}]")]


class LosingStore(MemoryStore):
    """Makes the next change durable, and then says that it could not."""

    lose = False

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        receipt = await super().commit(change)
        if self.lose:
            self.lose = False
            raise StoreUnavailableError("the answer was lost")
        return receipt


def test_a_revocation_whose_answer_was_lost_holds_all_the_same() -> None:
    """The key works until the store is asked, a tick later, and not after."""
    store = LosingStore()
    with opened(store) as door:
        key = door.key(Role.AGENT, name="leaver")
        keys = door.plane.keys.of_tenant("default")
        (key_id,) = [one.id for one in keys if one.name == "leaver"]
        store.lose = True
        assert door.ask("DELETE", f"/api/v1/auth/keys/{key_id}").status == 503
        pass_time(door, 0.1)
        assert door.ask("GET", "/api/v1/jobs", key=key).status == 401
        assert door.ask("DELETE", f"/api/v1/auth/keys/{key_id}").status == 404


def test_a_worker_whose_rotation_was_lost_gets_nothing_under_the_old_token() -> None:
    store = LosingStore()
    with opened(store) as door:
        worker = Worker(door)
        submit(door)
        store.lose = True
        again = {"worker_id": "w1", "allowed_topics": ["job.*"]}
        assert door.ask("POST", "/api/v1/workers/credentials", again).status == 503
        pass_time(door, 0.1)
        assert worker.ask("lease").status == 401


def test_under_a_policy_that_may_have_ended_nothing_is_handed_out() -> None:
    """The stricter policy is durable, and this process was told that it is not."""
    store = LosingStore()
    with opened(store) as door:
        worker = Worker(door)
        submit(door)
        digest = door.run(keep_policy(door.plane, STRICTER, actor="test")).digest
        store.lose = True
        with pytest.raises(StoreUnavailableError):
            door.run(activate(door.plane, digest, actor="test"))
        assert worker.lease() == []
        pass_time(door, 0.1)  # the store is asked, and the policy is in force here too
        assert door.plane.policy.digest == digest
        assert worker.lease() == []
        assert [each["state"] for each in door.ask("GET", "/api/v1/jobs").json["items"]] == [
            "DENIED"
        ]


def test_a_policy_that_the_store_does_not_have_is_no_longer_waited_for() -> None:
    store = LosingStore()
    with opened(store) as door:
        worker = Worker(door)
        job_id = submit(door)["job_id"]
        door.plane.projections.entry_doubts.add(POLICY)
        assert worker.lease() == []
        pass_time(door, 60)
        (given,) = worker.lease()
        assert given["job_id"] == job_id


def test_two_policies_at_once_are_one_after_the_other() -> None:
    with opened(MemoryStore()) as door:
        door.plane.is_activating = True
        with pytest.raises(PolicyChangeUnderWayError):
            door.run(publish(door.plane, STRICTER, actor="test"))


def test_a_dispatch_whose_answer_was_lost_is_taken_back() -> None:
    """It is durable, but no worker was told: it queues again, and runs once."""
    store = LosingStore()
    with opened(store) as door:
        worker = Worker(door)
        job_id = submit(door)["job_id"]
        store.lose = True
        assert worker.ask("lease").status == 503
        pass_time(door, 0.1)
        (given,) = worker.lease()
        assert given["job_id"] == job_id


def test_without_the_doubt_a_revocation_whose_answer_was_lost_is_missed() -> None:
    """The mutant of this room: few seeds of the simulation meet it."""
    store = LosingStore()
    with opened(store) as door, mock.patch.object(EntryDoubts, "add"):
        key = door.key(Role.AGENT, name="leaver")
        (key_id,) = [
            each.id for each in door.plane.keys.of_tenant("default") if each.name == "leaver"
        ]
        store.lose = True
        assert door.ask("DELETE", f"/api/v1/auth/keys/{key_id}").status == 503
        pass_time(door, 0.1)
        assert door.ask("GET", "/api/v1/jobs", key=key).status == 200


def test_while_a_revocation_is_in_doubt_its_jobs_do_not_leave() -> None:
    """The store says that the revocation failed, and it did not: before the store was read again,
    no job is handed out; afterwards those of the revoked key are denied."""
    store = LosingStore()
    with opened(store) as door:
        worker = Worker(door)
        leaver, stays = (door.key(Role.AGENT, name=name) for name in ("leaver", "stays"))
        bodies = [{"topic": "job.demo.read", "prompt": "x"}] * 2
        ended, going = (
            door.submit(body, key=key).json["job_id"]
            for body, key in zip(bodies, (leaver, stays), strict=True)
        )
        (key_id,) = [
            each.id for each in door.plane.keys.of_tenant("default") if each.name == "leaver"
        ]
        store.lose = True
        assert door.ask("DELETE", f"/api/v1/auth/keys/{key_id}").status == 503
        assert door.plane.is_tightening
        assert worker.lease() == []
        pass_time(door, 0.1)
        assert [given["job_id"] for given in worker.lease()] == [going]
        assert job(door, ended)["failure_code"] == "submitter_revoked"


def test_while_a_revocation_is_on_its_way_its_jobs_do_not_leave() -> None:
    """Between the commit and its answer memory still believes the key."""
    with opened(MemoryStore()) as door:
        worker = Worker(door)
        submit(door)
        with door.plane.tightening():
            assert worker.lease() == []
        assert len(worker.lease()) == 1
