"""Every command that a shell text could run, each with the classes of its effects.

The text is parsed with the real bash grammar and every simple command in it is judged, wherever
it stands. Nothing is run, expanded from outside, or looked up on a disk. What cannot be parsed,
resolved or known is reported as `unknown`; this module refuses to call such a thing `read`.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts import naming
from forestall.facts.odd import judge
from forestall.facts.paths import plain_path, written
from forestall.facts.programs import (
    NOTHING,
    READ,
    TABLE,
    UNKNOWN,
    Arg,
    Classes,
    CommandClass,
    classes,
)
from forestall.facts.texts import backticks, has_bare_break, is_dense, is_strange, variants, without_bodies
from forestall.facts.words import Word, WordReader, ansi_text
from forestall.facts.wrappers import RUNNERS, SHELLS, Finding

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

__all__ = ["Command", "CommandClass", "commands_in"]

TEXT_BYTES_MAX: Final = 64 * 1024  # no honest command is longer, and every parse stays quick
DEPTH_MAX: Final = 8  # shell text inside shell text; honest wrapping needs three
COMMANDS_MAX: Final = 64  # distinct commands reported; each one costs a decision
CHAIN_MAX: Final = 48  # `env nice env nice ...`: wrappers around one command
STEPS_MAX: Final = 20_000  # words judged for one text, so that work stays linear in its length
PARSED_BYTES_MAX: Final = 2 * TEXT_BYTES_MAX  # inner texts parsed for one text, together
DATA_MAX: Final = 64  # literal texts remembered that a later command may run
LOOKAHEAD: Final = 16  # words considered after a suspect program name

_DANGER: Final = (
    CommandClass.DESTRUCTIVE,
    CommandClass.UNKNOWN,
    CommandClass.PRIVILEGED,
    CommandClass.NETWORK,
    CommandClass.WRITE,
    CommandClass.READ,
)
_BIN: Final = frozenset(
    f"{root}/{name}"
    for root in ("", "/usr", "/usr/local", "/opt/homebrew", "/run/current-system/sw")
    for name in ("bin", "sbin")
)
_BLANK: Final = b" \t\r"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command: its program ("" when that cannot be known) and what it may do."""

    program: str
    classes: frozenset[CommandClass]


_UNKNOWN_COMMAND: Final = Command(program="", classes=UNKNOWN)


def commands_in(text: str) -> tuple[Command, ...]:
    """Every command that `text` could run, in source order, without duplicates; never empty."""
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN_COMMAND,)
    reader = _Reader()
    reader.read(text, 0)
    return reader.result()


@functools.cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class _Item(msgspec.Struct):
    """One node to judge, with what surrounds it."""

    node: "Node"
    function: str
    detached: bool
    owner: int
    strays: "list[Node]" = []


class _Reader:
    """Collects the commands of one text and of every text inside it."""

    def __init__(self) -> None:
        self._found: dict[Command, None] = {}
        self._steps = 0
        self._bytes = 0
        self._data: dict[str, None] = {}
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
            if self._calls_itself(name):
                self._add(name, classes("d"))
        for round_of in range(3):
            fresh = [text for text in self._data if text not in self._read_data]
            if not self._runs_data or not fresh:
                break
            self._read_data.update(fresh)
            for text in fresh:
                self.read(text, round_of + 1)
        if any(lost(text) for lost in self._loss for text in self._data):
            self._add("", classes("ud"))
        found = list(self._found) or [_UNKNOWN_COMMAND]
        if len(found) <= COMMANDS_MAX:
            return tuple(found)
        ranked = sorted(found, key=lambda one: min(_DANGER.index(kind) for kind in one.classes))
        kept = set(ranked[: COMMANDS_MAX - 1]) - {_UNKNOWN_COMMAND}
        return (*(one for one in found if one in kept), _UNKNOWN_COMMAND)

    def _add(self, program: str, kinds: Classes) -> None:
        # READ means that it only looks, so it never stands beside another class.
        self._found.setdefault(Command(program=program, classes=(kinds - READ) or READ))

    def _doubt(self) -> None:
        self._found.setdefault(_UNKNOWN_COMMAND)

    def _calls_itself(self, name: str) -> bool:
        seen: set[str] = set()
        pending = list(self._calls[name])
        while pending:
            called = pending.pop()
            if called == name:
                return True
            if called not in seen:
                seen.add(called)
                pending.extend(self._calls.get(called, ()))
        return False

    def _remember(self, text: str) -> None:
        if text.strip() and len(self._data) < DATA_MAX:
            self._data.setdefault(text)

    def _spend(self, steps: int) -> bool:
        self._steps += steps
        if self._steps > STEPS_MAX:
            self._doubt()
            return False
        return True

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
        for variant in dict.fromkeys(variants(text)):
            self._bytes += len(variant)
            self._parse(variant, depth)

    def _parse(self, text: str, depth: int) -> None:
        short, bodies = without_bodies(text)
        if is_dense(short):
            self._doubt()
            self.rough(text)
            return
        source = short.encode("utf-8", "replace")
        items, sound = self._walk(_parser().parse(source).root_node, source)
        starts = {item.node.start_byte for item in items if item.node.type == "heredoc_start"}
        sound = sound and starts.issuperset(bodies)
        for body in bodies.values():
            self._remember(body)
        words = WordReader(source, self._values)
        for item in items:
            self._note_values(item.node, words)
        owned: dict[int, Classes] = {}
        strays: dict[int, list[Node]] = {}
        for item in items:
            if item.node.type == "file_redirect":
                effect = self._redirect(item.node, words)
                owned[item.owner] = owned.get(item.owner, NOTHING) | effect
                # The grammar lets a redirection swallow the words that follow its target.
                rest = item.node.children_by_field_name("destination")[1:]
                strays.setdefault(item.owner, []).extend(rest)
        if owned.get(0):
            self._add("", owned[0])
        self._line([words.word(stray) for stray in strays.pop(0, [])], depth, NOTHING)
        for item in items:
            item.strays = strays.get(item.node.id, [])
            self._judge_node(item, words, owned.get(item.node.id, NOTHING), depth)
        if not sound:
            self._doubt()
            self.rough(text)

    def _walk(self, root: "Node", source: bytes) -> tuple[list[_Item], bool]:
        """Every node worth judging, in source order, and whether the parse can be trusted."""
        items: list[_Item] = []
        sound = True
        stack = [_Item(root, "", False, 0)]
        while stack:
            item = stack.pop()
            node, function, owner = item.node, item.function, item.owner
            kind = node.type
            if kind == "ERROR" or node.is_missing:
                sound = False
            elif kind in _JUDGED:
                items.append(item)
            elif kind == "word":
                sound = sound and not has_bare_break(node.text or b"")
            children = node.children
            if kind == "function_definition":
                name = node.child_by_field_name("name")
                function = (name.text or b"").decode("utf-8", "replace") if name else ""
                self._defined.add(function)
            elif kind == "command":
                owner = node.id
                sound = sound and self._gaps_are_blank(children, source)
            elif kind == "redirected_statement":
                body = node.child_by_field_name("body")
                owner = body.id if body is not None and body.type == "command" else 0
            elif kind not in ("heredoc_redirect", "file_redirect"):
                owner = 0
            elif kind == "comment":
                sound = sound and _starts_comment(source, node.start_byte)
            inherited = item.detached or kind == "pipeline"
            following = ""
            for child in reversed(children):
                detached = inherited or following == "&"
                stack.append(_Item(child, function, detached, owner))
                following = child.type
        return items, sound

    def _gaps_are_blank(self, children: "list[Node]", source: bytes) -> bool:
        at = None
        for child in children:
            gap = source[at : child.start_byte] if at is not None else b""
            if gap.strip(_BLANK) and gap.replace(b"\\\n", b"").strip(_BLANK):
                return False
            at = child.end_byte
        return True

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
        elif node.type == "for_statement":
            name = node.child_by_field_name("variable")
            parts = node.children_by_field_name("value")
            guesses = [guess for part in parts[:LOOKAHEAD] for guess in words.word(part).guesses]
        else:
            return
        key = _text(name).partition("[")[0] if name else ""
        known = self._values.setdefault(key, [])
        known.extend(guess for guess in guesses if guess and guess not in known and len(known) < 8)

    def _redirect(self, node: "Node", words: WordReader) -> Classes:
        """What a redirection does to its target."""
        targets = node.children_by_field_name("destination")
        operator = next((c.type for c in node.children if not c.is_named), "")
        kinds: Classes = NOTHING
        for target in targets[:1]:
            word = words.word(target)
            reads = operator in ("<", "<&", "<&-")
            if operator in (">&", "<&", ">&-") and word.guesses[0].rstrip("-").isdigit():
                continue
            for guess in word.guesses:
                kind = written(guess) if guess else classes("w")
                kinds |= kind & classes("n") if reads else kind
            if word.open_start and not reads:
                kinds |= UNKNOWN
        return kinds

    def _judge_node(self, item: _Item, words: WordReader, extra: Classes, depth: int) -> None:
        node, kind = item.node, item.node.type
        if not self._spend(1):
            return
        if kind == "command":
            self._command(item, words, extra, depth)
        elif kind in ("declaration_command", "unset_command"):
            line = [words.word(*group) for group in self._groups(node)]
            line += [
                Word((_assignment(child, words),))
                for child in node.children
                if child.type == "variable_assignment"
            ]
            self._line(line, depth, extra)
        elif kind == "variable_assignment":
            self._assigned(_assignment(node, words), depth)
        elif kind == "for_statement":
            name = node.child_by_field_name("variable")
            if name and naming.is_risky(_text(name)):
                self._doubt()
        elif kind in ("heredoc_redirect", "herestring_redirect"):
            self._here(node, words, depth)
        elif kind == "expansion":
            self._expansion(node)
        elif kind == "command_substitution" and _text(node).startswith("`"):
            inner = _text(node)[1:-1]
            if "\\" in inner:
                for char in "`$\\":
                    inner = inner.replace(f"\\{char}", char)
                self.read(inner, depth + 1)
        elif kind == "test_command":
            self._add("test", READ)
            self._armed(_text(node), depth)
        elif kind in ("arithmetic_expansion", "subscript"):
            self._armed(_text(node), depth)

    def _here(self, node: "Node", words: WordReader, depth: int) -> None:
        """Remember a here-document or here-string; distrust one whose end is in doubt."""
        if node.type == "herestring_redirect":
            for child in node.named_children:
                for guess in words.word(child).guesses:
                    self._remember(guess)
            return
        start = next((c for c in node.children if c.type == "heredoc_start"), None)
        body = next((c for c in node.children if c.type == "heredoc_body"), None)
        end = next((c for c in node.children if c.type == "heredoc_end"), None)
        mark = _text(start).strip("'\"") if start else ""
        content = _text(body) if body else ""
        self._remember(content)
        if start and not _text(start).startswith(("'", '"', "\\")):
            self._expanded(body, content, depth)
        lines = [line.strip("\t") for line in content.split("\n")]
        plain = mark.replace("_", "").isalnum() and mark.isascii()
        if not plain or end is None or _text(end) != mark or mark in lines:
            self._doubt()
            self.rough(content)
            if not plain or mark in lines:
                self.read(content, depth + 1)  # bash may have ended it earlier

    def _expanded(self, body: "Node | None", content: str, depth: int) -> None:
        """Read the substitutions of a here-document that the grammar passes over."""
        for inner in backticks(content):
            self.read(inner, depth + 1)
        if body is None or "$(" not in content:
            return
        raw = body.text or b""
        found = [
            (child.start_byte - body.start_byte, child.end_byte - body.start_byte)
            for child in body.children
            if child.type != "heredoc_content"
        ]
        at = raw.find(b"$(")
        while at >= 0:
            escapes = at - len(raw[:at].rstrip(b"\\"))
            covered = any(start <= at < end for start, end in found)
            if not escapes % 2 and not covered:
                rest = raw[at:]
                self._bytes += len(rest)
                if self._bytes > PARSED_BYTES_MAX:
                    self._doubt()
                    return
                first: Node | None = _parser().parse(rest).root_node
                while first is not None and first.type not in _SUBSTITUTIONS:
                    first = next((c for c in first.children if c.start_byte == 0), None)
                if first is None:
                    self._doubt()
                    self.rough(rest.decode("utf-8", "replace"))
                else:
                    found.append((at, at + first.end_byte))
                    self.read(_text(first), depth + 1)
            at = raw.find(b"$(", at + 2)

    def _expansion(self, node: "Node") -> None:
        """`${PATH:=x}` assigns, `${x@P}` runs what x holds."""
        kinds = [child.type for child in node.children]
        names = [_text(c) for c in node.children if c.type in ("variable_name", "subscript")]
        if ("=" in kinds or ":=" in kinds) and any(naming.is_risky(name) for name in names):
            self._doubt()
        if any(kind.startswith("@") for kind in kinds):
            self._doubt()

    def _assigned(self, text: str, depth: int) -> None:
        """NAME=value: some names choose what the next command is."""
        name, _, value = text.partition("=")
        self._armed(value, depth)
        if naming.is_risky(name) and not naming.is_harmless(name, value):
            self._doubt()
            self.read(value, depth + 1)

    def _armed(self, text: str, depth: int) -> None:
        """Quoted text that bash would still expand if it reached arithmetic, a test or a name."""
        if ("$(" in text or "`" in text) and depth < DEPTH_MAX:
            before = len(self._found)
            self.read(text.replace("'", "").replace('"', ""), depth + 1)
            if len(self._found) > before:
                self._doubt()

    # -- commands --

    def _command(self, item: _Item, words: WordReader, extra: Classes, depth: int) -> None:
        groups = self._groups(item.node)
        groups += [[stray] for stray in item.strays]
        line = [words.word(*group) for group in groups]
        if line and item.function and item.detached:
            self._calls.setdefault(item.function, set()).add(line[0].guesses[0])
        self._line(line, depth, extra)

    def _groups(self, node: "Node") -> "list[list[Node]]":
        """The words of a command; nodes that touch are one word to bash, as it is to us."""
        groups: list[list[Node]] = []
        end = -1
        for child in node.children:
            if child.type in _NOT_WORDS:
                continue
            if groups and child.start_byte == end:
                groups[-1].append(child)
                if _text(groups[-1][0]) != "$":
                    self._doubt()
            else:
                groups.append([child])
            end = child.end_byte
        for group in groups:
            if len(group) > 1 and _text(group[0]) == "$":
                del group[0]  # $"..." is a translated string
        return groups

    def _line(self, line: Sequence[Word], depth: int, extra: Classes) -> None:
        """Judge one simple command under every guess at its words."""
        if not line:
            return
        if not line[0].literal:
            self._doubt()
            self._runs_data = True
            for values in self._values.values():
                for value in values:
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
                self._add("", extra | UNKNOWN)
            self._suspects(words[1:], depth)
            return
        if chain > CHAIN_MAX or not self._spend(len(words)):
            self._doubt()
            self._suspects(words, depth)
            return
        name, trusted = _base_name(words[0].text)
        args = words[1:]
        finding = judge(name, args)
        if name in self._defined or finding is None or not words[0].literal:
            trusted = False
            self._suspects(args, depth)
        if finding is None:
            self._runs_data = True
            self._add(name if words[0].literal else "", UNKNOWN | extra)
            return
        kinds = finding.classes | extra | (NOTHING if trusted else UNKNOWN)
        if naming.names_matter(name):
            kinds |= self._naming(args, depth)
        self._add(name, kinds)
        self._collect(name, args)
        self._follow(finding, depth, chain)

    def _naming(self, args: Sequence[Arg], depth: int) -> Classes:
        """Words of builtins that set variables by name."""
        kinds: Classes = NOTHING
        for arg in args:
            self._armed(arg.text, depth)
            name = arg.text.partition("=")[0]
            if "=" in arg.text:
                self._assigned(arg.text, depth)
            elif naming.is_risky(name) or arg.text.startswith("-n"):
                kinds |= UNKNOWN
        return kinds

    def _collect(self, name: str, args: Sequence[Arg]) -> None:
        """Remember what echo and printf write: a later command may run it."""
        if name not in ("echo", "printf", "set", "Write-Output"):
            return
        texts = [arg.text for arg in args if arg.text not in _ECHO_OPTIONS]
        joined = " ".join(texts)
        self._remember(ansi_text(joined) if "\\" in joined else joined)
        if name == "printf" and len(texts) > 1:
            filled = texts[0]
            for text in texts[1:LOOKAHEAD]:
                filled = filled.replace("%s", text, 1).replace("%b", text, 1)
            self._remember(ansi_text(filled))
            self._remember("".join(texts[1:]))
            self._remember(" ".join(texts[1:]))
        for text in texts[:4]:
            decoded = naming.decoded(text)
            if decoded:
                self._remember(decoded)

    def _follow(self, finding: Finding, depth: int, chain: int) -> None:
        """Judge what a command would run."""
        for text in finding.texts:
            self.read(text, depth + 1)
        for argv in finding.argvs:
            self._run(argv, depth, NOTHING, chain + 1)
            if finding.takes_words:
                for data in list(self._data)[:LOOKAHEAD]:
                    extra = [Arg(word, False, True) for word in data.split()[:LOOKAHEAD]]
                    self._run((*argv[:-1], *extra, argv[-1]), depth, NOTHING, chain + 1)
        for text in finding.assigned:
            self._assigned(text, depth)
        for code in finding.code:
            if finding.loss is not None and finding.loss.search(code):
                self._add("", classes("ud"))
            self.rough(code)
        self._suspects(finding.suspects, depth)
        self._defined.update(finding.defines)
        self._runs_data = self._runs_data or finding.runs_data
        if finding.loss is not None:
            self._loss.append(finding.loss.search)

    # -- suspicion: where the shape of a text is not known --

    def rough(self, text: str) -> None:
        """Find destructive commands in text that could not be parsed, wherever they stand."""
        bare = text.translate(_DROP_QUOTES)
        for reading in dict.fromkeys((bare.translate(_OPEN), text.translate(_OPEN_ALL))):
            self._suspects([Arg(word) for word in reading.split()], DEPTH_MAX)

    def _suspects(self, words: Sequence[Arg], depth: int) -> None:
        """Report what is destructive if a command started at any of these words."""
        for at, word in enumerate(words):
            name = _base_name(word.text)[0]
            if name not in TABLE and name not in RUNNERS and not name.startswith("mkfs."):
                if at and words[at - 1].text in _TEXT_OPTIONS and " " in word.text:
                    self.rough(word.text)
                continue
            if not self._spend(1):
                return
            finding = judge(name, words[at + 1 : at + 1 + LOOKAHEAD])
            if finding is None:
                continue
            if CommandClass.DESTRUCTIVE in finding.classes:
                self._add(name, finding.classes)
            if name in SHELLS or name == "eval":
                for text in finding.texts:
                    self.read(text, depth + 1)


_JUDGED: Final = frozenset(
    ("command", "heredoc_start", "declaration_command", "unset_command", "variable_assignment", "for_statement",
     "heredoc_redirect", "herestring_redirect", "file_redirect", "expansion",
     "command_substitution", "test_command", "arithmetic_expansion", "subscript")
)  # fmt: skip
_NOT_WORDS: Final = frozenset(
    ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "ERROR")
)
_ECHO_OPTIONS: Final = frozenset(("-e", "-n", "-ne", "-en", "-E", "--"))
_SUBSTITUTIONS: Final = frozenset(("command_substitution", "arithmetic_expansion"))
_TEXT_OPTIONS: Final = frozenset(("-c", "-e", "-x", "--command", "--exec", "--eval", "--run"))
_DROP_QUOTES: Final = {ord(char): None for char in "'\"\\"}
_OPEN: Final = {ord(char): " " for char in "(){}[];|&<>`$\n,"}
_OPEN_ALL: Final = _OPEN | {ord(char): " " for char in "'\"\\"}


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _assignment(node: "Node", words: WordReader) -> str:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    said = words.word(value).guesses[0] if value is not None else ""
    return f"{_text(name) if name else ''}={said}"


def _base_name(text: str) -> tuple[str, bool]:
    """The program's own name, and whether that name says what will run."""
    directory, slash, name = text.rpartition("/")
    trusted = not slash or (directory.startswith("/") and plain_path(directory) in _BIN)
    return name.removesuffix(".exe").removesuffix(".EXE"), trusted


def _starts_comment(source: bytes, at: int) -> bool:
    return at == 0 or source[at - 1 : at] in (
        b" ",
        b"\t",
        b"\n",
        b";",
        b"&",
        b"|",
        b"(",
        b")",
        b"`",
        b"\r",
    )
