"""Registry entries of which the store may hold another revision than memory does.

A commit whose answer was lost may be durable. Until the entry is read again nobody here knows, and
where less may run after the change, nothing is handed to a worker meanwhile.
"""

from forestall.ports.entries import EntryKind

EntryKey = tuple[str, str, str]  # tenant, kind, name
_TIGHTENING = (EntryKind.KEY, EntryKind.POLICY_IN_FORCE)


class EntryDoubts:
    """Entries to be read again, and how late each known entry is. For one thread."""

    def __init__(self) -> None:
        self._doubts: dict[EntryKey, None] = {}  # in order: a set would be in none
        self._newest: dict[EntryKey, int] = {}  # position of the last change taken up
        self.kinds: dict[EntryKind, None] = {}  # kinds of which every entry is to be read again

    def __len__(self) -> int:
        return len(self._doubts) + len(self.kinds)

    def add(self, key: EntryKey) -> None:
        """Have an entry read again."""
        self._doubts[key] = None

    def doubtful(self) -> list[EntryKey]:
        """Every entry in doubt."""
        return list(self._doubts)

    def settle(self, key: EntryKey) -> None:
        """An entry is in doubt no more."""
        self._doubts.pop(key, None)

    @property
    def is_tightening(self) -> bool:
        """Whether less may run than is known here: the end of a key, or a policy, is in doubt."""
        return any(kind in _TIGHTENING for _, kind, _ in self._doubts)

    def is_newer(self, key: EntryKey, position: int, *, taken_to: int) -> bool:
        """Whether no later change of this entry than the one at `position` was taken up; notes it.

        Only what stands after `taken_to` can still arrive late, so the rest is forgotten.
        """
        if self._newest.get(key, -1) > position:
            return False
        if len(self._newest) >= _REMEMBERED_MAX:
            self._newest = {each: at for each, at in self._newest.items() if at >= taken_to}
        self._newest[key] = position
        return True


_REMEMBERED_MAX = 4_096
