"""Bring a policy into force: read, compile, record, then swap. A broken one changes nothing."""

from collections.abc import Collection, Sequence

from forestall.control.plane import Plane
from forestall.control.records import (
    SALT_BYTES,
    policy_activated,
    policy_refused,
)
from forestall.errors import ForestallError, UnavailableError
from forestall.policy.compile import Snapshot, compile_policy
from forestall.policy.language.policy_file import load_policy
from forestall.policy.output_verdict import (
    CONFIGURED_BY,
    SWITCHED_ON_BY,
    detectors_for,
    missing_classes,
)
from forestall.policy.problems import PolicyError, Problem
from forestall.policy.rules import Policy
from forestall.ports.change import Change, PutSnapshot, SnapshotEntry

PLATFORM_TENANT = "default"  # whose log entries the deployment's own events are


class PolicyChangeUnderWayError(UnavailableError):
    """Another change of the policy is on its way to the store. Which one would win is chance."""

    code, http_status = "policy_change_under_way", 503


def compile_files(
    files: Sequence[tuple[str, bytes]], *, switched_on: Collection[str] = ()
) -> Snapshot:
    """Read and compile (name, content) pairs. Raises PolicyError with every mistake found.

    `switched_on` are the classes of findings that the settings brought beside the built-in ones.
    """
    policies: list[Policy] = []
    problems: list[Problem] = []
    for source, content in files:
        try:
            policies.append(load_policy(content, source=source))
        except PolicyError as error:
            problems.extend(error.problems)
    if problems:
        raise PolicyError(problems)
    snapshot = compile_policy(policies)
    _require_enforceable(snapshot, switched_on)
    # The tables of what this policy looks for are read now: one that cannot be read stops the
    # start, not every result, and the first result waits for none.
    detectors_for(snapshot)
    return snapshot


def _require_enforceable(snapshot: Snapshot, switched_on: Collection[str]) -> None:
    """Raises PolicyError for an output rule that names what nothing here can find."""
    missing = missing_classes(snapshot, switched_on)
    problems = [
        Problem(
            source=policy.source,
            line=rule.line,
            column=1,
            message=f"no detector here finds `{name}`",
            hint=_hint(name),
        )
        for policy in snapshot.policies
        for rule in policy.output_rules
        if rule.match.content is not None
        for name in rule.match.content.detectors
        if name in missing
    ]
    if problems:
        raise PolicyError(problems)


def _hint(name: str) -> str:
    if name in CONFIGURED_BY:
        return f"name under `detect.{CONFIGURED_BY[name]}` what is yours"
    if name in SWITCHED_ON_BY:
        return f"start the server with the setting `{SWITCHED_ON_BY[name]}`, or leave the rule out"
    return "leave the rule out; with it every result would be withheld"


async def activate(plane: Plane, files: Sequence[tuple[str, bytes]], *, actor: str) -> Snapshot:
    """Put a policy into force. The record is durable before the first decision under it.

    Raises PolicyError, and PolicyChangeUnderWayError when called before another call has ended;
    then the snapshot in force stays in force.
    """
    snapshot = compile_files(files, switched_on=plane.output.switched_on_names)
    if plane.is_activating:
        raise PolicyChangeUnderWayError("the policy is being changed this moment; try again")
    plane.is_activating = True
    try:
        return await _activate(plane, snapshot, actor=actor)
    finally:
        plane.is_activating = False


async def _activate(plane: Plane, snapshot: Snapshot, *, actor: str) -> Snapshot:
    now_us = plane.clock.now_us()
    latest = await plane.store.snapshots(limit=1)
    before = latest[0].digest if latest else ""
    if snapshot.digest == before:
        # The same decisions as before (after a restart, say): nothing changed, nothing to record.
        plane.snapshot = snapshot
        plane.policy_doubt = None
        plane.telemetry.policy_loaded(snapshot, latest[0].activated_at_us)
        return snapshot
    entry = SnapshotEntry(
        digest=snapshot.digest,
        activated_at_us=now_us,
        rule_count=snapshot.rule_count,
        names=tuple(policy.name for policy in snapshot.policies),
    )
    record = policy_activated(
        snapshot, before, PLATFORM_TENANT, actor, now_us, plane.random.token(SALT_BYTES)
    )
    with plane.tightening():
        try:
            await plane.commit(Change(puts=(PutSnapshot(entry),), records=(record,)))
        except BaseException as doubt:
            plane.policy_doubt = doubt  # it may be durable all the same
            raise
        plane.snapshot = snapshot
        plane.policy_doubt = None
        plane.leases.forget_progress()  # it was looked at under the policy before
    plane.cache.flush()
    plane.queue.unpark_all()  # what bound them may have changed
    plane.workers.wake_all()
    plane.telemetry.policy_loaded(snapshot, now_us)
    return snapshot


async def settle_policy(plane: Plane) -> None:
    """After a policy whose commit went unanswered: whether the store has it. If it has, nothing is
    handed to a worker until that policy, or another, is in force here too."""
    doubt = plane.policy_doubt
    if doubt is None:
        return
    latest = await plane.store.snapshots(limit=1)
    in_force = plane.snapshot.digest if plane.snapshot is not None else ""
    if plane.policy_doubt is doubt and latest and latest[0].digest == in_force:
        plane.policy_doubt = None
        plane.workers.wake_all()


async def refuse(plane: Plane, error: ForestallError) -> None:
    """Record that a changed policy was not taken; the one in force stays."""
    plane.telemetry.policy_refused()
    in_force = plane.snapshot.digest if plane.snapshot is not None else ""
    record = policy_refused(
        error.message,
        in_force,
        PLATFORM_TENANT,
        plane.clock.now_us(),
        plane.random.token(SALT_BYTES),
    )
    await plane.commit(Change(records=(record,)))
