"""Every command that a shell text could run, each with the classes of its effects.

The text is parsed with the real bash grammar and every simple command in it is judged, wherever
it stands. Nothing is run, expanded from outside, or looked up on a disk. What cannot be parsed,
resolved or known is reported as `unknown`; this module refuses to call such a thing `read`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from forestall.facts.shell import variables
from forestall.facts.shell.command_classes import DESTRUCTIVE, NOTHING, READ, UNKNOWN, CommandClass
from forestall.facts.shell.command_facts import Command, CommandDetail
from forestall.facts.shell.command_judge import DEPTH_MAX, LOOKAHEAD, CommandJudge
from forestall.facts.shell.directories import ANYWHERE, directories_of
from forestall.facts.shell.other_interpreters import other_readings
from forestall.facts.shell.preprocess import (
    ascii_only,
    backticks,
    has_ambiguous_character,
    is_dense,
    variants,
    without_bodies,
)
from forestall.facts.shell.redirections import NO_REDIRECTIONS, Redirections, redirections_of
from forestall.facts.shell.syntax_tree import (
    NodeInContext,
    ParsedText,
    missed_substitutions,
    parsed_text,
    text_of,
    word_nodes,
)
from forestall.facts.shell.word_expansion import VALUE_CHARS_MAX, Word, WordReader, assignment_text

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Command", "CommandClass", "CommandDetail", "commands_in"]

TEXT_BYTES_MAX: Final = 64 * 1024  # no honest command is longer, and every parse stays quick
PARSED_BYTES_MAX: Final = 2 * TEXT_BYTES_MAX  # inner texts parsed for one text, together
VALUES_MAX: Final = 8  # constants remembered for one variable
INPUT_ROUNDS_MAX: Final = 3  # texts that are run may write further texts that are run
_NO_DETAIL: Final = CommandDetail()


def commands_in(text: str, detail: CommandDetail = _NO_DETAIL) -> tuple[Command, ...]:
    """Every command that `text` could run, in source order, without duplicates; never empty."""
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (detail.doubtful(),)
    reader = _TextReader(detail)
    reader.read(text, 0)
    for program, classes in other_readings(text):
        reader.judge.found.suspect(program, classes)
    return reader.result()


def suspects_in(text: str) -> tuple[Command, ...]:
    """Destructive commands that stand anywhere in a text of another language; it may be empty."""
    judge = _TextReader(_NO_DETAIL).judge
    judge.rough(text)
    return tuple(judge.found.commands)


class _TextReader:
    """Reads one text and every text inside it: finds the simple commands, which `judge` judges."""

    def __init__(self, detail: CommandDetail) -> None:
        self._detail = detail
        self.judge = CommandJudge(detail, self.read)
        self._found = self.judge.found
        self._parsed_bytes = 0
        self._calls: dict[str, set[str]] = {}  # what each function of the text runs detached

    def result(self) -> tuple[Command, ...]:
        """What was found, after following the texts that a command may read and run."""
        for name in self._calls:
            if _calls_itself(self._calls, name):  # a fork bomb
                self._found.suspect(name, DESTRUCTIVE)
        judge = self.judge
        judge.here = ANYWHERE if judge.moved else (self._detail.workspace,)
        read: set[str] = set()
        for round_number in range(INPUT_ROUNDS_MAX):
            fresh = [text for text in judge.input_texts if text not in read]
            if not judge.runs_input or not fresh:
                break
            read.update(fresh)
            for text in fresh:
                self.read(text, round_number + 1)
        if judge.input_deletes():
            self._found.suspect("", UNKNOWN | DESTRUCTIVE)
        return self._detail.reported(self._found.commands)

    def read(self, text: str, depth: int) -> None:
        """Judge every command of one shell text, which `depth` texts hold."""
        if depth > DEPTH_MAX or self._parsed_bytes > PARSED_BYTES_MAX or not self._found.spend(1):
            self._found.doubt()
            return
        if "\0" in text:
            self._found.doubt()
            text = text.replace("\0", "")  # bash drops them
        if has_ambiguous_character(text.replace("\r\n", "\n")):
            self._found.doubt()
        here = self.judge.here
        for variant in dict.fromkeys(variants(ascii_only(text))):
            self._parsed_bytes += len(variant)
            self._read_variant(variant, depth)
            self.judge.here = here

    def _read_variant(self, text: str, depth: int) -> None:
        short, bodies = without_bodies(text)
        if is_dense(short):
            self._found.doubt()
            self.judge.rough(text)
            return
        source = short.encode("utf-8", "replace")
        parsed = parsed_text(source)
        sound = parsed.sound
        if bodies:
            starts = {one.node.start_byte for one in parsed.nodes if one.kind == "heredoc_start"}
            sound = sound and starts.issuperset(bodies)
            for body in bodies.values():
                self.judge.remember(body)
        self._read_nodes(parsed, WordReader(source, self.judge.values), depth)
        if not sound:
            self._found.doubt()
            self.judge.rough(text)

    def _read_nodes(self, parsed: ParsedText, words: WordReader, depth: int) -> None:
        judge = self.judge
        judge.defined |= parsed.functions
        for item in parsed.nodes:
            if item.kind in ("variable_assignment", "for_statement"):
                self._note_values(item.node, words)
        directories = directories_of(parsed.nodes, words, judge.here)
        judge.moved = judge.moved or bool(directories)
        redirections = redirections_of(parsed.nodes, words)
        if (of_no_command := redirections.get(0)) is not None:
            judge.add_redirections(of_no_command.classes, of_no_command.targets)
            judge.line([words.word(stray) for stray in of_no_command.strays], depth, NOTHING)
        for item in parsed.nodes:
            own = redirections.get(item.node.id, NO_REDIRECTIONS)
            judge.here = directories.get(item.node.id, judge.here)
            judge.targets = own.targets
            if self._found.spend(1):
                self._read_node(item, words, own, depth)

    def _read_node(
        self, item: NodeInContext, words: WordReader, redirections: Redirections, depth: int
    ) -> None:
        node, kind = item.node, item.kind
        if kind == "command":
            self._command(item, words, redirections, depth)
        elif kind in ("declaration_command", "unset_command"):
            self._declaration(node, words, redirections, depth)
        elif kind == "variable_assignment":
            exported = item.command_id != 0
            self.judge.assign(assignment_text(node, words), depth, exported=exported)
        elif kind == "heredoc_redirect":
            self._here_document(node, depth)
        elif kind == "herestring_redirect":
            for child in node.named_children:
                for guess in words.word(child).guesses:
                    self.judge.remember(guess)
        elif kind == "for_statement":
            self._for_statement(node)
        elif kind == "expansion":
            self._expansion(node)
        elif kind == "command_substitution" and text_of(node).startswith("`"):
            self._backticked(text_of(node)[1:-1], depth)
        elif kind in ("test_command", "arithmetic_expansion", "subscript"):
            if kind == "test_command":
                self.judge.add("test", READ)
            if "'" in text_of(node):
                self.judge.expand_quoted(text_of(node), depth)

    # -- nodes --

    def _command(
        self, item: NodeInContext, words: WordReader, redirections: Redirections, depth: int
    ) -> None:
        groups, sound = word_nodes(item.node)
        if not sound:
            self._found.doubt()
        line = [words.word(*nodes) for nodes in groups]
        line += [words.word(stray) for stray in redirections.strays]
        if line and item.function and item.detached:
            self._calls.setdefault(item.function, set()).add(line[0].guesses[0])
        self.judge.line(line, depth, redirections.classes)

    def _declaration(
        self, node: "Node", words: WordReader, redirections: Redirections, depth: int
    ) -> None:
        """export, declare, unset...: a command whose words the grammar reads apart."""
        groups, sound = word_nodes(node)
        if not sound:
            self._found.doubt()
        line = [words.word(*nodes) for nodes in groups]
        line += [
            Word((assignment_text(child, words),))
            for child in node.children
            if child.type == "variable_assignment"
        ]
        self.judge.line(line, depth, redirections.classes)

    def _note_values(self, node: "Node", words: WordReader) -> None:
        """Remember the constants that a variable may hold."""
        if node.type == "variable_assignment":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if name is None or value is None:
                return
            parts = value.named_children if value.type == "array" else [value]
            guesses = [" ".join(words.word(part).guesses[0] for part in parts)]
        else:
            name = node.child_by_field_name("variable")
            parts = node.children_by_field_name("value")[:LOOKAHEAD]
            guesses = []
        guesses += [guess for part in parts for guess in words.word(part).guesses]
        key = text_of(name).partition("[")[0] if name else ""
        values = self.judge.values.setdefault(key, [])
        for guess in guesses:
            if guess and len(values) < VALUES_MAX:
                values.append(guess[:VALUE_CHARS_MAX])

    def _backticked(self, inner: str, depth: int) -> None:
        """Backticks inside backticks are escaped, and the grammar leaves them so."""
        if "\\" in inner:
            for char in "`$\\":
                inner = inner.replace(f"\\{char}", char)
            self.read(inner, depth + 1)

    def _here_document(self, node: "Node", depth: int) -> None:
        """Remember a here-document; distrust one whose end is in doubt."""
        parts = {child.type: child for child in reversed(node.children)}  # the first of each type
        start, body, end = (parts.get(f"heredoc_{part}") for part in ("start", "body", "end"))
        mark = text_of(start).strip("'\"") if start else ""
        content = text_of(body) if body else ""
        self.judge.remember(content)
        if start and not text_of(start).startswith(("'", '"', "\\")):
            self._expanded_body(body, content, depth)
        lines = [line.strip("\t") for line in content.split("\n")]
        plain = mark.replace("_", "").isalnum() and mark.isascii()
        if not plain or end is None or text_of(end) != mark or mark in lines:
            self._found.doubt()
            rest = text_of(node).partition("\n")[2]
            self.judge.rough(rest)
            if not plain or mark in lines:
                self.read(rest, depth + 1)  # bash may have ended it earlier

    def _expanded_body(self, body: "Node | None", content: str, depth: int) -> None:
        """Read the substitutions of a here-document that the grammar passes over."""
        for inner in backticks(content):
            self.read(inner, depth + 1)
        if body is not None and "$(" in content:
            for missed, size in missed_substitutions(body):
                self._parsed_bytes += size
                if missed is None or self._parsed_bytes > PARSED_BYTES_MAX:
                    self._found.doubt()
                    self.judge.rough(content)
                    return
                self.read(missed, depth + 1)

    def _for_statement(self, node: "Node") -> None:
        """`for PATH in` assigns."""
        name = node.child_by_field_name("variable")
        if name and variables.is_risky(text_of(name)):
            self._found.doubt()

    def _expansion(self, node: "Node") -> None:
        """`${PATH:=x}` assigns, and `${x@P}` runs what x holds."""
        operators = [child.type for child in node.children]
        names = [text_of(c) for c in node.children if c.type in ("variable_name", "subscript")]
        assigns = "=" in operators or ":=" in operators
        if assigns and any(variables.is_risky(name) for name in names):
            self._found.doubt()
        if any(operator.startswith("@") for operator in operators):
            self._found.doubt()


def _calls_itself(calls: Mapping[str, Iterable[str]], name: str) -> bool:
    """Whether a function leads to itself, by what each function of the text calls."""
    seen: set[str] = set()
    pending = list(calls[name])
    while pending:
        called = pending.pop()
        if called == name:
            return True
        if called not in seen:
            seen.add(called)
            pending.extend(calls.get(called, ()))
    return False
