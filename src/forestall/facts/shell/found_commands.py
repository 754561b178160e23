"""The commands found in one shell text, and the work that finding them took.

A command counts once, however often it stands in the text. A text that takes too many steps is
`unknown`: this module refuses to drop anything without a sign that something was dropped.
"""

from typing import Final

import msgspec

from forestall.facts.shell.arguments import Args
from forestall.facts.shell.command_classes import READ, Classes
from forestall.facts.shell.command_facts import Command, CommandContext, CommandDetail

STEPS_MAX: Final = 20_000  # words judged for one text, so that work stays linear in its length


class FoundCommands:
    """What is found in one text, and in every text inside it, in source order."""

    def __init__(self, detail: CommandDetail) -> None:
        """`detail` says what is worked out of each command, beside its classes."""
        self._detail = detail
        self._steps = 0
        self.commands: dict[Command, None] = {}
        self.words: list[str] = []  # of each command, as often as it stands in the text

    def add(self, program: str, classes: Classes, args: Args, context: CommandContext) -> Command:
        """Report a command whose words are known as far as `args` are."""
        command = self._detail.command(program, classes, args, context)
        self.commands.setdefault(command)
        self.words.append(command.words)
        return command

    def add_by_path(self, words: Args) -> None:
        """Report a program by its path, beside the command by its name."""
        self.commands.setdefault(self._detail.by_path(words))

    def add_redirections(self, classes: Classes, context: CommandContext) -> None:
        """Report what redirections do by themselves, as a command without words."""
        command = self._detail.command("", classes, (), context)
        if classes or self._detail.words or self._detail.places or command.classes != READ:
            self.commands.setdefault(msgspec.structs.replace(command, words=""))

    def add_runner(self, command: Command, inner: list[str]) -> None:
        """Report a found command with the words of those that it runs."""
        if command in self.commands:
            del self.commands[command]
            self.commands.setdefault(self._detail.running(command, inner))

    def suspect(self, program: str, classes: Classes) -> None:
        """Report a command that was only guessed at."""
        self.commands.setdefault(self._detail.doubtful(program, classes))

    def doubt(self) -> None:
        """Report that the text may do something that is not known."""
        self.commands.setdefault(self._detail.doubtful())

    def spend(self, steps: int) -> bool:
        """Whether so many steps may still be taken; when not, the text is `unknown`."""
        self._steps += steps
        if self._steps > STEPS_MAX:
            self.doubt()
            return False
        return True
