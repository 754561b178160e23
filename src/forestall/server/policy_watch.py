"""When changed policy files are complete, and may be taken up. A state machine: no clock, no disk.

Half a policy can be a policy, so a file that its writer has not finished must not be read. A file
is complete when one of these holds:

* It was renamed into place: its writer wrote elsewhere and was done.
* It lies behind a folder whose name begins with `..`, as Kubernetes mounts a ConfigMap: the link to
  the folder is turned when all files are there.
* It ends with the line `...`, YAML's end of a document, and nobody has it open for writing.
* It has not changed for `settle_s` seconds: longer than a slow editor pauses.

A file that went away is waited for a moment: an editor that moves the old file aside leaves such a
gap. All files are taken up together, so one that is not complete holds up the others.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from forestall.limits import POLICY_GONE_SECONDS


class FileState(NamedTuple):
    """What a look at a policy file shows. Equal states mean that nothing was written between."""

    modified_ns: int  # of its content
    changed_ns: int  # of its inode: names, modes and content
    size_bytes: int
    inode: int
    target: str  # the path with all links followed
    ends: bool = False  # whether its last line is `...`


FileStates = Mapping[str, FileState]


class AwaitedFile(NamedTuple):
    """The file that is waited for, and for how many seconds if nobody writes to it any more."""

    name: str
    seconds: float


class PolicyWatch:
    """Compares what a look shows with what was taken up. Times are seconds of one clock that never
    goes back."""

    def __init__(self, taken: FileStates, *, settle_s: float) -> None:
        self._taken = dict(taken)
        self._settle_s = settle_s
        # Name of a changed file → its state (None: it is gone), and when that was first seen.
        self._since: dict[str, tuple[FileState | None, float]] = {}

    def look(
        self,
        states: FileStates,
        *,
        at_s: float,
        renamed: Collection[str] = (),
        being_written: Collection[str] = (),
    ) -> AwaitedFile | bool:
        """Whether something changed and all of it is complete; or the file that is waited for.

        `renamed` are files that were last changed by a rename into their place, `being_written`
        those that somebody has open and has written to.
        """
        names = {*states, *self._taken}
        changed = [name for name in names if states.get(name) != self._taken.get(name)]
        self._since = {name: self._since[name] for name in changed if name in self._since}
        awaited: list[AwaitedFile] = []
        for name in changed:
            state = states.get(name)
            if name not in self._since or self._since[name][0] != state:
                self._since[name] = (state, at_s)
            if state is not None and _is_complete(name, state, renamed, being_written):
                continue
            settle_s = self._settle_s if state is not None else POLICY_GONE_SECONDS
            left_s = settle_s - (at_s - self._since[name][1])
            if left_s > 0 or name in being_written:
                awaited.append(AwaitedFile(name, max(left_s, 0.0)))
        if awaited:
            return max(awaited, key=lambda file: (file.seconds, file.name))
        return bool(changed)

    def take(self, states: FileStates) -> None:
        """These states are taken up, whether their content was good or not."""
        self._taken = dict(states)
        self._since.clear()


def _is_complete(
    name: str, state: FileState, renamed: Collection[str], being_written: Collection[str]
) -> bool:
    """Whether a file is complete without a wait."""
    if name in being_written:
        return False
    # The target is a resolved path, so `..` in it only begins a longer name.
    is_behind_turned_link = "/.." in state.target
    return name in renamed or state.ends or is_behind_turned_link
