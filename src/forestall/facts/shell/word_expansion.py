"""What one word of shell text says once its quotes, escapes and simple expansions are resolved.

A word that bash would pass on exactly as resolved here is literal; any other is only a guess, and
says so. This module refuses to run an expansion: what it cannot know stays a hole in the guess.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts.shell.program_entry import Arg
from forestall.facts.shell.syntax_tree import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_GUESSES: Final = 6  # values tried for one word; more would multiply the work for nothing new
MAX_VALUE_CHARS: Final = 2_048  # of a variable: `y=$x$x; z=$y$y; ...` doubles at every step
MAX_PIECES: Final = 256  # of a word that is only a guess
HOLE: Final = "\x7f"  # ends an assignment whose value is only a guess
MAX_DEPTH: Final = 12  # quotes inside expansions inside quotes; real words need three or four

# Characters that are active only when unquoted are moved to a private range while quoted.
_ACTIVE: Final = "*?[]{},~"
_GUARD: Final = {ord(char): 0xE000 + ord(char) for char in _ACTIVE}
_UNGUARD: Final = {moved: char for char, moved in _GUARD.items()}

_ANSI: Final = re.compile(
    r"\\(?:x\{?(?P<hex>[0-9A-Fa-f]{1,8})\}?|u(?P<u4>[0-9A-Fa-f]{1,4})|U(?P<u8>[0-9A-Fa-f]{1,8})"
    r"|(?P<octal>[0-7]{1,3})|c(?P<control>.)|(?P<other>.))",
    re.DOTALL,
)
_VARIABLE: Final = re.compile(r'"?\$(?:\{(?=\w+\}))?([A-Za-z_]\w*)\}?(?=/|"?$)')
_BARE_NAME: Final = re.compile(r"(?:(?<![$\w])(?<!\$\{)|(?<=\$\{)(?=\w+:?=))[A-Za-z_]\w*")
_ANSI_NAMES: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v",
}  # fmt: skip


_OFTEN_PLAIN: Final = frozenset(("word", "command_name", "number"))
_PLAIN_WORD: Final = re.compile(r"[\w./:=,@%+-]+", re.ASCII)  # nothing in it is ever expanded


class Word(msgspec.Struct, frozen=True):
    """One word: its possible texts, and how far they can be trusted."""

    guesses: tuple[str, ...]
    literal: bool = True
    splits: bool = False  # may become several words, or none
    tilde: bool = False
    open_start: bool = False  # nothing literal at the start keeps it from becoming an option
    environment: bool = False  # the value of a variable that the text itself never sets
    wildcards: bool = False  # all of it is known but for what its wildcards match

    def args(self, pick: int) -> list[Arg]:
        """The words this becomes with one of its guesses."""
        text = self.guesses[min(pick, len(self.guesses) - 1)]
        if self.literal:
            return [Arg(text)]
        flaggable = self.splits or self.open_start
        parts = (text.split() or [""]) if self.splits else [text]
        return [
            Arg(part, False, flaggable, self.splits, self.environment, self.wildcards)
            for part in parts
        ]


class _WordPiece(msgspec.Struct, frozen=True):
    guesses: tuple[str, ...]
    known: bool = True
    splits: bool = False


_HOLE: Final = _WordPiece(("",), known=False, splits=True)


def ansi_text(text: str) -> str:
    """Resolve the escapes of `$'...'` (and of `echo -e`, `printf`)."""

    def one(match: re.Match[str]) -> str:
        for group in ("hex", "u4", "u8"):
            if match[group]:
                code = int(match[group], 16)
                return chr(code) if code < 0x110000 else "?"
        if match["octal"]:
            return chr(int(match["octal"], 8) & 0xFF)
        if match["control"]:
            return chr(ord(match["control"][0]) & 0x1F)
        return _ANSI_NAMES.get(match["other"], match["other"])

    return _ANSI.sub(one, text).partition("\0")[0]


def _unescaped(text: str, only: str = "") -> str:
    """Drop backslashes; what they protect is guarded. `only` limits which ones count."""
    if "\\" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char != "\\" or at + 1 == len(text):
            out.append(char)
            at += 1
            continue
        following = text[at + 1]
        if following == "\n":
            pass
        elif not only or following in only:
            out.append(following.translate(_GUARD))
        else:
            out.append(char + following)
        at += 2
    return "".join(out)


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _product(pieces: Sequence[_WordPiece]) -> tuple[str, ...]:
    """The texts the pieces can make together; every piece's own guesses appear at least once."""
    if len(pieces) > MAX_PIECES and not all(piece.known for piece in pieces):
        pieces = pieces[:MAX_PIECES]
    width = min(MAX_GUESSES, max((len(piece.guesses) for piece in pieces), default=1))
    if width == 1:
        return ("".join([piece.guesses[0] for piece in pieces]),)
    return tuple(
        dict.fromkeys(
            "".join(piece.guesses[min(pick, len(piece.guesses) - 1)] for piece in pieces)
            for pick in range(width)
        )
    )


def _braces(text: str) -> list[str]:
    """Expand `{a,b}` as bash would, up to a small number of results."""
    pending = [text]
    done: list[str] = []
    while pending and len(pending) + len(done) < 32:
        word = pending.pop(0)
        opening = word.rfind("{")
        closing = word.find("}", opening)
        inner = word[opening + 1 : closing]
        if opening < 0 or closing < 0 or "," not in inner:
            done.append(word.replace("{", "").replace("}", ""))
            continue
        members = inner.split(",")
        pending[:0] = [word[:opening] + member + word[closing + 1 :] for member in members]
    return done + [word.replace("{", " ").replace(",", " ") for word in pending]


class WordReader:
    """Reads words of one parsed text, with the values variables may hold in it."""

    def __init__(self, source: bytes, values: Mapping[str, Sequence[str]]) -> None:
        self._source = source
        self._values = values

    def mentions(self, text: bytes) -> bool:
        """Whether the text that is read holds another text."""
        return text in self._source

    def finds(self, pattern: "re.Pattern[bytes]") -> bool:
        """Whether a pattern is found in the text that is read, its quotes and escapes aside."""
        return pattern.search(self._source.translate(None, b"'\"\\")) is not None

    def word(self, *nodes: "Node") -> Word:
        """The word these adjoining nodes make."""
        if len(nodes) == 1 and nodes[0].type in _OFTEN_PLAIN:
            text = _text(nodes[0])
            if _PLAIN_WORD.fullmatch(text):
                return Word((text,))
        pieces = [piece for node in nodes for piece in self._pieces(node, 0)]
        guesses = _product(pieces)
        known = all(piece.known for piece in pieces)
        splits = any(piece.splits for piece in pieces)
        start = pieces[0] if pieces else _WordPiece(("",))
        lead = start.guesses[0][:1] if start.known else ""
        if any("{" in guess and ("," in guess or ".." in guess) for guess in guesses):
            guesses = tuple(" ".join(_braces(guess)) for guess in guesses)
            known, splits = False, True
        wildcards = False
        if any("*" in guess or "?" in guess or _has_class(guess) for guess in guesses):
            wildcards, known = known, False
            lead = "" if lead in ("*", "?", "[") else lead
        return Word(
            guesses=tuple(guess.translate(_UNGUARD) for guess in guesses),
            literal=known,
            splits=splits,
            tilde=lead == "~",
            open_start=not known and lead in ("", "-", "+"),
            environment=len(nodes) == 1 and self._is_from_outside(_text(nodes[0])),
            wildcards=wildcards,
        )

    def _is_from_outside(self, word: str) -> bool:
        """Whether the word is one variable, or begins with one, that nothing in the text sets."""
        found = _VARIABLE.match(word)
        return found is not None and found[1] not in self._bare_names

    @cached_property
    def _bare_names(self) -> frozenset[str]:
        """Every name that stands somewhere without its `$`: there it may get a value."""
        return frozenset(_BARE_NAME.findall(self._source.decode("utf-8", "replace")))

    def _pieces(self, node: "Node", depth: int) -> Iterator[_WordPiece]:
        kind = node.type
        if depth > MAX_DEPTH:
            yield _HOLE
        elif kind == "raw_string":
            yield _WordPiece((_text(node)[1:-1].translate(_GUARD),))
        elif kind == "ansi_c_string":
            yield _WordPiece((ansi_text(_text(node)[2:-1]).translate(_GUARD),))
        elif kind == "string_content":
            yield _WordPiece((_unescaped(_text(node), '$`"\\').translate(_GUARD),))
        elif kind == "string":
            yield from self._string(node, depth)
        elif kind in ("concatenation", "command_name", "array", "translated_string"):
            for child in node.children:
                if kind != "translated_string" or child.type != "$":
                    yield from self._pieces(child, depth + 1)
        elif kind in ("simple_expansion", "expansion"):
            yield self._expansion(node, depth)
        elif kind == "command_substitution":
            yield self._substitution(node, depth)
        elif kind == "process_substitution":
            yield _WordPiece(("/dev/fd/63",), known=False)
        elif node.child_count == 0 and (kind in _PLAIN_KINDS or not node.is_named):
            yield _WordPiece((_unescaped(_text(node)),))
        else:
            yield _WordPiece((_text(node),), known=False, splits=True)

    def _string(self, node: "Node", depth: int) -> Iterator[_WordPiece]:
        """A double-quoted string; the grammar leaves some blanks out of its children."""
        at = None
        yield _WordPiece(("",))
        for child in node.children:
            if at is not None and child.start_byte > at:
                gap = self._source[at : child.start_byte].decode("utf-8", "replace")
                yield _WordPiece((_unescaped(gap, '$`"\\').translate(_GUARD),))
            at = child.end_byte
            if child.type in ('"', '$"'):
                continue
            for piece in self._pieces(child, depth + 1):
                several = "@" in _text(child)
                yield _WordPiece(
                    tuple(guess.translate(_GUARD) for guess in piece.guesses),
                    known=piece.known,
                    splits=several and not piece.known,
                )

    def _expansion(self, node: "Node", depth: int) -> _WordPiece:
        guesses: list[str] = []
        for child in node.children:
            if child.type in ("variable_name", "special_variable_name", "subscript"):
                name = _text(child).partition("[")[0]
                guesses.extend(self._values.get(name, ()))
            elif child.type not in ("${", "}", "$") and child.is_named:
                pieces = list(self._pieces(child, depth + 1))
                guesses.extend(_product(pieces))
        return _WordPiece((*guesses[: MAX_GUESSES - 1], ""), known=False, splits=True)

    def _substitution(self, node: "Node", depth: int) -> _WordPiece:
        """`$(echo text)` gives the text; any other command gives nothing known."""
        inner = [child for child in node.children if child.is_named]
        if len(inner) != 1 or inner[0].type != "command":
            return _HOLE
        words = [child for child in inner[0].children if child.is_named]
        if not words or _text(words[0]) not in ("echo", "printf"):
            return _HOLE
        texts = [_product(list(self._pieces(child, depth + 1)))[0] for child in words[1:]]
        if texts and texts[0].startswith("-"):
            texts = texts[1:]
        return _WordPiece((" ".join(texts), "".join(texts)), known=False, splits=True)


_PLAIN_KINDS: Final = frozenset(
    ("word", "number", "variable_name", "special_variable_name", "test_operator", "regex",
     "extglob_pattern", "file_descriptor", "heredoc_content")
)  # fmt: skip


def _has_class(text: str) -> bool:
    """Whether an active `[...]` is in the text."""
    opening = text.find("[")
    return opening >= 0 and text.find("]", opening) > opening


def assignment_text(node: "Node", words: WordReader) -> str:
    """`NAME=value` of an assignment node, with the likeliest value; HOLE where it is not sure."""
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    word = words.word(value) if value is not None else Word(("",))
    return f"{text_of(name) if name else ''}={word.guesses[0]}{'' if word.literal else HOLE}"
