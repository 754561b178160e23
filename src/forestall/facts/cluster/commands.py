"""What each Kubernetes, cloud, git or package-manager command in a text does, and to what.

The shell room says which commands a text could run and what it knows of them. Here the words of
these commands are collected, `tool_facts.py` reads a verb, a resource and a namespace from them,
and both answers are united: whatever the shell room finds and this room did not read is reported
without a verb. Manifests, plans and charts are not opened: what they hold is `unknown`. This module
refuses to leave out a command that the shell room found.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from forestall.facts.bounded_facts import at_most
from forestall.facts.cluster import tools
from forestall.facts.cluster.tool_facts import VerbFact, facts_of_tool, verb_fact
from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import NOTHING, READ, SECRET, UNKNOWN, Classes
from forestall.facts.shell.commands import TEXT_BYTES_MAX, Command, CommandDetail, commands_in
from forestall.facts.shell.preprocess import ascii_only, is_dense, variants, without_bodies
from forestall.facts.shell.program_handlers import command_effects
from forestall.facts.shell.program_table import ProgramTable
from forestall.facts.shell.secret_commands import shows_secret
from forestall.facts.shell.syntax_tree import parsed_text, word_nodes
from forestall.facts.shell.word_expansion import WordReader

DEPTH_MAX: Final = 6  # shell text inside shell text; the shell room follows further than this
CHAIN_MAX: Final = 24  # `env nice env nice ...`: wrappers around one command
STEPS_MAX: Final = 4_000  # commands read for one text

_UNKNOWN_FACT: Final = verb_fact("", UNKNOWN)
_NO_DETAIL: Final = CommandDetail()


def verbs_in(text: str, detail: CommandDetail = _NO_DETAIL) -> tuple[VerbFact, ...]:
    """Every command that `text` could run, without duplicates; never empty."""
    return verbs_and_commands_in(text, detail)[0]


def verbs_and_commands_in(
    text: str, detail: CommandDetail = _NO_DETAIL
) -> tuple[tuple[VerbFact, ...], tuple[Command, ...]]:
    """Every command that `text` could run, as this room and as the shell room report it. Neither is
    empty, and each holds at most `detail.commands_max` facts."""
    commands = commands_in(text, detail)
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN_FACT,), commands
    reader = _ToolReader(detail.programs)
    reader.read(text, 0)
    facts = dict.fromkeys(reader.facts)
    for command in commands:
        program = command.program
        tool = tools.tool_name(program)
        if not tool:
            facts[verb_fact(program, command.classes)] = None
        elif program not in reader.classes_by_program:
            facts[verb_fact(tool, command.classes | UNKNOWN)] = None
        elif missed := command.classes - reader.classes_by_program[program] - READ:
            facts[verb_fact(tool, missed)] = None
    facts = facts or {_UNKNOWN_FACT: None}
    return at_most(detail.commands_max, facts, _UNKNOWN_FACT), commands


def paired(
    facts: Sequence[VerbFact], commands: Sequence[Command], detail: CommandDetail
) -> Iterator[tuple[VerbFact, Command]]:
    """Each fact about a command of a text, with what the shell room says of that command.

    Several commands of one tool are told apart by neither room alone, so each fact of the tool
    stands beside each of its commands: the true pairs are among these.
    """
    commands_of_tool: dict[str, list[Command]] = {}
    for command in commands:
        tool = tools.tool_name(command.program) or command.program
        commands_of_tool.setdefault(tool, []).append(command)
    for fact in facts:
        for command in commands_of_tool.get(fact.tool) or (detail.doubtful(),):
            yield fact, command


class _ToolReader:
    """Reads the words of every command of a tool whose words stand in the text."""

    def __init__(self, programs: ProgramTable) -> None:
        self._programs = programs
        self.facts: list[VerbFact] = []
        # What the shell room says of the commands that were read here.
        self.classes_by_program: dict[str, Classes] = {}
        self._values: dict[str, list[str]] = {}
        self._steps = 0

    def read(self, text: str, depth: int) -> None:
        """Read one shell text; what is too deep or too dense is left to the shell room."""
        if depth > DEPTH_MAX:
            return
        for variant in dict.fromkeys(variants(ascii_only(text.replace("\0", "")))):
            short, _ = without_bodies(variant)
            if is_dense(short) or self._steps > STEPS_MAX:
                continue
            source = short.encode("utf-8", "replace")
            words = WordReader(source, self._values)
            for item in parsed_text(source).nodes:
                if item.kind != "command":
                    continue
                groups, _ = word_nodes(item.node)
                line = [words.word(*group) for group in groups]
                guesses_max = max((len(word.guesses) for word in line), default=0)
                command_lines = {
                    tuple(arg for word in line for arg in word.args(guess))
                    for guess in range(guesses_max)
                }
                for args in sorted(command_lines, key=str):
                    self._run(args, depth, 0)

    def _run(self, args: Sequence[Arg], depth: int, chain: int) -> None:
        """Read one command line, and every one that it runs; `chain` of them led here."""
        self._steps += 1
        if not args or not args[0].literal or chain > CHAIN_MAX or self._steps > STEPS_MAX:
            return
        program = args[0].text.rpartition("/")[2]
        rest = args[1:]
        effects = command_effects(program, rest, self._programs)
        tool = tools.tool_name(program)
        if tool:
            shell_classes = effects.classes if effects is not None else NOTHING
            if shows_secret(program, rest, shell_classes):
                shell_classes |= SECRET
            reported = shell_classes if effects is not None else UNKNOWN
            earlier = self.classes_by_program.get(program, NOTHING)
            self.classes_by_program[program] = earlier | reported
            self.facts.extend(facts_of_tool(tool, tools.tool(program), rest, shell_classes))
        elif program.startswith("python") and [arg.text for arg in rest[:2]] == ["-m", "pip"]:
            of_pip = command_effects("pip", rest[2:])
            shell_classes = of_pip.classes if of_pip is not None else UNKNOWN
            self.facts.extend(facts_of_tool("pip", tools.tool("pip"), rest[2:], shell_classes))
        if effects is not None:
            for text in effects.texts:
                self.read(text, depth + 1)
            for argv in effects.argvs:
                self._run(argv, depth, chain + 1)
