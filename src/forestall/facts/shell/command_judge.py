"""Judges the simple commands of a shell text, word by word, and everything that they run.

Where the shape of a text is not known, only suspicion is left: a destructive command that stands
anywhere in the text is reported. This module refuses to call a command `read` whose program or
whose variables it does not know.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from forestall.facts.shell import variables
from forestall.facts.shell.arguments import Arg, Args
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NOTHING,
    UNKNOWN,
    Classes,
    CommandClass,
)
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.command_facts import Command, CommandContext, CommandDetail
from forestall.facts.shell.command_runners import is_shell
from forestall.facts.shell.directories import ANYWHERE, Directories, inner_directories
from forestall.facts.shell.found_commands import FoundCommands
from forestall.facts.shell.printed_texts import printed_texts
from forestall.facts.shell.program_handlers import command_effects, may_run
from forestall.facts.shell.program_name import base_name
from forestall.facts.shell.word_expansion import HOLE, Word

DEPTH_MAX: Final = 8  # shell text inside shell text; honest wrapping needs three
CHAIN_MAX: Final = 48  # `env nice env nice ...`: wrappers around one command
LOOKAHEAD: Final = 16  # words considered after a suspect program name
INPUT_TEXTS_MAX: Final = 64  # literal texts remembered that a later command may run
_TEXT_OPTIONS: Final = frozenset(("-c", "-e", "-x", "--command", "--exec", "--eval", "--run"))
_DROP_QUOTES: Final = {ord(char): None for char in "'\"\\"}
_BLANK_MARKS: Final = {ord(char): " " for char in "(){}[];|&<>`$\n,:"}
_BLANK_MARKS_AND_QUOTES: Final = _BLANK_MARKS | {ord(char): " " for char in "'\"\\"}


class CommandJudge:
    """Judges the commands of one text, and of every text inside it."""

    def __init__(self, detail: CommandDetail, read: Callable[[str, int], None]) -> None:
        """`read` reads a shell text that a command would run, at a depth."""
        self._detail = detail
        self._read = read
        self.found = FoundCommands(detail)
        self.here: Directories = (detail.workspace,)
        self.moved = False  # whether the text changes the directory somewhere
        self.targets: tuple[Arg, ...] = ()  # of the redirections of the command that is judged
        self.values: dict[str, list[str]] = {}  # constants that a variable may hold
        self.defined: set[str] = set()  # names to which the text gives a meaning of its own
        self.input_texts: dict[str, None] = {}  # what a command may read, and run
        self.runs_input = False  # whether a command runs what it reads
        self._deletions: list[re.Pattern[str]] = []

    def remember(self, text: str) -> None:
        """Remember a text that a later command may run."""
        if text.strip() and len(self.input_texts) < INPUT_TEXTS_MAX:
            self.input_texts.setdefault(text)

    def input_deletes(self) -> bool:
        """Whether a command that runs code may read a text that deletes something."""
        return any(
            deletion.search(text) for deletion in self._deletions for text in self.input_texts
        )

    def add(
        self, program: str, classes: Classes, args: Args = (), *, runs_others: bool = False
    ) -> Command:
        """Report a command that runs here."""
        context = CommandContext(self.here, self.targets, runs_others)
        return self.found.add(program, classes, args, context)

    def add_redirections(self, classes: Classes, targets: tuple[Arg, ...]) -> None:
        """Report what redirections do by themselves."""
        here = ANYWHERE if self.moved else self.here
        self.found.add_redirections(classes, CommandContext(here, targets))

    # -- commands --

    def line(self, line: Sequence[Word], depth: int, redirected: Classes) -> None:
        """Judge one simple command under every guess at its words.

        `redirected` are the classes that its redirections add.
        """
        if not line:
            return
        program = line[0]
        if not program.literal:
            self.found.doubt()
            self.runs_input = True
            for values in list(self.values.values()):
                for value in values:
                    self.remember(value)
        if program.tilde:
            self.found.doubt()
        readings: dict[tuple[Arg, ...], None] = {}
        for pick in range(max(len(word.guesses) for word in line)):
            words = tuple(arg for word in line for arg in word.args(pick))
            readings.setdefault(words)
            # An expansion that comes to nothing leaves its neighbours standing.
            readings.setdefault(tuple(arg for arg in words if arg.text or not arg.ambiguous))
        for words in readings:
            self._run(words, depth, redirected, 0)

    def _run(self, words: Args, depth: int, redirected: Classes, chain: int) -> None:
        """Judge one command and everything it runs; `chain` commands led to it."""
        if not words or not words[0].text:
            if redirected or words:
                self.add("", redirected | UNKNOWN, words)
            self._suspects(words[1:], depth)
            return
        if chain > CHAIN_MAX or not self.found.spend(len(words)):
            self.found.doubt()
            self._suspects(words, depth)
            return
        name, trusted = base_name(words[0].text)
        args = words[1:]
        if not trusted:
            self.found.add_by_path(words)
        literal = words[0].literal
        effects = command_effects(name, args, self._detail.programs)
        if effects is None:
            self._suspects(args, depth)
            self.runs_input = True
            self.add(name if literal else "", UNKNOWN | redirected, args)
            return
        if name in self.defined or not literal:
            trusted = False
            self._suspects(args, depth)
        classes = effects.classes | redirected | (NOTHING if trusted else UNKNOWN)
        if variables.reads_variable_names(name):
            classes |= self._classes_of_variables(name, args, depth)
        if self.targets and self._detail.words:  # no pattern over the words may allow what they do
            self.add_redirections(redirected, self.targets)
        runs_others = bool(effects.argvs or effects.texts)
        command = self.add(name, classes, args, runs_others=runs_others)
        for text in printed_texts(name, [arg.text for arg in args]):
            self.remember(text)
        self._follow_from(name, args, effects, command, depth, chain)

    def _follow_from(
        self,
        name: str,
        args: Args,
        effects: CommandEffects,
        command: Command,
        depth: int,
        chain: int,
    ) -> None:
        """Judge what a command would run, in the directory in which it would run that."""
        here, self.targets, words_before = self.here, (), len(self.found.words)
        self.here = inner_directories(name, args, effects.argvs, here, moved=self.moved)
        self._follow(effects, depth, chain)
        self.here = here
        if effects.argvs or effects.texts:
            if self._detail.words and effects.classes >= UNKNOWN:
                self.found.doubt()  # what it runs is not all known: any words
            self.found.add_runner(command, self.found.words[words_before:])

    def _follow(self, effects: CommandEffects, depth: int, chain: int) -> None:
        """Judge what a command would run."""
        for text in effects.texts:
            self._read(text, depth + 1)
        for argv in effects.argvs:
            self._run(argv, depth, NOTHING, chain + 1)
            if effects.appends_input:
                for text in list(self.input_texts)[:LOOKAHEAD]:
                    appended = [Arg(word, False, True) for word in text.split()[:LOOKAHEAD]]
                    self._run((*argv[:-1], *appended, argv[-1]), depth, NOTHING, chain + 1)
        for text in effects.assignments:
            self.assign(text, depth)
        for code in effects.code:
            if effects.deletion is not None and effects.deletion.search(code):
                self.found.suspect("", UNKNOWN | DESTRUCTIVE)
            self.rough(code)
        self._suspects(effects.suspects, depth)
        self.defined.update(effects.defines)
        self.runs_input = self.runs_input or effects.runs_input
        if effects.deletion is not None:
            self._deletions.append(effects.deletion)

    # -- variables --

    def assign(self, assignment: str, depth: int, *, exported: bool = True) -> None:
        """Judge NAME=value: most names may choose what the next command is."""
        name, _, value = assignment.partition("=")
        self.expand_quoted(value, depth)
        if variables.is_risky(name, value, exported=exported):
            self.found.doubt()
            self._read(value.rstrip(HOLE), depth + 1)

    def expand_quoted(self, text: str, depth: int) -> None:
        """Read substitutions in quoted text, which bash would still expand if the text reached
        arithmetic, a test or a name."""
        if ("$(" in text or "`" in text) and depth < DEPTH_MAX:
            commands_before = len(self.found.commands)
            self._read(text.replace("'", "").replace('"', ""), depth + 1)
            if len(self.found.commands) > commands_before:
                self.found.doubt()

    def _classes_of_variables(self, program: str, args: Args, depth: int) -> Classes:
        """What words of builtins add that set variables by name."""
        exported = variables.exports(program, args)
        for arg in args:
            self.expand_quoted(arg.text, depth)
            if "=" in arg.text:
                self.assign(arg.text, depth, exported=exported)
        return UNKNOWN if variables.sets_risky_variable(program, args) else NOTHING

    # -- suspicion: where the shape of a text is not known --

    def rough(self, text: str) -> None:
        """Find destructive commands in text that could not be parsed, wherever they stand."""
        unquoted = text.translate(_DROP_QUOTES).translate(_BLANK_MARKS)
        for reading in dict.fromkeys((unquoted, text.translate(_BLANK_MARKS_AND_QUOTES))):
            self._suspects([Arg(word) for word in reading.split()], DEPTH_MAX)

    def _suspects(self, words: Args, depth: int) -> None:
        """Report what is destructive if a command started at any of these words."""
        programs = self._detail.programs
        for at, word in enumerate(words):
            name = base_name(word.text)[0]
            if not may_run(name, programs) and not name.startswith("mkfs."):
                if at and words[at - 1].text in _TEXT_OPTIONS and " " in word.text:
                    self.rough(word.text)
                continue
            if not self.found.spend(1):
                return
            effects = command_effects(name, words[at + 1 : at + 1 + LOOKAHEAD], programs)
            if effects is None:
                continue
            if CommandClass.DESTRUCTIVE in effects.classes:
                self.found.suspect(name, effects.classes)
            if is_shell(name) or name == "eval":
                for text in effects.texts:
                    self._read(text, depth + 1)
