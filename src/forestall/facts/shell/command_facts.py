"""What is reported of one command: program, classes, words and places, and how many are reported.

Words and places are worked out only for somebody who asks for them: two commands that differ in
nothing else are one fact to everybody else. A command that was only guessed at has words and places
that are unknown.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from forestall.facts.bounded_facts import at_most
from forestall.facts.derive import UNRESOLVED
from forestall.facts.file_paths import plain_path
from forestall.facts.shell.arguments import Arg, Args
from forestall.facts.shell.command_classes import (
    READ,
    SECRET,
    UNKNOWN,
    Classes,
    CommandClass,
)
from forestall.facts.shell.command_spelling import (
    RUNS,
    WORD_CHARS_MAX,
    command_text,
    text_by_path,
)
from forestall.facts.shell.directories import ANYWHERE, Directories
from forestall.facts.shell.places import (
    UNKNOWN_PLACE,
    CommandPlace,
    holds_secret,
    path_words,
    places_of,
)
from forestall.facts.shell.preprocess import STAND_IN
from forestall.facts.shell.program_table import BUILT_IN, ProgramTable
from forestall.facts.shell.secret_commands import shows_secret

COMMANDS_MAX: Final = 64  # distinct commands reported; each one costs a decision
DETAILED_COMMANDS_MAX: Final = 256  # the same, where commands are told apart by words or places
INNER_MAX: Final = 8  # commands that are named beside the one that runs them
_RUNS: Final = f" {RUNS} "
_NO_PLACES: Final[frozenset[CommandPlace]] = frozenset()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command: its program ("" when that cannot be known) and what it may do.

    `words` is its one spelling, and `places` are where it acts; both are empty when nobody asked.
    """

    program: str
    classes: frozenset[CommandClass]
    words: str = ""
    places: frozenset[CommandPlace] = _NO_PLACES

    def label_places(self, labels: frozenset[str]) -> list[dict[str, str]]:
        """The labels of each place, as far as they are among these; one without any if none is."""
        by_label = {"command_path": attrgetter("path"), "command_scope": attrgetter("scope")}
        names = [name for name in by_label if name in labels]
        rows = {tuple(str(by_label[name](place)) for name in names) for place in self.places}
        return [dict(zip(names, row, strict=True)) for row in sorted(rows)] or [{}]


class CommandContext(NamedTuple):
    """Where a command stands: the directories that it may run in, the targets of its redirections,
    and whether its last words are a command of their own."""

    here: Directories = ANYWHERE
    targets: tuple[Arg, ...] = ()
    runs_others: bool = False


class CommandDetail(NamedTuple):
    """What is worked out of each command, beside its classes, and by which program table."""

    workspace: str = "/workspace"  # where the text begins to run
    words: bool = False
    places: bool = False
    programs: ProgramTable = BUILT_IN

    @property
    def commands_max(self) -> int:
        """How many commands are reported."""
        return DETAILED_COMMANDS_MAX if self.words or self.places else COMMANDS_MAX

    def doubtful(self, program: str = "", classes: Classes = UNKNOWN) -> Command:
        """A command whose words are not known."""
        return Command(
            program=program,
            classes=(classes - READ) or READ,
            words=UNRESOLVED if self.words else "",
            places=frozenset({UNKNOWN_PLACE}) if self.places else _NO_PLACES,
        )

    def command(
        self, program: str, classes: Classes, args: Args, context: CommandContext
    ) -> Command:
        """A command whose words are known as far as `args` are."""
        if STAND_IN in program:
            program, classes = "", classes | UNKNOWN
        paths = path_words(program, args, runs_others=context.runs_others, programs=self.programs)
        paths.extend(context.targets)
        if holds_secret(program, paths, context.here) or shows_secret(program, args, classes):
            classes |= SECRET
        # READ means that it only looks, so it never stands beside another class.
        classes = (classes - READ) or READ
        if not self.words and not self.places:
            return Command(program=program, classes=classes)
        return Command(
            program=program,
            classes=classes,
            words=command_text(program, args, classes, self.programs) if self.words else "",
            places=self._places(program, paths, classes, context) if self.places else _NO_PLACES,
        )

    def by_path(self, words: Sequence[Arg]) -> Command:
        """A program that its path names, and not its name alone: `./git` need not be git.

        It stands beside the command by name, so that a rule that allows must match both, and a rule
        that denies is dodged by neither.
        """
        path = words[0]
        if not path.literal or len(path.text) > WORD_CHARS_MAX or STAND_IN in path.text:
            return self.doubtful()
        command = self.doubtful(path.text)
        if not self.words:
            return command
        return msgspec.structs.replace(command, words=text_by_path(words))

    def _places(
        self, program: str, paths: Args, classes: Classes, context: CommandContext
    ) -> frozenset[CommandPlace]:
        root = plain_path(self.workspace) if self.workspace.startswith("/") else "/"
        if root == "/":  # without a workspace, nothing is inside
            return frozenset({UNKNOWN_PLACE})
        return places_of(program, paths, classes, context.here, root)

    def running(self, command: Command, inner: Sequence[str]) -> Command:
        """A command that does nothing but run others, whose words `inner` are: a rule that names
        one of these by its words speaks of the first command, too."""
        if not self.words or command.classes != READ:
            return command
        distinct = list(dict.fromkeys(one for words in inner for one in words.split(_RUNS)))
        words = _RUNS.join((command.words, *distinct[:INNER_MAX]))
        return msgspec.structs.replace(command, words=words)

    def reported(self, commands: Iterable[Command]) -> tuple[Command, ...]:
        """The commands that are reported; never empty."""
        return at_most(self.commands_max, commands, self.doubtful()) or (self.doubtful(),)
