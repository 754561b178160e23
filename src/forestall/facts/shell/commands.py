"""Every command that a shell text could run, each with the classes of its effects.

The text is parsed with the real bash grammar and every simple command in it is judged, wherever
it stands. Nothing is run, expanded from outside, or looked up on a disk. What cannot be parsed,
resolved or known is reported as `unknown`; this module refuses to call such a thing `read`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from forestall.facts.shell import variables as naming
from forestall.facts.shell.command_facts import Command, CommandDetail, calls_itself
from forestall.facts.shell.directories import (
    ANYWHERE,
    directories_of,
    inner_directories,
)
from forestall.facts.shell.found_commands import FoundCommands
from forestall.facts.shell.other_interpreters import other_readings
from forestall.facts.shell.places import redirect_targets
from forestall.facts.shell.preprocess import (
    ascii_only,
    backticks,
    is_dense,
    is_strange,
    variants,
    without_bodies,
)
from forestall.facts.shell.program_entry import (
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    CommandClass,
    classes,
)
from forestall.facts.shell.program_name import base_name
from forestall.facts.shell.special_programs import may_run, program_effects
from forestall.facts.shell.syntax_tree import (
    Item,
    grouped,
    missed_substitutions,
    parser,
    text_of,
    walk,
)
from forestall.facts.shell.word_expansion import MAX_VALUE_CHARS, Word, WordReader, assignment_text
from forestall.facts.shell.wrappers import ProgramEffects, is_shell
from forestall.facts.shell.write_targets import written

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Command", "CommandClass", "CommandDetail", "commands_in"]

TEXT_BYTES_MAX: Final = 64 * 1024  # no honest command is longer, and every parse stays quick
DEPTH_MAX: Final = 8  # shell text inside shell text; honest wrapping needs three
CHAIN_MAX: Final = 48  # `env nice env nice ...`: wrappers around one command
PARSED_BYTES_MAX: Final = 2 * TEXT_BYTES_MAX  # inner texts parsed for one text, together
VALUES_MAX: Final = 8  # constants remembered for one variable
LOOKAHEAD: Final = 16  # words considered after a suspect program name
_NO_DETAIL: Final = CommandDetail()


def commands_in(text: str, detail: CommandDetail = _NO_DETAIL) -> tuple[Command, ...]:
    """Every command that `text` could run, in source order, without duplicates; never empty."""
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (detail.doubtful(),)
    reader = _ShellReader(detail)
    reader.read(text, 0)
    for program, kinds in other_readings(text):
        reader.suspect(program, kinds)
    return reader.result()


def suspects_in(text: str) -> tuple[Command, ...]:
    """Destructive commands that stand anywhere in a text of another language; it may be empty."""
    reader = _ShellReader(_NO_DETAIL)
    reader.rough(text)
    return tuple(reader.found)


class _ShellReader(FoundCommands):
    """Reads one text and every text inside it."""

    def __init__(self, detail: CommandDetail) -> None:
        super().__init__(detail)
        self._bytes = 0
        self._read_data: set[str] = set()
        self._runs_data = False
        self._loss: list[Callable[[str], object]] = []
        self._values: dict[str, list[str]] = {}
        self._defined: set[str] = set()
        self._calls: dict[str, set[str]] = {}

    # -- results --

    def result(self) -> tuple[Command, ...]:
        """What was found, after following the data that a command may run."""
        for name in self._calls:
            if calls_itself(self._calls, name):
                self.suspect(name, classes("d"))
        self._here = ANYWHERE if self._moved else (self._detail.workspace,)
        for round_of in range(3):
            fresh = [text for text in self._data if text not in self._read_data]
            if not self._runs_data or not fresh:
                break
            self._read_data.update(fresh)
            for text in fresh:
                self.read(text, round_of + 1)
        if any(lost(text) for lost in self._loss for text in self._data):
            self.suspect("", classes("ud"))
        return self._detail.reported(self.found)

    # -- texts --

    def read(self, text: str, depth: int) -> None:
        """Judge every command of one shell text."""
        if depth > DEPTH_MAX or self._bytes > PARSED_BYTES_MAX or not self._spend(1):
            self._doubt()
            return
        if "\0" in text:
            self._doubt()
            text = text.replace("\0", "")  # bash drops them
        if is_strange(text.replace("\r\n", "\n")):
            self._doubt()
        text = ascii_only(text)
        here = self._here
        for variant in dict.fromkeys(variants(text)):
            self._bytes += len(variant)
            self._parse(variant, depth)
            self._here = here

    def _parse(self, text: str, depth: int) -> None:
        short, bodies = without_bodies(text)
        if is_dense(short):
            self._doubt()
            self.rough(text)
            return
        source = short.encode("utf-8", "replace")
        items, defined, sound = walk(parser().parse(source).root_node, source)
        self._defined |= defined
        if bodies:
            starts = {item.node.start_byte for item in items if item.kind == "heredoc_start"}
            sound = sound and starts.issuperset(bodies)
            for body in bodies.values():
                self._remember(body)
        words = WordReader(source, self._values)
        for item in items:
            if item.kind in ("variable_assignment", "for_statement"):
                self._note_values(item.node, words)
        places = directories_of(items, words, self._here)
        self._moved = self._moved or bool(places)
        targets: dict[int, list[Arg]] = {}
        owned: dict[int, Classes] = {}
        strays: dict[int, list[Node]] = {}
        for item in items:
            if item.kind == "file_redirect":
                effect = self._redirect(item.node, words)
                owned[item.owner] = owned.get(item.owner, NOTHING) | effect
                targets.setdefault(item.owner, []).extend(redirect_targets(item.node, words))
                # The grammar lets a redirection swallow the words that follow its target.
                rest = item.node.children_by_field_name("destination")[1:]
                strays.setdefault(item.owner, []).extend(rest)
        if 0 in owned:
            self._add_redirections(owned[0], tuple(targets[0]))
        self._line([words.word(stray) for stray in strays.pop(0, [])], depth, NOTHING)
        for item in items:
            item.strays = strays.get(item.node.id, [])
            self._here = places.get(item.node.id, self._here)
            self._targets = tuple(targets.get(item.node.id, ()))
            self._read_node(item, words, owned.get(item.node.id, NOTHING), depth)
        if not sound:
            self._doubt()
            self.rough(text)

    # -- nodes --

    def _note_values(self, node: "Node", words: WordReader) -> None:
        """Remember the constants that a variable may hold."""
        if node.type == "variable_assignment":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if name is None or value is None:
                return
            parts = value.named_children if value.type == "array" else [value]
            guesses = [" ".join(words.word(part).guesses[0] for part in parts)]
            guesses += [guess for part in parts for guess in words.word(part).guesses]
        else:
            name = node.child_by_field_name("variable")
            parts = node.children_by_field_name("value")
            guesses = [guess for part in parts[:LOOKAHEAD] for guess in words.word(part).guesses]
        key = text_of(name).partition("[")[0] if name else ""
        known = self._values.setdefault(key, [])
        for guess in guesses:
            if guess and len(known) < VALUES_MAX:
                known.append(guess[:MAX_VALUE_CHARS])

    def _redirect(self, node: "Node", words: WordReader) -> Classes:
        """What a redirection does to its target."""
        operator = next((c.type for c in node.children if not c.is_named), "")
        kinds: Classes = NOTHING
        for target in node.children_by_field_name("destination")[:1]:
            word = words.word(target)
            # `<>` opens for both, and the grammar stumbles over it.
            reads = operator in ("<", "<&", "<&-") and "<>" not in text_of(node)
            if operator in (">&", "<&", ">&-") and word.guesses[0].rstrip("-").isdigit():
                continue
            for guess in word.guesses:
                kind = written(guess) if guess else classes("w")
                kinds |= kind & classes("n") if reads else kind
            if word.open_start and not reads:
                kinds |= UNKNOWN
        return kinds

    def _read_node(self, item: Item, words: WordReader, extra: Classes, depth: int) -> None:
        node, kind = item.node, item.kind
        if not self._spend(1):
            return
        if kind == "command":
            self._command(item, words, extra, depth)
        elif kind in ("declaration_command", "unset_command"):
            self._declaration(node, words, extra, depth)
        elif kind == "variable_assignment":
            self._assigned(assignment_text(node, words), depth, exported=item.owner != 0)
        elif kind == "heredoc_redirect":
            self._here_document(node, depth)
        elif kind == "herestring_redirect":
            for guess in (guess for c in node.named_children for guess in words.word(c).guesses):
                self._remember(guess)
        elif kind in ("expansion", "for_statement"):
            self._sets_by_name(node)
        elif kind == "command_substitution" and text_of(node).startswith("`"):
            self._backticked(text_of(node)[1:-1], depth)
        elif kind in ("test_command", "arithmetic_expansion", "subscript"):
            if kind == "test_command":
                self._add("test", READ)
            if "'" in text_of(node):
                self._armed(text_of(node), depth)

    def _backticked(self, inner: str, depth: int) -> None:
        """Backticks inside backticks are escaped, and the grammar leaves them so."""
        if "\\" in inner:
            for char in "`$\\":
                inner = inner.replace(f"\\{char}", char)
            self.read(inner, depth + 1)

    def _declaration(self, node: "Node", words: WordReader, extra: Classes, depth: int) -> None:
        """export, declare, unset...: a command whose words the grammar reads apart."""
        groups, sound = grouped(node)
        if not sound:
            self._doubt()
        line = [words.word(*group) for group in groups]
        line += [
            Word((assignment_text(child, words),))
            for child in node.children
            if child.type == "variable_assignment"
        ]
        self._line(line, depth, extra)

    def _here_document(self, node: "Node", depth: int) -> None:
        """Remember a here-document; distrust one whose end is in doubt."""
        start = next((c for c in node.children if c.type == "heredoc_start"), None)
        body = next((c for c in node.children if c.type == "heredoc_body"), None)
        end = next((c for c in node.children if c.type == "heredoc_end"), None)
        mark = text_of(start).strip("'\"") if start else ""
        content = text_of(body) if body else ""
        self._remember(content)
        if start and not text_of(start).startswith(("'", '"', "\\")):
            self._expanded(body, content, depth)
        lines = [line.strip("\t") for line in content.split("\n")]
        plain = mark.replace("_", "").isalnum() and mark.isascii()
        if not plain or end is None or text_of(end) != mark or mark in lines:
            self._doubt()
            rest = text_of(node).partition("\n")[2]
            self.rough(rest)
            if not plain or mark in lines:
                self.read(rest, depth + 1)  # bash may have ended it earlier

    def _expanded(self, body: "Node | None", content: str, depth: int) -> None:
        """Read the substitutions of a here-document that the grammar passes over."""
        for inner in backticks(content):
            self.read(inner, depth + 1)
        if body is not None and "$(" in content:
            for missed, size in missed_substitutions(body):
                self._bytes += size
                if missed is None or self._bytes > PARSED_BYTES_MAX:
                    self._doubt()
                    self.rough(content)
                    return
                self.read(missed, depth + 1)

    def _sets_by_name(self, node: "Node") -> None:
        """`for PATH in` and `${PATH:=x}` assign; `${x@P}` runs what x holds."""
        if node.type == "for_statement":
            name = node.child_by_field_name("variable")
            if name and naming.is_risky(text_of(name)):
                self._doubt()
            return
        kinds = [child.type for child in node.children]
        names = [text_of(c) for c in node.children if c.type in ("variable_name", "subscript")]
        if ("=" in kinds or ":=" in kinds) and any(naming.is_risky(name) for name in names):
            self._doubt()
        if any(kind.startswith("@") for kind in kinds):
            self._doubt()

    def _assigned(self, text: str, depth: int, *, exported: bool = True) -> None:
        """NAME=value: most names may choose what the next command is."""
        name, _, value = text.partition("=")
        self._armed(value, depth)
        if naming.is_risky(name, value, exported=exported):
            self._doubt()
            self.read(naming.value_text(value), depth + 1)

    def _armed(self, text: str, depth: int) -> None:
        """Quoted text that bash would still expand if it reached arithmetic, a test or a name."""
        if ("$(" in text or "`" in text) and depth < DEPTH_MAX:
            before = len(self.found)
            self.read(text.replace("'", "").replace('"', ""), depth + 1)
            if len(self.found) > before:
                self._doubt()

    # -- commands --

    def _command(self, item: Item, words: WordReader, extra: Classes, depth: int) -> None:
        groups, sound = grouped(item.node)
        if not sound:
            self._doubt()
        groups += [[stray] for stray in item.strays]
        line = [words.word(*group) for group in groups]
        if line and item.function and item.detached:
            self._calls.setdefault(item.function, set()).add(line[0].guesses[0])
        self._line(line, depth, extra)

    def _line(self, line: Sequence[Word], depth: int, extra: Classes) -> None:
        """Judge one simple command under every guess at its words."""
        if not line:
            return
        if not line[0].literal:
            self._doubt()
            self._runs_data = True
            for value in [value for values in self._values.values() for value in values]:
                self._remember(value)
        if line[0].tilde:
            self._doubt()
        tries: dict[tuple[Arg, ...], None] = {}
        for pick in range(max(len(word.guesses) for word in line)):
            words = tuple(arg for word in line for arg in word.args(pick))
            tries.setdefault(words)
            # An expansion that comes to nothing leaves its neighbours standing.
            tries.setdefault(tuple(arg for arg in words if arg.text or not arg.flaggable))
        for words in tries:
            self._run(words, depth, extra, 0)

    def _run(self, words: Sequence[Arg], depth: int, extra: Classes, chain: int) -> None:
        """Judge one command, word by word, and everything it runs."""
        if not words or not words[0].text:
            if extra or words:
                self._add("", extra | UNKNOWN, words)
            self._suspects(words[1:], depth)
            return
        if chain > CHAIN_MAX or not self._spend(len(words)):
            self._doubt()
            self._suspects(words, depth)
            return
        name, trusted = base_name(words[0].text)
        args = words[1:]
        if not trusted:
            self.found.setdefault(self._detail.by_path(words))
        effects = program_effects(name, args, self._detail.programs)
        if name in self._defined or effects is None or not words[0].literal:
            trusted = False
            self._suspects(args, depth)
        if effects is None:
            self._runs_data = True
            self._add(name if words[0].literal else "", UNKNOWN | extra, args)
            return
        kinds = effects.classes | extra | (NOTHING if trusted else UNKNOWN)
        if naming.names_matter(name):
            kinds |= self._naming(name, args, depth)
        if self._targets and self._detail.words:  # no pattern over the words may allow what they do
            self._add_redirections(extra, self._targets)
        runs_others = bool(effects.argvs or effects.texts)
        command = self._add(name, kinds, args, runs_others=runs_others)
        for text in naming.shown(name, [arg.text for arg in args]):
            self._remember(text)
        here, self._targets, inner = self._here, (), len(self._words)
        self._here = inner_directories(name, args, effects.argvs, here, moved=self._moved)
        self._follow(effects, depth, chain)
        self._here = here
        if self._detail.words and runs_others and effects.classes >= UNKNOWN:
            self._doubt()  # what it runs is not all known: any words
        if runs_others and command in self.found:
            del self.found[command]
            self.found.setdefault(self._detail.running(command, self._words[inner:]))

    def _naming(self, program: str, args: Sequence[Arg], depth: int) -> Classes:
        """Words of builtins that set variables by name."""
        exported = naming.exports(program, args)
        for arg in args:
            self._armed(arg.text, depth)
            if "=" in arg.text:
                self._assigned(arg.text, depth, exported=exported)
        return UNKNOWN if naming.risky_words(program, args) else NOTHING

    def _follow(self, effects: ProgramEffects, depth: int, chain: int) -> None:
        """Judge what a command would run."""
        for text in effects.texts:
            self.read(text, depth + 1)
        for argv in effects.argvs:
            self._run(argv, depth, NOTHING, chain + 1)
            if effects.takes_words:
                for data in list(self._data)[:LOOKAHEAD]:
                    extra = [Arg(word, False, True) for word in data.split()[:LOOKAHEAD]]
                    self._run((*argv[:-1], *extra, argv[-1]), depth, NOTHING, chain + 1)
        for text in effects.assigned:
            self._assigned(text, depth)
        for code in effects.code:
            if effects.loss is not None and effects.loss.search(code):
                self.suspect("", classes("ud"))
            self.rough(code)
        self._suspects(effects.suspects, depth)
        self._defined.update(effects.defines)
        self._runs_data = self._runs_data or effects.runs_data
        if effects.loss is not None:
            self._loss.append(effects.loss.search)

    # -- suspicion: where the shape of a text is not known --

    def rough(self, text: str) -> None:
        """Find destructive commands in text that could not be parsed, wherever they stand."""
        bare = text.translate(_DROP_QUOTES)
        for reading in dict.fromkeys((bare.translate(_OPEN), text.translate(_OPEN_ALL))):
            self._suspects([Arg(word) for word in reading.split()], DEPTH_MAX)

    def _suspects(self, words: Sequence[Arg], depth: int) -> None:
        """Report what is destructive if a command started at any of these words."""
        programs = self._detail.programs
        for at, word in enumerate(words):
            name = base_name(word.text)[0]
            if not may_run(name, programs) and not name.startswith("mkfs."):
                if at and words[at - 1].text in _TEXT_OPTIONS and " " in word.text:
                    self.rough(word.text)
                continue
            if not self._spend(1):
                return
            effects = program_effects(name, words[at + 1 : at + 1 + LOOKAHEAD], programs)
            if effects is not None and CommandClass.DESTRUCTIVE in effects.classes:
                self.suspect(name, effects.classes)
            if effects is not None and (is_shell(name) or name == "eval"):
                for text in effects.texts:
                    self.read(text, depth + 1)


_TEXT_OPTIONS: Final = frozenset(("-c", "-e", "-x", "--command", "--exec", "--eval", "--run"))
_DROP_QUOTES: Final = {ord(char): None for char in "'\"\\"}
_OPEN: Final = {ord(char): " " for char in "(){}[];|&<>`$\n,:"}
_OPEN_ALL: Final = _OPEN | {ord(char): " " for char in "'\"\\"}
