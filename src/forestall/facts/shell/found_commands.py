"""The commands found in one shell text, where each one acts, and the work that finding them took.

A command counts once, however often it stands in the text. A text that takes too many steps is
`unknown`: this module refuses to drop anything without a sign that something was dropped.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from forestall.facts.shell.command_facts import Command, CommandContext, CommandDetail
from forestall.facts.shell.directories import ANYWHERE, Directories
from forestall.facts.shell.program_entry import READ, Arg, Classes

STEPS_MAX: Final = 20_000  # words judged for one text, so that work stays linear in its length
DATA_MAX: Final = 64  # literal texts remembered that a later command may run


class FoundCommands:
    """What is found in one text, and in every text inside it."""

    def __init__(self, detail: CommandDetail) -> None:
        """`detail` says what is worked out of each command, beside its classes."""
        self._detail = detail
        self._here: Directories = (detail.workspace,)
        self._targets: tuple[Arg, ...] = ()
        self._words: list[str] = []  # of each command, as often as it stands in the text
        self.found: dict[Command, None] = {}
        self._steps = 0
        self._data: dict[str, None] = {}
        self._moved = False  # whether the text changes the directory somewhere

    def _add(
        self, program: str, kinds: Classes, args: Sequence[Arg] = (), *, runs_others: bool = False
    ) -> Command:
        context = CommandContext(self._here, self._targets, runs_others)
        self.found.setdefault(command := self._detail.command(program, kinds, args, context))
        self._words.append(command.words)
        return command

    def _add_redirections(self, kinds: Classes, targets: tuple[Arg, ...]) -> None:
        context = CommandContext(ANYWHERE if self._moved else self._here, targets)
        found = self._detail.command("", kinds, (), context)
        if kinds or self._detail.words or self._detail.places or found.classes != READ:
            self.found.setdefault(msgspec.structs.replace(found, words=""))

    def suspect(self, program: str, kinds: Classes) -> None:
        """Report a command that was only guessed at."""
        self.found.setdefault(self._detail.doubtful(program, kinds))

    def _doubt(self) -> None:
        self.found.setdefault(self._detail.doubtful())

    def _remember(self, text: str) -> None:
        if text.strip() and len(self._data) < DATA_MAX:
            self._data.setdefault(text)

    def _spend(self, steps: int) -> bool:
        self._steps += steps
        if self._steps > STEPS_MAX:
            self._doubt()
            return False
        return True
