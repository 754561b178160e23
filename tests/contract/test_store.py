"""The laws of `ports.store.Store`, one suite for every backend.

Each test is one law; its docstring states it. A bug found in one backend becomes a law here.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from forestall.audit.chain import ChainLink, verify_links
from forestall.audit.record import Record, Value
from forestall.errors import InvalidRequestError
from forestall.jobs.job import Budget, DecisionRecord, Job, JobState, Priority, Stage
from forestall.jobs.lifecycle import IllegalStateError
from forestall.policy.rules import Budgets, Constraints, Effect, LabelConflict, Remediation
from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
    IdempotencyEntry,
    IdempotencyKeyAbsent,
    JobAbsent,
    Precondition,
    Put,
    PutEntry,
    PutIdempotency,
    PutJob,
    Receipt,
)
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.ports.store import (
    JobCursor,
    JobFilter,
    PreconditionFailedError,
    Store,
    StoreUnavailableError,
)
from forestall.store.memory import MemoryStore
from forestall.store.sqlite import SqliteStore

BACKENDS = ("memory", "sqlite")
# The model test opens many stores and is about meaning, not about disks.
RAM_DISK = next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None)

T = TypeVar("T")
Scenario = Callable[[Store], Awaitable[T]]


def open_store(backend: str, directory: Path) -> Store:
    """A new, empty store of this kind."""
    return MemoryStore() if backend == "memory" else SqliteStore.open(directory / "forestall.db")


class Drive:
    """Runs a scenario against a new store of one backend, and closes the store."""

    def __init__(self, backend: str, directory: Path) -> None:
        self.backend = backend
        self.directory = directory

    def __call__(self, scenario: Scenario[T]) -> T:
        async def run() -> T:
            store = open_store(self.backend, self.directory)
            try:
                return await scenario(store)
            finally:
                await store.close()

        return asyncio.run(run())


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


# -- values --


def a_decision(at_us: int = 1) -> DecisionRecord:
    return DecisionRecord(
        stage=Stage.SUBMIT,
        decided_at_us=at_us,
        decision=Effect.ALLOW,
        code="rule",
        reason="reads are fine",
        snapshot="5" * 64,
        job_hash="7" * 64,
    )


def a_job(job_id: str = "j", *, tenant: str = "acme", at_us: int = 1, **fields: Any) -> Job:
    made = {
        "id": job_id,
        "trace_id": f"trace-{job_id}",
        "tenant": tenant,
        "principal": "ci",
        "state": JobState.PENDING,
        "topic": "job.demo.read",
        "job_hash": "7" * 64,
        "created_at_us": at_us,
        "updated_at_us": at_us,
    }
    return Job(**{**made, **fields})


def a_record(kind: str = "job.submitted", *, at_us: int = 1, **data: Value) -> Record:
    return Record(kind=kind, at_us=at_us, tenant="acme", actor="ci", salt="00" * 16, data=data)


def a_birth(
    job: Job, *, key: str = "", payload: bytes = b"{}", expect: Sequence[Precondition] = ()
) -> Change:
    puts: list[Put] = [PutJob(job=job, payload=payload, decision=a_decision(job.created_at_us))]
    wanted: list[Precondition] = [JobAbsent(job.tenant, job.id), *expect]
    if key:
        wanted.append(IdempotencyKeyAbsent(job.tenant, key))
        entry = IdempotencyEntry(tenant=job.tenant, key=key, request_digest="d", job_id=job.id)
        puts.append(PutIdempotency(entry))
    return Change(records=(a_record(job=job.id),), expect=tuple(wanted), puts=tuple(puts))


def an_entry(
    name: str = "key-1",
    *,
    tenant: str = "acme",
    kind: str = EntryKind.KEY,
    revision: int = 1,
    at_us: int = 1,
    body: bytes = b"{}",
) -> RegistryEntry:
    return RegistryEntry(
        tenant=tenant, kind=kind, name=name, revision=revision, updated_at_us=at_us, body=body
    )


def an_entry_change(*puts: Put, expect: Sequence[Precondition] = ()) -> Change:
    return Change(records=(a_record("entry.changed"),), expect=tuple(expect), puts=puts)


def unchanged(name: str = "key-1", *, tenant: str = "acme", revision: int = 1) -> EntryUnchanged:
    return EntryUnchanged(tenant, EntryKind.KEY, name, revision)


async def the_log(store: Store) -> list[ChainLink]:
    return list(await store.links(start=0, limit=100_000))


async def outcomes(store: Store, changes: Iterable[Change]) -> list[Receipt | BaseException]:
    """All at once; in the order of `changes`, since a commit is queued before it first waits."""
    return await asyncio.gather(
        *(store.commit(change) for change in changes), return_exceptions=True
    )


# -- a commit --


def test_what_was_committed_can_be_read(drive: Drive) -> None:
    """A read sees every change whose commit has returned: job, payload, decision, key, record."""

    async def scenario(store: Store) -> None:
        job = a_job("j-1")
        receipt = await store.commit(a_birth(job, key="once", payload=b'{"prompt":"hi"}'))
        view = await store.job("acme", "j-1")
        assert view is not None
        assert (view.job, view.payload) == (job, b'{"prompt":"hi"}')
        assert list(await store.decisions("acme", "j-1", limit=10)) == [a_decision()]
        entry = await store.idempotency("acme", "once")
        assert entry is not None
        assert (entry.job_id, entry.request_digest) == ("j-1", "d")
        assert list(await store.jobs(JobFilter(tenant="acme"), limit=10)) == [job]
        assert receipt == Receipt(0)
        assert [link.record for link in await the_log(store)] == [a_record(job="j-1").canonical()]

    drive(scenario)


def test_nothing_is_there_before_it_is_committed(drive: Drive) -> None:
    """A new store is empty, and absence is None or an empty page, never an error."""

    async def scenario(store: Store) -> None:
        assert await store.job("acme", "j") is None
        assert await store.idempotency("acme", "k") is None
        assert not await store.decisions("acme", "j", limit=10)
        assert not await store.jobs(JobFilter(tenant="acme"), limit=10)
        assert await store.entry("acme", EntryKind.KEY, "key-1") is None
        assert not await store.entries(EntryKind.KEY)
        assert not await store.latest_entries("acme", EntryKind.KEY, limit=10)
        assert not await the_log(store)

    drive(scenario)


def test_a_failed_precondition_leaves_nothing(drive: Drive) -> None:
    """No job, no decision, no key, no record, and the head of the log stays where it was."""

    async def scenario(store: Store) -> None:
        await store.commit(a_birth(a_job("first"), key="once"))
        before = await the_log(store)
        with pytest.raises(PreconditionFailedError) as caught:
            await store.commit(a_birth(a_job("second"), key="once"))
        assert caught.value.failed == IdempotencyKeyAbsent("acme", "once")
        assert await store.job("acme", "second") is None
        assert not await store.decisions("acme", "second", limit=10)
        entry = await store.idempotency("acme", "once")
        assert entry is not None
        assert entry.job_id == "first"
        assert await the_log(store) == before
        assert await store.commit(a_birth(a_job("third"))) == Receipt(1)

    drive(scenario)


async def _holds(store: Store, wanted: Precondition) -> bool:
    probe = Change(records=(a_record("probe"),), expect=(wanted,))
    (answer,) = await outcomes(store, [probe])
    if isinstance(answer, Receipt):
        return True
    assert isinstance(answer, PreconditionFailedError)
    assert answer.failed == wanted
    return False


def test_each_precondition_holds_and_fails(drive: Drive) -> None:
    """JobAbsent, IdempotencyKeyAbsent and EntryUnchanged say what their names say."""

    async def scenario(store: Store) -> None:
        assert await _holds(store, JobAbsent("acme", "j"))
        assert await _holds(store, IdempotencyKeyAbsent("acme", "k"))
        assert not await _holds(store, unchanged())
        assert await _holds(store, unchanged(revision=0))

        await store.commit(a_birth(a_job("j"), key="k"))
        await store.commit(an_entry_change(PutEntry(an_entry())))
        assert not await _holds(store, JobAbsent("acme", "j"))
        assert not await _holds(store, IdempotencyKeyAbsent("acme", "k"))
        assert await _holds(store, unchanged())
        assert not await _holds(store, unchanged(revision=0))
        assert not await _holds(store, unchanged(tenant="Acme"))
        assert not await _holds(store, EntryUnchanged("acme", EntryKind.TOPIC, "key-1", 1))

        await store.commit(an_entry_change(PutEntry(an_entry(revision=2))))
        assert not await _holds(store, unchanged())
        assert await _holds(store, unchanged(revision=2))
        await store.commit(an_entry_change(DropEntry(an_entry(revision=2))))
        assert await _holds(store, unchanged(revision=0))

    drive(scenario)


def test_an_entry_is_what_the_last_change_made_of_it(drive: Drive) -> None:
    """Also for a change in the same group."""

    def comes(revision: int) -> Change:
        return an_entry_change(PutEntry(an_entry(revision=revision)))

    async def scenario(store: Store) -> None:
        needs = an_entry_change(expect=(unchanged(revision=1),))
        changes = [needs, comes(1), needs, comes(2), needs, comes(2), comes(3)]
        found = await outcomes(store, changes)
        wanted = [False, True, True, True, False, False, True]
        assert [isinstance(one, Receipt) for one in found] == wanted

    drive(scenario)


def test_an_insert_never_replaces(drive: Drive) -> None:
    """PutJob and PutIdempotency fail as the matching precondition would, asked for or not."""

    async def scenario(store: Store) -> None:
        await store.commit(a_birth(a_job("j"), key="k"))
        again = PutJob(job=a_job("j", at_us=9), payload=b"other", decision=a_decision(9))
        entry = IdempotencyEntry(tenant="acme", key="k", request_digest="e", job_id="other")
        for put, failed in (
            (again, JobAbsent("acme", "j")),
            (PutIdempotency(entry), IdempotencyKeyAbsent("acme", "k")),
        ):
            with pytest.raises(PreconditionFailedError) as caught:
                await store.commit(Change(records=(a_record(),), puts=(put,)))
            assert caught.value.failed == failed
        view = await store.job("acme", "j")
        assert view is not None
        assert view.payload == b"{}"
        assert len(await the_log(store)) == 1

    drive(scenario)


def test_of_many_claims_on_one_key_exactly_one_wins(drive: Drive) -> None:
    """A change sees what those before it in the same group did, and hurts none of them."""

    async def scenario(store: Store) -> None:
        rivals = [a_birth(a_job(f"j-{n}"), key="once") for n in range(100)]
        others = [a_birth(a_job(f"k-{n}"), key=f"own-{n}") for n in range(100)]
        found = await outcomes(
            store, [c for pair in zip(rivals, others, strict=True) for c in pair]
        )
        assert [type(one) for one in found[1::2]] == [Receipt] * 100
        winners = [n for n, one in enumerate(found[::2]) if isinstance(one, Receipt)]
        assert winners == [0]
        assert all(isinstance(one, PreconditionFailedError) for one in found[2::2])
        assert len(await store.jobs(JobFilter(tenant="acme"), limit=500)) == 101
        assert len(await the_log(store)) == 101

    drive(scenario)


def test_of_many_births_of_one_job_exactly_one_wins(drive: Drive) -> None:
    """The same for the job itself, with the payload of the winner."""

    async def scenario(store: Store) -> None:
        found = await outcomes(store, [a_birth(a_job("j"), payload=b"%d" % n) for n in range(50)])
        assert [isinstance(one, Receipt) for one in found] == [True] + [False] * 49
        view = await store.job("acme", "j")
        assert view is not None
        assert view.payload == b"0"

    drive(scenario)


def test_of_many_entries_of_one_name_exactly_one_is_made(drive: Drive) -> None:
    """The same for entries, and a removal in the same group frees the name."""

    async def scenario(store: Store) -> None:
        made = [an_entry_change(PutEntry(an_entry(body=b"%d" % n))) for n in range(20)]
        removed = an_entry_change(DropEntry(an_entry()))
        found = await outcomes(store, [*made, removed, removed, made[7], made[8]])
        assert [isinstance(one, Receipt) for one in found[:20]] == [True] + [False] * 19
        assert [isinstance(one, Receipt) for one in found[20:]] == [True, False, True, False]
        assert [entry.body for entry in await store.entries(EntryKind.KEY)] == [b"7"]

    drive(scenario)


def test_a_job_is_born_only_in_a_birth_state(drive: Drive) -> None:
    """No lifecycle leads to a job that is born running: refused before anything is looked at."""

    async def scenario(store: Store) -> None:
        born = {JobState.PENDING, JobState.APPROVAL_REQUIRED, JobState.DENIED}
        for state in JobState:
            change = a_birth(a_job(f"j-{state}", state=state))
            if state in born:
                await store.commit(change)
            else:
                with pytest.raises(IllegalStateError):
                    await store.commit(change)
        assert len(await the_log(store)) == len(born)

    drive(scenario)


def test_a_change_puts_nothing_twice(drive: Drive) -> None:
    """The same job or idempotency key twice in one change is our own mistake, and refused."""

    async def scenario(store: Store) -> None:
        put = PutJob(job=a_job(), payload=b"", decision=a_decision())
        entry = IdempotencyEntry(tenant="acme", key="k", request_digest="e", job_id="j")
        for puts in ((put, put), (PutIdempotency(entry), PutIdempotency(entry))):
            with pytest.raises(IllegalStateError):
                await store.commit(Change(records=(a_record(),), puts=puts))
        assert not await the_log(store)

    drive(scenario)


def test_text_that_is_no_unicode_is_refused_and_never_found(drive: Drive) -> None:
    """A lone surrogate has no bytes to compare: a change with one fails, a read finds nothing."""

    async def scenario(store: Store) -> None:
        bad = "\ud800"
        for change in (
            a_birth(a_job(bad)),
            a_birth(a_job("j", labels={"k": bad})),
            a_birth(a_job("j"), key=bad),
            an_entry_change(PutEntry(an_entry(bad))),
            Change(records=(a_record(text=bad),)),
        ):
            with pytest.raises(InvalidRequestError):
                await store.commit(change)
        assert not await the_log(store)
        assert await store.job("acme", bad) is None
        assert await store.idempotency(bad, "k") is None
        assert not await store.jobs(JobFilter(tenant="acme", topic=bad), limit=10)
        assert not await store.decisions(bad, "j", limit=10)
        assert await _holds(store, unchanged(bad, revision=0))
        assert not await _holds(store, unchanged(tenant=bad))
        assert await store.entry("acme", EntryKind.KEY, bad) is None

    drive(scenario)


# -- the log --


def test_positions_are_consecutive_and_chained_under_concurrency(drive: Drive) -> None:
    """500 commits at once: positions 0 to 499, each once, and the chain verifies."""

    async def scenario(store: Store) -> None:
        found = await outcomes(store, [a_birth(a_job(f"j-{n}")) for n in range(500)])
        positions = sorted(one.position for one in found if isinstance(one, Receipt))
        assert positions == list(range(500))
        last = verify_links(await the_log(store))
        assert last is not None
        assert last.position == 499

    drive(scenario)


def test_the_records_of_a_change_stand_together(drive: Drive) -> None:
    """They are adjacent, in order, and the receipt names the first."""

    async def scenario(store: Store) -> None:
        changes = [
            Change(records=tuple(a_record(change=n, part=part) for part in range(1 + n % 3)))
            for n in range(60)
        ]
        found = await outcomes(store, changes)
        log = await the_log(store)
        verify_links(log)
        assert len(log) == sum(len(change.records) for change in changes)
        for change, receipt in zip(changes, found, strict=True):
            assert isinstance(receipt, Receipt)
            stored = log[receipt.position : receipt.position + len(change.records)]
            assert [link.record for link in stored] == [one.canonical() for one in change.records]

    drive(scenario)


def test_the_log_is_read_in_pages(drive: Drive) -> None:
    """From a position on, oldest first, at most `limit`; beyond the end there is nothing."""

    async def scenario(store: Store) -> None:
        await outcomes(store, [Change(records=(a_record(n=n),)) for n in range(25)])
        log = await the_log(store)
        pages = [await store.links(start=start, limit=10) for start in (0, 10, 20)]
        assert [len(page) for page in pages] == [10, 10, 5]
        assert [link for page in pages for link in page] == log
        verify_links(pages[1], start=10, previous=log[9].link)
        assert not await store.links(start=25, limit=10)
        assert not await store.links(start=2**70, limit=10)
        assert not await store.links(start=0, limit=0)

    drive(scenario)


def test_the_log_ends_where_the_next_record_will_stand(drive: Drive) -> None:
    """0 while it is empty; a refused change does not move it."""

    async def scenario(store: Store) -> None:
        assert await store.log_end() == 0
        await outcomes(store, [Change(records=(a_record(n=0), a_record(n=1)))])
        assert await store.log_end() == 2
        (receipt,) = await outcomes(store, [a_birth(a_job("j-1"))])
        assert receipt == Receipt(2)
        await outcomes(store, [a_birth(a_job("j-1"))])
        assert await store.log_end() == 3

    drive(scenario)


def test_the_records_of_one_job_are_read_alone(drive: Drive) -> None:
    """Those of its tenant only, from a position on, in order, at most `limit`."""

    async def scenario(store: Store) -> None:
        await outcomes(
            store,
            [
                Change(records=(record,))
                for tenant in ("acme", "Acme")
                for job_id in ("j-1", "J-1", "", "j-1")
                for record in (structs.replace(a_record(), tenant=tenant, job_id=job_id),)
            ],
        )
        log = await the_log(store)
        found = await store.links(start=0, limit=9, tenant="acme", job_id="j-1")
        assert list(found) == [log[0], log[3]]
        assert list(await store.links(start=1, limit=9, tenant="acme", job_id="j-1")) == [log[3]]
        assert list(await store.links(start=0, limit=1, tenant="acme", job_id="j-1")) == [log[0]]
        assert not await store.links(start=0, limit=9, tenant="acme", job_id="j-2")
        assert not await store.links(start=0, limit=9, tenant="", job_id="j-1")

    drive(scenario)


# -- names --

NAMES = (
    "prod",
    "Prod",
    "prod ",
    " prod",
    "caf\u00e9",  # composed
    "cafe\u0301",  # decomposed: looks the same, is another name
    "stra\u00dfe",
    "strasse",
    "\u0130",
    "i",
    "1",
    "01",
    "%",
    "_",
    "\U0001f511",
)


def test_names_are_compared_byte_by_byte(drive: Drive) -> None:
    """`Prod` and `prod` are two tenants; so are any two texts that differ in a byte."""

    async def scenario(store: Store) -> None:
        births = [
            a_birth(a_job(name, tenant=tenant, topic=name), key=name)
            for tenant in NAMES
            for name in NAMES
        ]
        found = await outcomes(store, births)
        assert all(isinstance(one, Receipt) for one in found)
        for tenant in NAMES:
            for name in NAMES:
                view = await store.job(tenant, name)
                assert view is not None
                assert (view.job.tenant, view.job.id) == (tenant, name)
                entry = await store.idempotency(tenant, name)
                assert entry is not None
                assert (entry.tenant, entry.key, entry.job_id) == (tenant, name, name)
                assert len(await store.decisions(tenant, name, limit=10)) == 1
            wanted = JobFilter(tenant=tenant, topic="Prod")
            assert [job.id for job in await store.jobs(wanted, limit=500)] == ["Prod"]
            assert len(await store.jobs(JobFilter(tenant=tenant), limit=500)) == len(NAMES)

    drive(scenario)


def test_names_of_entries_are_compared_byte_by_byte(drive: Drive) -> None:
    """The same for entries: names and tenants."""

    async def scenario(store: Store) -> None:
        for name in NAMES:
            await store.commit(an_entry_change(PutEntry(an_entry(name, tenant=name))))
        for name in NAMES:
            assert await _holds(store, unchanged(name, tenant=name))
            assert await _holds(store, unchanged(name + " ", tenant=name, revision=0))
            found = await store.entry(name, EntryKind.KEY, name)
            assert found is not None
            assert found.key == (name, EntryKind.KEY, name)

    drive(scenario)


def test_another_tenants_job_does_not_exist(drive: Drive) -> None:
    """A job is seen by its tenant only: in job, jobs, decisions and idempotency."""

    async def scenario(store: Store) -> None:
        await store.commit(a_birth(a_job("j", tenant="acme"), key="k"))
        assert await store.job("rival", "j") is None
        assert not await store.jobs(JobFilter(tenant="rival"), limit=10)
        assert not await store.jobs(JobFilter(tenant="rival", trace_id="trace-j"), limit=10)
        assert not await store.decisions("rival", "j", limit=10)
        assert await store.idempotency("rival", "k") is None
        await store.commit(a_birth(a_job("j", tenant="rival", topic="job.other"), key="k"))
        view = await store.job("acme", "j")
        assert view is not None
        assert view.job.topic == "job.demo.read"

    drive(scenario)


# -- what is kept comes back --


def test_a_job_with_every_field_comes_back(drive: Drive) -> None:
    """Nothing is lost or changed: labels with emoji, budgets, constraints, remediations."""
    decision = DecisionRecord(
        stage=Stage.SUBMIT,
        decided_at_us=2**53 - 1,
        decision=Effect.REQUIRE_APPROVAL,
        code="rule",
        reason="\u00abfrage\u00bb \U0001f6d1\n\ttwo lines \x00 and a zero",
        snapshot="5" * 64,
        job_hash="7" * 64,
        rule_id="r",
        matched_rules=("r", "s"),
        facts=(("command_class", "destructive"), ("env", "prod")),
        conflicts=(LabelConflict(label="env", origin="payload", value="dev", trusted_value=None),),
        constraints=Constraints(budgets=Budgets(max_retries=0), redaction_level="strict"),
        remediations=(Remediation(id="m", add_labels={"dry_run": "true"}, remove_labels=("x",)),),
    )
    job = a_job(
        state=JobState.APPROVAL_REQUIRED,
        capability="infra.write",
        pack_id="pack",
        actor_id="agent-7",
        actor_type="agent",
        priority=Priority.CRITICAL,
        risk_tags=("change", "prod"),
        requires=("gpu",),
        tags=("\U0001f9ea", ""),
        labels={"\U0001f511": "\u4f60\u597d", "": "", "quote\"'": "a\\b"},
        budget=Budget(max_total_tokens=0, deadline_ms=5),
        idempotency_key="k",
        failure_reason="none",
        submit_decision=decision,
    )

    async def scenario(store: Store) -> None:
        put = PutJob(job=job, payload=b"", decision=decision)
        await store.commit(Change(records=(a_record(),), puts=(put,)))
        view = await store.job("acme", "j")
        assert view is not None
        assert (view.job, view.payload) == (job, b"")
        assert list(await store.decisions("acme", "j", limit=1)) == [decision]
        assert list(await store.jobs(JobFilter(tenant="acme"), limit=1)) == [job]

    drive(scenario)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", bytes(range(256)) * 4, b"\xff\xfe", b'{"a":1}', bytes(2 * 1024 * 1024)],
    ids=["empty", "zero", "all bytes", "no UTF-8", "JSON", "2 MiB"],
)
def test_payload_bytes_come_back(drive: Drive, payload: bytes) -> None:
    """The payload is bytes: never decoded, trimmed or re-encoded."""

    async def scenario(store: Store) -> None:
        await store.commit(a_birth(a_job("j"), payload=payload))
        view = await store.job("acme", "j")
        assert view is not None
        assert view.payload == payload

    drive(scenario)


def test_what_was_committed_cannot_be_edited_afterwards(drive: Drive) -> None:
    """A store holds what the value was at the commit, not a dict that its owner edits later."""

    async def scenario(store: Store) -> None:
        labels = {"env": "prod"}
        await store.commit(a_birth(a_job("j", labels=labels)))
        labels["env"] = "dev"
        first = await store.job("acme", "j")
        assert first is not None
        assert isinstance(first.job.labels, dict)
        first.job.labels["env"] = "dev"
        second = await store.job("acme", "j")
        assert second is not None
        assert second.job.labels == {"env": "prod"}

    drive(scenario)


def test_the_latest_entries_come_by_name(drive: Drive) -> None:
    """The greatest name first, of one tenant and one kind, bounded."""

    async def scenario(store: Store) -> None:
        entries = [an_entry(name, kind=EntryKind.ACTIVATION) for name in ("01", "02", "10")]
        others = [an_entry("99"), an_entry("99", kind=EntryKind.ACTIVATION, tenant="Acme")]
        for entry in (*entries, *others):
            await store.commit(an_entry_change(PutEntry(entry)))
        kind = EntryKind.ACTIVATION
        assert list(await store.latest_entries("acme", kind, limit=10)) == entries[::-1]
        assert list(await store.latest_entries("acme", kind, limit=1)) == entries[:1:-1]
        assert not await store.latest_entries("acme", kind, limit=0)

    drive(scenario)


# -- pages --


async def _pages(store: Store, wanted: JobFilter, limit: int) -> list[Job]:
    """Every job, page by page."""
    found: list[Job] = []
    after: JobCursor | None = None
    while page := await store.jobs(wanted, limit=limit, after=after):
        assert len(page) <= limit
        found += page
        after = JobCursor(page[-1].updated_at_us, page[-1].id)
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 500])
def test_paging_returns_each_job_once(drive: Drive, limit: int) -> None:
    """Newest change first; equal timestamps neither skip nor repeat, whatever the page size."""

    async def scenario(store: Store) -> None:
        jobs = [a_job(f"j-{n:02}", at_us=1 + n % 4) for n in range(30)]
        await outcomes(store, [a_birth(job) for job in jobs])
        wanted = sorted(jobs, key=lambda job: (job.updated_at_us, job.id), reverse=True)
        assert await _pages(store, JobFilter(tenant="acme"), limit) == wanted

    drive(scenario)


def test_the_filter_comes_before_the_limit(drive: Drive) -> None:
    """A page of two holds two jobs that match, however many newer ones do not."""

    async def scenario(store: Store) -> None:
        old = [a_job(f"old-{n}", at_us=n, topic="job.rare", trace_id="rare") for n in (1, 2, 3)]
        held = [a_job(f"held-{n}", at_us=n, state=JobState.DENIED) for n in (4, 5)]
        new = [a_job(f"new-{n:03}", at_us=100 + n) for n in range(120)]
        await outcomes(store, [a_birth(job) for job in (*old, *held, *new)])
        for wanted, ids in (
            (JobFilter(tenant="acme", topic="job.rare"), ["old-3", "old-2"]),
            (JobFilter(tenant="acme", trace_id="rare"), ["old-3", "old-2"]),
            (JobFilter(tenant="acme", state=JobState.DENIED), ["held-5", "held-4"]),
            (JobFilter(tenant="acme", updated_before_us=5), ["held-4", "old-3"]),
            (JobFilter(tenant="acme", updated_after_us=3, updated_before_us=5), ["held-4"]),
            (JobFilter(tenant="acme", updated_after_us=218), ["new-119"]),
            (
                JobFilter(tenant="acme", state=JobState.PENDING, topic="job.rare"),
                ["old-3", "old-2"],
            ),
            (JobFilter(tenant="acme", state=JobState.DENIED, topic="job.rare"), []),
            (JobFilter(tenant="acme", trace_id="rare", state=JobState.DENIED), []),
            (JobFilter(tenant="acme", trace_id="rare", topic="job.demo.read"), []),
            (JobFilter(tenant="acme", trace_id="rare", updated_before_us=2), ["old-1"]),
            (JobFilter(tenant="acme", topic="job.rar"), []),
            (JobFilter(tenant="acme", topic="job.%"), []),
        ):
            assert [job.id for job in await store.jobs(wanted, limit=2)] == ids, wanted
        for narrowed in (
            JobFilter(tenant="acme", topic="job.rare"),
            JobFilter(tenant="acme", trace_id="rare"),
            JobFilter(tenant="acme", state=JobState.PENDING, updated_before_us=4),
        ):
            paged = [job.id for job in await _pages(store, narrowed, 1)]
            assert paged == ["old-3", "old-2", "old-1"]

    drive(scenario)


def test_bounds_of_time_exclude_the_instant_itself(drive: Drive) -> None:
    """`after` and `before` mean later and earlier; an instant beyond any clock is no error."""

    async def scenario(store: Store) -> None:
        await outcomes(store, [a_birth(a_job(f"j-{n}", at_us=n)) for n in (1, 2, 3)])
        exact = JobFilter(tenant="acme", updated_after_us=1, updated_before_us=3)
        assert [job.id for job in await store.jobs(exact, limit=9)] == ["j-2"]
        vast = JobFilter(tenant="acme", updated_after_us=-(2**70), updated_before_us=2**70)
        assert len(await store.jobs(vast, limit=9)) == 3
        assert len(await store.jobs(vast, limit=9, after=JobCursor(2**70, ""))) == 3
        none = JobFilter(tenant="acme", updated_after_us=2**70)
        assert not await store.jobs(none, limit=9)

    drive(scenario)


def test_a_limit_is_a_limit(drive: Drive) -> None:
    """No read returns more than it was asked for; zero or less means nothing."""

    async def scenario(store: Store) -> None:
        await outcomes(store, [a_birth(a_job(f"j-{n}")) for n in range(5)])
        for limit, count in ((3, 3), (5, 5), (99, 5), (0, 0), (-1, 0)):
            assert len(await store.jobs(JobFilter(tenant="acme"), limit=limit)) == count
            assert len(await store.links(start=0, limit=limit)) == count
            assert len(await store.decisions("acme", "j-1", limit=limit)) == min(count, 1)

    drive(scenario)


# -- endings --


def test_a_closed_store_refuses(drive: Drive) -> None:
    """What was accepted before `close` is finished; what comes later is refused. Twice is fine."""

    async def scenario(store: Store) -> None:
        accepted = [
            asyncio.ensure_future(store.commit(a_birth(a_job(f"j-{n}")))) for n in range(50)
        ]
        await asyncio.sleep(0)  # each task has handed its change over
        await store.close()
        assert sorted(receipt.position for receipt in await asyncio.gather(*accepted)) == list(
            range(50)
        )
        with pytest.raises(StoreUnavailableError):
            await store.commit(a_birth(a_job("late")))
        for read in (store.job("acme", "j-1"), store.jobs(JobFilter(tenant="acme"), limit=1)):
            with pytest.raises(StoreUnavailableError):
                await read
        await store.close()

    drive(scenario)


def test_a_cancelled_waiter_breaks_nothing(drive: Drive) -> None:
    """Its own change stands or fell as a whole, and everybody else gets an answer."""

    async def scenario(store: Store) -> None:
        tasks = [asyncio.ensure_future(store.commit(a_birth(a_job(f"j-{n}")))) for n in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, Receipt) for answer in answers[1::2])
        await store.commit(a_birth(a_job("after")))
        log = await the_log(store)
        verify_links(log)
        jobs = await store.jobs(JobFilter(tenant="acme"), limit=500)
        assert len(jobs) == len(log)
        for job in jobs:
            assert len(await store.decisions("acme", job.id, limit=5)) == 1

    drive(scenario)


# -- every backend behaves as every other --

_tenants = st.sampled_from(["acme", "Acme"])
_names = st.sampled_from(["a", "A", "b"])
_instants = st.integers(1, 4)
_kinds = st.sampled_from([EntryKind.KEY, EntryKind.ORIGINAL])
_expect = st.one_of(
    st.builds(JobAbsent, _tenants, _names),
    st.builds(IdempotencyKeyAbsent, _tenants, _names),
    st.builds(EntryUnchanged, _tenants, _kinds, _names, st.integers(0, 3)),
)
_jobs = st.builds(
    a_job,
    _names,
    tenant=_tenants,
    at_us=_instants,
    trace_id=_names,
    topic=_names,
    state=st.sampled_from([JobState.PENDING, JobState.DENIED, JobState.RUNNING]),
)
_entries = st.builds(
    IdempotencyEntry, tenant=_tenants, key=_names, request_digest=_names, job_id=_names
)
_registry_entries = st.builds(
    an_entry,
    _names,
    tenant=_tenants,
    kind=_kinds,
    revision=st.integers(1, 3),
    at_us=_instants,
    body=st.binary(max_size=2),
)
_puts = st.one_of(
    st.builds(PutJob, job=_jobs, payload=st.binary(max_size=3), decision=st.just(a_decision())),
    st.builds(PutIdempotency, _entries),
    st.builds(PutEntry, _registry_entries),
    st.builds(DropEntry, _registry_entries),
)
_records = st.builds(a_record, at_us=_instants)
_changes = st.builds(
    Change,
    records=st.lists(_records, min_size=1, max_size=3).map(tuple),
    expect=st.lists(_expect, max_size=2).map(tuple),
    puts=st.lists(_puts, max_size=3).map(tuple),
)


async def _observed(store: Store) -> list[Any]:
    """All that can be seen of a store whose names are those above."""
    seen: list[Any] = [await the_log(store)]
    for kind in (EntryKind.KEY, EntryKind.ORIGINAL):
        seen.append(await store.entries(kind))
        seen.append(await store.entries_before(kind, 3, limit=9))
    for tenant in ("acme", "Acme"):
        for name in ("a", "A", "b"):
            seen.append(await store.job(tenant, name))
            seen.append(await store.decisions(tenant, name, limit=9))
            seen.append(await store.idempotency(tenant, name))
            seen.append(await store.entry(tenant, EntryKind.KEY, name))
            for state in (None, JobState.DENIED):
                for topic, trace_id in ((name, ""), ("", name), ("a", name)):
                    wanted = JobFilter(tenant=tenant, state=state, topic=topic, trace_id=trace_id)
                    seen.append(await _pages(store, wanted, 2))
        seen.append(await store.latest_entries(tenant, EntryKind.KEY, limit=2))
        after = JobFilter(tenant=tenant, updated_after_us=1, updated_before_us=4)
        seen.append(await _pages(store, after, 1))
    return seen


async def _played(store: Store, groups: Sequence[Sequence[Change]]) -> list[Any]:
    told: list[Any] = []
    for group in groups:
        for answer in await outcomes(store, group):
            failed = getattr(answer, "failed", None)
            told.append(answer if isinstance(answer, Receipt) else (type(answer), failed))
    return [told, await _observed(store)]


@given(groups=st.lists(st.lists(_changes, min_size=1, max_size=6), max_size=5))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_every_backend_tells_the_same_story(groups: list[list[Change]]) -> None:
    """Any sequence of groups of changes gives the same answers and the same state everywhere."""
    stories = []
    for backend in BACKENDS:
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(dir=RAM_DISK))

            async def play(store: Store) -> list[Any]:
                return await _played(store, groups)

            stories.append(Drive(backend, Path(directory))(play))
    assert all(story == stories[0] for story in stories[1:])
