"""Keep a policy's content under its digest, and bring a kept policy into force. A policy that does
not compile changes nothing.

The store keeps the content of every policy that was ever in force. An activation names a digest, so
that rolling back, replaying and a second process need no file.
"""

import contextlib
from collections.abc import Collection, Sequence

import msgspec

from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR, policy_data, record_of
from forestall.errors import ForestallError, NotFoundError, UnavailableError
from forestall.policy.compile import Snapshot, compile_policy
from forestall.policy.finding_names import class_of
from forestall.policy.language.policy_file import load_policies
from forestall.policy.output_verdict import (
    CONFIGURED_BY,
    SWITCHED_ON_BY,
    detectors_for,
    missing_classes,
)
from forestall.policy.problems import PolicyError, Problem
from forestall.ports.change import Change, PutEntry
from forestall.ports.entries import (
    IN_FORCE,
    PLATFORM_TENANT,
    Activation,
    EntryKind,
    KeptPolicy,
    PolicyFile,
    RegistryEntry,
    activation_name,
    entry_after,
)
from forestall.ports.store import PreconditionFailedError
from forestall.projections.catch_up import take_up_entry
from forestall.projections.policy_in_force import digest_in


class PolicyChangeUnderWayError(UnavailableError):
    """Another change of the policy is on its way to the store; which of the two would win is
    chance. Try again."""

    code, http_status = "policy_change_under_way", 503


class PolicyNotKeptError(NotFoundError):
    """The store keeps no policy with this digest: it was never in force here, or before contents
    were kept."""

    code, http_status = "policy_not_kept", 404


def compile_files(
    files: Sequence[tuple[str, bytes]], *, switched_on: Collection[str] = ()
) -> Snapshot:
    """Read and compile (name, content) pairs. Raises PolicyError with every mistake found.

    `switched_on` are the classes of findings that the settings brought beside the built-in ones.
    """
    snapshot = compile_policy(load_policies(files), wire=True)
    _require_enforceable(snapshot, switched_on)
    # Read the tables of the detectors that this policy uses now: a table that cannot be read then
    # stops the start instead of every result, and the first result does not wait for a table.
    detectors_for(snapshot)
    return snapshot


def _require_enforceable(snapshot: Snapshot, switched_on: Collection[str]) -> None:
    """Raises PolicyError for an output rule that names a detector which this server lacks."""
    missing = missing_classes(snapshot, switched_on)
    problems: list[Problem] = []
    for policy in snapshot.policies:
        for rule in policy.output_rules:
            detectors = rule.match.content.detectors if rule.match.content is not None else ()
            problems += [
                Problem(
                    source=policy.source,
                    line=rule.line,
                    column=1,
                    message=f"no detector here finds `{name}`",
                    hint=_how_to_enforce(name),
                )
                for name in map(class_of, detectors)
                if name in missing
            ]
    if problems:
        raise PolicyError(problems)


def _how_to_enforce(name: str) -> str:
    """How to get a detector that finds this class, for the author of the rule."""
    if name in CONFIGURED_BY:
        return f"name under `detect.{CONFIGURED_BY[name]}` what is yours"
    if name in SWITCHED_ON_BY:
        return f"start the server with the setting `{SWITCHED_ON_BY[name]}`, or leave the rule out"
    return "leave the rule out; with it every result would be withheld"


async def keep_policy(plane: Plane, files: Sequence[tuple[str, bytes]], *, actor: str) -> Snapshot:
    """Read and compile files, and keep their content in the store under the digest of the snapshot.

    Raises PolicyError with every mistake found, StoreUnavailableError.
    """
    # load
    snapshot = compile_files(files, switched_on=plane.output.switched_on_names)
    kept = await plane.store.entry(PLATFORM_TENANT, EntryKind.POLICY, snapshot.digest)
    # decide
    plane.policy.stage(snapshot)
    if kept is not None:
        return snapshot
    now_us = plane.clock.now_us()
    content = KeptPolicy(
        files=tuple(PolicyFile(source, content.decode()) for source, content in files),
        kept_by=actor,
    )
    entry = entry_after(
        None, PLATFORM_TENANT, EntryKind.POLICY, snapshot.digest, content, now_us=now_us
    )
    record = record_of(
        plane,
        "policy.kept",
        at_us=now_us,
        tenant=PLATFORM_TENANT,
        actor=actor,
        data=policy_data(snapshot),
    )
    # commit
    with contextlib.suppress(PreconditionFailedError):  # another request has just kept it
        await plane.commit(Change(puts=(PutEntry(entry),), records=(record,)))
    # announce: no projection follows a policy that is only kept
    return snapshot


async def kept_policy(plane: Plane, digest: str) -> tuple[KeptPolicy, RegistryEntry]:
    """The content of a policy that was kept. Raises PolicyNotKeptError."""
    entry = await plane.store.entry(PLATFORM_TENANT, EntryKind.POLICY, digest)
    if entry is None:
        raise PolicyNotKeptError(
            f"no policy with the digest `{digest[:64]}` is kept; `GET /api/v1/policy/snapshots`"
            " lists those that were in force"
        )
    return msgspec.json.decode(entry.body, type=KeptPolicy), entry


async def compiled_policy(plane: Plane, digest: str) -> Snapshot:
    """A kept policy, compiled again. Raises PolicyNotKeptError, and PolicyError when this version
    of Forestall cannot compile the content, or compiles it to another digest."""
    kept, _ = await kept_policy(plane, digest)
    files = [(file.source, file.text.encode()) for file in kept.files]
    snapshot = compile_files(files, switched_on=plane.output.switched_on_names)
    if snapshot.digest != digest:
        raise PolicyError(
            [
                Problem(
                    source=digest[:12],
                    line=1,
                    column=1,
                    message="this version decides something else by the kept content",
                    hint="publish the files again",
                )
            ]
        )
    return snapshot


async def publish(plane: Plane, files: Sequence[tuple[str, bytes]], *, actor: str) -> Snapshot:
    """Keep a policy and bring it into force. Raises as `keep_policy` and `activate` do."""
    snapshot = await keep_policy(plane, files, actor=actor)
    return await activate(plane, snapshot.digest, actor=actor)


async def activate(plane: Plane, digest: str, *, actor: str) -> Snapshot:
    """Put a kept policy into force. Its record is durable before the first decision under it.

    Raises PolicyNotKeptError, PolicyError, StoreUnavailableError, and PolicyChangeUnderWayError
    when another activation is under way. The policy in force stays in force, unless a commit whose
    answer was lost turns out to be durable.
    """
    if plane.is_activating:
        raise PolicyChangeUnderWayError("the policy is being changed this moment; try again")
    plane.is_activating = True
    try:
        return await _activate(plane, digest, actor=actor)
    finally:
        plane.is_activating = False


async def _activate(plane: Plane, digest: str, *, actor: str) -> Snapshot:
    # load
    position = await plane.store.log_end() - 1
    before = await plane.store.entry(PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE)
    snapshot = plane.policy.staged(digest) or await compiled_policy(plane, digest)
    plane.policy.stage(snapshot)
    now_us = plane.clock.now_us()
    # decide
    if before is not None and digest_in(before) == digest:
        # The digest in force is this one already (after a restart, say): there is no change to
        # record, only a snapshot to take up in this process.
        take_up_entry(plane.projections, before.key, before, position)
        plane.projections.entry_doubts.settle(before.key)
        plane.telemetry.policy_loaded(snapshot, before.updated_at_us)
        return snapshot
    change = _activation(plane, snapshot, before, actor=actor, now_us=now_us)
    # commit
    try:
        await plane.commit(change)
    except PreconditionFailedError as cause:
        message = "the policy was changed at this moment; try again"
        raise PolicyChangeUnderWayError(message) from cause
    # announce
    plane.telemetry.policy_loaded(snapshot, now_us)
    return snapshot


def _activation(
    plane: Plane, snapshot: Snapshot, before: RegistryEntry | None, *, actor: str, now_us: int
) -> Change:
    in_force = entry_after(
        before, PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE, snapshot.digest, now_us=now_us
    )
    activation = Activation(
        digest=snapshot.digest,
        activated_at_us=now_us,
        rule_count=snapshot.rule_count,
        names=tuple(policy.name for policy in snapshot.policies),
        actor=actor,
    )
    history = entry_after(
        None,
        PLATFORM_TENANT,
        EntryKind.ACTIVATION,
        activation_name(in_force.revision),
        activation,
        now_us=now_us,
    )
    digest_before = digest_in(before) if before is not None else ""
    record = record_of(
        plane,
        "policy.activated",
        at_us=now_us,
        tenant=PLATFORM_TENANT,
        actor=actor,
        data={**policy_data(snapshot), "snapshot_before": digest_before},
    )
    return Change(puts=(PutEntry(in_force), PutEntry(history)), records=(record,))


async def refuse(plane: Plane, error: ForestallError) -> None:
    """Record that a changed policy was refused; the policy in force stays."""
    # load and decide: the caller did
    plane.telemetry.policy_refused()
    record = record_of(
        plane,
        "policy.refused",
        tenant=PLATFORM_TENANT,
        actor=SYSTEM_ACTOR,
        data={"problem": error.message, "snapshot": plane.policy.digest},
    )
    # commit, and announce
    await plane.commit(Change(records=(record,)))
