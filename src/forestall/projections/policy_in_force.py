"""The policy in force, compiled to a snapshot. While there is none, no gate decides anything.

The store names the policy in force by its digest. Compiling takes time, so a verb stages the
compiled snapshot before it commits the activation. An activation whose snapshot is not staged
closes every gate until it is.
"""

import msgspec

from forestall.policy.snapshot import Snapshot
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import IN_FORCE, PLATFORM_TENANT, EntryKind, RegistryEntry

_STAGED_MAX = 2  # the one in force, and the one on its way


class PolicyInForce:
    """The entry `policy_in_force` of the store, and the snapshot that it names. For one thread."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self._entry: RegistryEntry | None = None
        self._staged: dict[str, Snapshot] = {}

    def stage(self, snapshot: Snapshot) -> None:
        """Keep a compiled snapshot for the activation that names its digest. The two staged last
        are kept."""
        self._staged.pop(snapshot.digest, None)
        self._staged[snapshot.digest] = snapshot
        while len(self._staged) > _STAGED_MAX:
            del self._staged[next(iter(self._staged))]

    def staged(self, digest: str) -> Snapshot | None:
        """The staged snapshot of this digest; None when there is none."""
        return self._staged.get(digest)

    def put(self, entry: RegistryEntry) -> None:
        """Take up the entry as it was committed."""
        self._entry = entry
        self.snapshot = self._staged.get(digest_in(entry))

    @property
    def digest(self) -> str:
        """The digest of the policy in force as the store says; empty when there is none."""
        return digest_in(self._entry) if self._entry is not None else ""

    @property
    def entry(self) -> RegistryEntry | None:
        """The entry that names the policy in force."""
        return self._entry

    def unchanged(self, snapshot: Snapshot) -> EntryUnchanged:
        """The precondition of a change that rests on a decision of this snapshot: the snapshot is
        still in force. For a snapshot that is not in force here, the precondition fails: it expects
        revision 0, and a store in which a policy was ever activated has a greater revision."""
        revision = 0
        if self._entry is not None and snapshot is self.snapshot:
            revision = self._entry.revision
        return EntryUnchanged(PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE, revision)


def digest_in(entry: RegistryEntry) -> str:
    """The digest that an entry of kind `policy_in_force` names."""
    return msgspec.json.decode(entry.body, type=str)


def is_of_policy(condition: object) -> bool:
    """Whether a precondition says that the policy in force is unchanged."""
    return isinstance(condition, EntryUnchanged) and condition.kind == EntryKind.POLICY_IN_FORCE
