"""`verify_log` over a store that somebody changed: each field, each record is a difference."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from forestall.audit.chain import Head, append, leaf_of
from forestall.control.verify import verify_log
from forestall.limits import AUDIT_PAGE_RECORDS_MAX
from forestall.store.memory import MemoryStore
from tests.asgi import Door, opened
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB
from tests.workers_under_test import Worker

Tamper = Callable[["Books"], object]


class Books:
    """A store with a job of each kind, whose tables a test may change."""

    def __init__(self, door: Door, store: MemoryStore) -> None:
        self.door, self.store = door, store
        worker = Worker(door)
        self.done = str(door.submit(ALLOWED_JOB).json["job_id"])
        (leased,) = worker.lease()
        assert worker.answer(leased, result={"rows": 3}).status == 200
        self.waits = str(door.submit(ALLOWED_JOB).json["job_id"])
        self.held = str(door.submit(HELD_JOB).json["job_id"])
        self.denied = str(door.submit(DENIED_JOB).json["job_id"])

    def problems(self) -> tuple[str, ...]:
        """What verification finds."""
        return self.door.run(verify_log(self.store)).problems

    def job(self, job_id: str, **fields: Any) -> None:
        """Change fields of a stored job."""
        body = json.loads(self.store._jobs["default", job_id])
        self.store._jobs["default", job_id] = json.dumps({**body, **fields}).encode()

    def decision(self, job_id: str, **fields: Any) -> None:
        """Change fields of the first decision on a job, where it stands beside the job."""
        first, *rest = self.store._decisions["default", job_id]
        changed = json.dumps({**json.loads(first), **fields}).encode()
        self.store._decisions["default", job_id] = [changed, *rest]

    def log(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Change the records, and chain them anew, as somebody with the file can."""
        records = change([json.loads(link.record) for link in self.store._log])
        leaves = [leaf_of(msgspec.json.encode(record)) for record in records]
        self.store._log, _ = append(Head(), leaves)

    def without(self, kind: str, job_id: str) -> None:
        """Remove the records of a kind of a job."""
        self.log(
            lambda records: [
                each for each in records if (each["kind"], each["job_id"]) != (kind, job_id)
            ]
        )

    def rewritten(self, kind: str, job_id: str, **data: Any) -> None:
        """Change the data of the records of a kind of a job."""

        def change(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
            for record in records:
                if (record["kind"], record["job_id"]) == (kind, job_id):
                    record["data"].update(data)
            return records

        self.log(change)


@pytest.fixture
def books() -> Iterator[Books]:
    store = MemoryStore()
    with opened(store) as door:
        yield Books(door, store)


def test_an_honest_store_has_no_problem(books: Books) -> None:
    assert books.problems() == ()
    report = books.door.run(verify_log(books.store))
    assert (report.ok, report.jobs, report.records) == (True, 4, len(books.store._log))
    assert report.head == books.store._log[-1].link.hex()


def _result(books: Books) -> dict[tuple[str, str], bytes]:
    return books.store._results


def _unlawful(books: Books) -> None:
    """State and record agree on a move that the lifecycle does not have."""
    books.rewritten("job.succeeded", books.done, state="DENIED")
    books.job(books.done, state="DENIED")


TAMPERS: dict[str, Tamper] = {
    "a result changed": lambda b: _result(b).update({("default", b.done): b'{"rows":4}'}),
    "a result with a space more": lambda b: _result(b).update(
        {("default", b.done): b'{"rows": 3}'}
    ),
    "a result emptied": lambda b: _result(b).update({("default", b.done): b""}),
    "a result removed": lambda b: _result(b).pop(("default", b.done)),
    "a result added": lambda b: _result(b).update({("default", b.waits): b"{}"}),
    "the digest of a result": lambda b: b.job(b.done, result_digest="0" * 64),
    "a payload": lambda b: b.store._payloads.update({("default", b.waits): b'{"prompt":"rm"}'}),
    "a topic": lambda b: b.job(b.waits, topic="job.exec.shell"),
    "a label": lambda b: b.job(b.waits, labels={"env": "prod"}),
    "a principal": lambda b: b.job(b.waits, principal="somebody"),
    "a job hash": lambda b: b.job(b.waits, job_hash="0" * 64),
    "a state": lambda b: b.job(b.denied, state="PENDING"),
    "a revision": lambda b: b.job(b.done, revision=9),
    "a decision": lambda b: b.decision(b.denied, decision="allow"),
    "the reason of a decision": lambda b: b.decision(b.denied, reason="because"),
    "the snapshot of a decision": lambda b: b.decision(b.denied, snapshot="0" * 64),
    "the decisions gone": lambda b: b.store._decisions.pop(("default", b.denied)),
    "a job gone": lambda b: b.store._jobs.pop(("default", b.waits)),
    "a job that no record tells of": lambda b: b.store._jobs.update(
        {("default", "another"): b.store._jobs["default", b.waits]}
    ),
    "a job of another tenant": lambda b: b.store._jobs.update(
        {("other", b.waits): b.store._jobs["default", b.waits]}
    ),
    "no record of a birth": lambda b: b.without("job.submitted", b.done),
    "no record of a dispatch": lambda b: b.without("job.dispatched", b.done),
    "no record of an end": lambda b: b.without("job.succeeded", b.done),
    "a birth twice": lambda b: b.log(lambda records: [*records, *records[-1:]]),
    "a recorded decision": lambda b: b.rewritten("job.submitted", b.denied, decision="allow"),
    "a recorded snapshot": lambda b: b.rewritten("job.submitted", b.denied, snapshot="0" * 64),
    "a recorded job hash": lambda b: b.rewritten("job.submitted", b.denied, job_hash="0" * 64),
    "a recorded state before": lambda b: b.rewritten(
        "job.succeeded", b.done, state_before="PENDING"
    ),
    "a recorded revision": lambda b: b.rewritten("job.succeeded", b.done, revision=7),
    "a recorded state": lambda b: b.rewritten("job.succeeded", b.done, state="FAILED"),
    "an unlawful move": _unlawful,
}


@pytest.mark.parametrize("tamper", TAMPERS.values(), ids=TAMPERS.keys())
def test_every_change_of_state_or_record_is_found(books: Books, tamper: Tamper) -> None:
    tamper(books)
    assert books.problems()


def test_pages_are_chained_to_each_other(books: Books) -> None:
    """A record at the border of two pages, replaced together with all that follow."""
    for _ in range(AUDIT_PAGE_RECORDS_MAX + 10 - len(books.store._log)):
        books.door.evaluate(ALLOWED_JOB)
    assert books.problems() == ()
    honest = books.store._log
    border = AUDIT_PAGE_RECORDS_MAX
    forged, _ = append(Head(border, bytes(32)), [leaf_of(link.record) for link in honest[border:]])
    books.store._log = [*honest[:border], *forged]
    assert f"position {border} does not fit" in books.problems()[0]
