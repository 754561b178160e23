"""Feed the projections from the store: what a commit left in doubt, and what others committed.

A record of the log says what changed, never how; so the job or entry that the record names is read
from the store as it is now. A record of any other kind concerns no projection and is passed over.

The log is read when a position stays missing: every commit of this process reports its positions
when its answer comes, so a gap that does not close is a lost answer, or the commit of another
process. Doubts and their cases: `docs/internals/leases-and-doubt.md`.
"""

from collections.abc import Sequence

import msgspec

from forestall.audit.chain import ChainLink
from forestall.audit.record import Record
from forestall.control.plane import Plane
from forestall.control.publish import PolicyNotKeptError, compiled_policy
from forestall.limits import PAGE_ITEMS_MAX
from forestall.policy.problems import PolicyError
from forestall.ports.entries import IN_FORCE, PLATFORM_TENANT, EntryKind
from forestall.projections.catch_up import take_up_entry, take_up_records
from forestall.projections.doubts import EntryKey
from forestall.projections.policy_in_force import digest_in

GAP_US = 1_000_000  # a commit's answer that takes longer than this counts as lost
_decode_record = msgspec.json.Decoder(Record).decode
# The first word of a record's kind → the kinds of the entries that its `data.name` names.
_KINDS_NAMED: dict[str, tuple[EntryKind, ...]] = {
    "topic": (EntryKind.TOPIC,),
    "pool": (EntryKind.POOL,),
    "schema": (EntryKind.SCHEMA,),
    "webhook": (EntryKind.WEBHOOK, EntryKind.WEBHOOK_MARK),
    "agent": (EntryKind.AGENT,),
}


# Entries of these kinds are in no projection: a verb reads one from the store when it needs it.
_READ_ON_DEMAND = (
    EntryKind.KEY_NAME,
    EntryKind.POLICY,
    EntryKind.ACTIVATION,
    EntryKind.ORIGINAL,
)


async def load_entries(plane: Plane) -> None:
    """Take up every registry entry of the store, at a start. The policy in force is not compiled
    here: until a policy is activated in this process, every gate refuses."""
    position = await plane.store.log_end()
    for kind in EntryKind:
        if kind in _READ_ON_DEMAND:
            continue
        for entry in await plane.store.entries(kind):
            take_up_entry(plane.projections, entry.key, entry, position - 1)
    plane.projections.positions.start_at(position)


async def follow_log(plane: Plane) -> None:
    """Take up the records in a gap of the log that has stayed open for GAP_US, and settle every
    doubt on an entry. Raises StoreUnavailableError; what was not read is read at the next call."""
    positions, now_us = plane.projections.positions, plane.clock.now_us()
    gap_is_young = 0 <= positions.waits_since(now_us) < GAP_US
    if not gap_is_young:
        while await plane.store.log_end() > positions.taken_to:
            await _read_gap(plane, now_us=now_us)
    await settle_entries(plane)


async def _read_gap(plane: Plane, *, now_us: int) -> None:
    positions = plane.projections.positions
    links = await plane.store.links(start=positions.taken_to, limit=PAGE_ITEMS_MAX)
    missing = [link for link in links if not positions.is_taken(link.position)]
    doubt_named_by(plane, missing)
    for link in missing:
        if positions.take(link.position, 1):
            take_up_records(plane.projections, (_decode_record(link.record),), now_us=now_us)


def doubt_named_by(plane: Plane, links: Sequence[ChainLink]) -> None:
    """Doubt every job and registry entry that these records name."""
    for link in links:
        record = _decode_record(link.record)
        if record.kind.startswith("job."):
            plane.leases.doubt(record.tenant, record.job_id)
            continue
        for key in _entries_named_by(record):
            plane.projections.entry_doubts.add(key)
        if record.kind.startswith("link."):  # names no entry: a token's hash stands in no record
            plane.projections.entry_doubts.kinds[EntryKind.APPROVAL_LINK] = None


def _entries_named_by(record: Record) -> list[EntryKey]:
    data, first_word = record.data, record.kind.partition(".")[0]
    if record.kind == "policy.activated":
        return [(PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE)]
    if first_word == "tenant":
        return [(PLATFORM_TENANT, EntryKind.TENANT, str(data["name"]))]
    if first_word == "key":
        return [(record.tenant, EntryKind.KEY, str(data["key_id"]))]
    return [(record.tenant, kind, str(data["name"])) for kind in _KINDS_NAMED.get(first_word, ())]


async def settle_entries(plane: Plane) -> None:
    """Read every registry entry in doubt, and take it up as it is. Raises StoreUnavailableError; an
    entry that was not taken up stays in doubt."""
    doubts = plane.projections.entry_doubts
    if not len(doubts):
        return
    was_tightening = doubts.is_tightening
    for kind in list(doubts.kinds):
        await _settle_kind(plane, kind)
        del doubts.kinds[kind]
    for key in doubts.doubtful():
        position = await plane.store.log_end() - 1
        # Remove the doubt first: one that is raised during the reading must outlive the reading.
        doubts.settle(key)
        try:
            await _settle_entry(plane, key, position)
        except (PolicyError, PolicyNotKeptError):
            # The policy that the store names cannot be compiled here. The doubt stays, so no job is
            # handed to a worker; but leases and deadlines must go on ending.
            doubts.add(key)
            plane.telemetry.policy_refused()
        except BaseException:
            doubts.add(key)
            raise
    if was_tightening and not doubts.is_tightening:
        plane.workers.wake_all()


async def _settle_entry(plane: Plane, key: EntryKey, position: int) -> None:
    tenant, kind, name = key
    entry = await plane.store.entry(tenant, EntryKind(kind), name)
    policy_before = None
    if kind == EntryKind.POLICY_IN_FORCE:
        if entry is not None and plane.policy.staged(digest_in(entry)) is None:
            plane.policy.stage(await compiled_policy(plane, digest_in(entry)))
        policy_before = plane.policy.entry
    if not take_up_entry(plane.projections, key, entry, position):
        # A later change of the entry was taken up first. Another reading says whether it was the
        # last one.
        plane.projections.entry_doubts.add(key)
        return
    is_other_policy = policy_before is not None and entry is not None and entry != policy_before
    if is_other_policy and entry is not None and plane.snapshot is not None:
        plane.telemetry.policy_loaded(plane.snapshot, entry.updated_at_us)


async def _settle_kind(plane: Plane, kind: EntryKind) -> None:
    """Read and take up every entry of a kind whose records do not name their entry."""
    position = await plane.store.log_end() - 1
    entries = {entry.key: entry for entry in await plane.store.entries(kind)}
    absent = [
        (tenant, kind.value, name)
        for (tenant, name), _ in plane.webhooks.links()
        if (tenant, kind.value, name) not in entries
    ]
    for key in [*entries, *absent]:
        take_up_entry(plane.projections, key, entries.get(key), position)
