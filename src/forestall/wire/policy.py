"""Policies that are or were in force → JSON: their activations, and the content of each."""

from collections.abc import Sequence
from pathlib import PurePath

from forestall.ports.entries import Activation, KeptPolicy
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject


class ActivationObject(WireObject, frozen=True):
    """One row of the history of policies in force."""

    id: str
    digest: str
    created_at: str
    rule_count: int
    bundle_ids: list[str]
    in_force: bool
    activated_by: str


class ActivatedObject(WireObject, frozen=True):
    """When a policy came into force, and by whom."""

    activated_at: str
    activated_by: str


class PolicyFileObject(WireObject, frozen=True):
    """One file of a policy, named without its folders."""

    name: str
    content: str


class KeptPolicyObject(WireObject, frozen=True):
    """The content of a policy, and when it came into force, the newest first."""

    id: str
    digest: str
    created_at: str
    created_by: str
    in_force: bool
    activations: list[ActivatedObject]
    files: list[PolicyFileObject]


def activation_object(activation: Activation, *, in_force: bool) -> ActivationObject:
    """One row of the history of policies in force."""
    return ActivationObject.of(
        activation,
        id=activation.digest,
        created_at=iso_time(activation.activated_at_us),
        bundle_ids=activation.names,
        in_force=in_force,
        activated_by=activation.actor,
    )


def kept_policy_object(
    digest: str,
    kept: KeptPolicy,
    activations: Sequence[Activation],
    *,
    kept_at_us: int,
    in_force: bool,
) -> KeptPolicyObject:
    """The content of a policy, and its activations, newest first.

    Files are named without their folders: where a policy lies on a server is not for clients.
    """
    return KeptPolicyObject(
        id=digest,
        digest=digest,
        created_at=iso_time(kept_at_us),
        created_by=kept.kept_by,
        in_force=in_force,
        activations=[
            ActivatedObject(iso_time(each.activated_at_us), each.actor) for each in activations
        ],
        files=[PolicyFileObject(PurePath(file.source).name, file.text) for file in kept.files],
    )
