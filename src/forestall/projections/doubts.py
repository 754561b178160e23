"""Registry entries of which the store may hold another revision than memory does.

A commit whose answer was lost may be durable; this process knows only when it has read the entry
again. While an entry of a kind in TIGHTENING is in doubt, less may be allowed than memory says, so
no job is dispatched. The theory is in `docs/internals/leases-and-doubt.md`.
"""

from forestall.ports.entries import EntryKind

EntryKey = tuple[str, str, str]  # tenant, kind, name
# Kinds of entries whose change may forbid a job: it rests on its tenant, on a key, on the agent of
# that key, on the policy, or on an approval that binds topic, schema and pool.
TIGHTENING = (
    EntryKind.KEY,
    EntryKind.AGENT,
    EntryKind.POLICY_IN_FORCE,
    EntryKind.TOPIC,
    EntryKind.SCHEMA,
    EntryKind.POOL,
    EntryKind.TENANT,
)


class EntryDoubts:
    """Entries in doubt, and the position of the last change taken up of each entry. `kinds` are the
    kinds of which every entry is in doubt. For one thread."""

    def __init__(self) -> None:
        self._doubts: dict[EntryKey, None] = {}  # a dict keeps its order, so simulations repeat
        self._newest: dict[EntryKey, int] = {}  # log position of the last change taken up
        self.kinds: dict[EntryKind, None] = {}

    def __len__(self) -> int:
        return len(self._doubts) + len(self.kinds)

    def add(self, key: EntryKey) -> None:
        """Have an entry read again at the next tick."""
        self._doubts[key] = None

    def doubtful(self) -> list[EntryKey]:
        """Every entry in doubt."""
        return list(self._doubts)

    def settle(self, key: EntryKey) -> None:
        """Remove an entry from those in doubt."""
        self._doubts.pop(key, None)

    @property
    def is_tightening(self) -> bool:
        """Whether less may be allowed than memory says: an entry of TIGHTENING is in doubt."""
        return any(kind in TIGHTENING for _, kind, _ in self._doubts)

    def is_newer(self, key: EntryKey, position: int, *, taken_to: int) -> bool:
        """Whether no later change of this entry than the one at `position` was taken up. Remembers
        the position when there was none.

        Only changes after `taken_to` can still arrive late; earlier positions may be forgotten.
        """
        if self._newest.get(key, -1) > position:
            return False
        if len(self._newest) >= _REMEMBERED_MAX:
            self._newest = {key: at for key, at in self._newest.items() if at >= taken_to}
        self._newest[key] = position
        return True


_REMEMBERED_MAX = 4_096
