"""What one word of shell text says once its quotes, escapes and simple expansions are resolved.

A word that bash would pass on exactly as resolved here is literal; any other is only a guess, and
says so. This module refuses to run an expansion: what it cannot know stays a hole in the guess.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.syntax_tree import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

GUESSES_MAX: Final = 6  # values tried for one word; more would multiply the work for nothing new
VALUE_CHARS_MAX: Final = 2_048  # of a variable: `y=$x$x; z=$y$y; ...` doubles at every step
PIECES_MAX: Final = 256  # of a word that is only a guess
EXPANSION_DEPTH_MAX: Final = (
    12  # quotes inside expansions inside quotes; real words need three or four
)
BRACE_WORDS_MAX: Final = 32  # words that braces expand to
HOLE: Final = "\x7f"  # ends an assignment whose value is only a guess

# Characters that are active only when unquoted are moved to a private range while quoted.
_ACTIVE: Final = "*?[]{},~"
_GUARD: Final = {ord(char): 0xE000 + ord(char) for char in _ACTIVE}
_UNGUARD: Final = {guarded: char for char, guarded in _GUARD.items()}
_ESCAPED_IN_QUOTES: Final = '$`"\\'  # between double quotes a backslash protects only these

_OFTEN_PLAIN: Final = frozenset(("word", "command_name", "number"))
_PLAIN_WORD: Final = re.compile(r"[\w./:=,@%+-]+", re.ASCII)  # nothing in it is ever expanded
_PLAIN_KINDS: Final = frozenset(
    ("word", "number", "variable_name", "special_variable_name", "test_operator", "regex",
     "extglob_pattern", "file_descriptor", "heredoc_content")
)  # fmt: skip
_VARIABLE: Final = re.compile(r'"?\$(?:\{(?=\w+\}))?([A-Za-z_]\w*)\}?(?=/|"?$)')
# A name without its `$`: as in `x=1`, `read x`, `${x:=1}`.
_BARE_NAME: Final = re.compile(r"(?:(?<![$\w])(?<!\$\{)|(?<=\$\{)(?=\w+:?=))[A-Za-z_]\w*")
_ANSI: Final = re.compile(
    r"\\(?:x\{?(?P<hex>[0-9A-Fa-f]{1,8})\}?|u(?P<u4>[0-9A-Fa-f]{1,4})|U(?P<u8>[0-9A-Fa-f]{1,8})"
    r"|(?P<octal>[0-7]{1,3})|c(?P<control>.)|(?P<other>.))",
    re.DOTALL,
)
_ANSI_NAMES: Final = {
    "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
    "v": "\v",
}  # fmt: skip


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
        """The words this becomes with one of its guesses; past the last one, with the last."""
        text = self.guesses[min(pick, len(self.guesses) - 1)]
        if self.literal:
            return [Arg(text)]
        ambiguous = self.splits or self.open_start
        parts = (text.split() or [""]) if self.splits else [text]
        return [
            Arg(part, False, ambiguous, self.splits, self.environment, self.wildcards)
            for part in parts
        ]


class _WordPiece(msgspec.Struct, frozen=True):
    """A part of a word that is read in one way: a quoted text, an expansion, plain characters."""

    guesses: tuple[str, ...]
    known: bool = True
    splits: bool = False


_EMPTY_PIECE: Final = _WordPiece(("",))
_UNKNOWN_PIECE: Final = _WordPiece(("",), known=False, splits=True)


def ansi_text(text: str) -> str:
    """Resolve the escapes of `$'...'` (and of `echo -e`, `printf`)."""
    return _ANSI.sub(_ansi_character, text).partition("\0")[0]


def _ansi_character(escape: re.Match[str]) -> str:
    digits = escape["hex"] or escape["u4"] or escape["u8"]
    if digits:
        code = int(digits, 16)
        return chr(code) if code < 0x110000 else "?"
    if escape["octal"]:
        return chr(int(escape["octal"], 8) & 0xFF)
    if escape["control"]:
        return chr(ord(escape["control"][0]) & 0x1F)
    return _ANSI_NAMES.get(escape["other"], escape["other"])


def _unescaped(text: str, escapable: str = "") -> str:
    """Drop backslashes, and guard what they protect; `escapable` limits which ones count."""
    if "\\" not in text:
        return text
    characters: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char != "\\" or at + 1 == len(text):
            characters.append(char)
            at += 1
            continue
        following = text[at + 1]
        if following == "\n":
            pass
        elif not escapable or following in escapable:
            characters.append(following.translate(_GUARD))
        else:
            characters.append(char + following)
        at += 2
    return "".join(characters)


def _unescaped_in_quotes(text: str) -> str:
    return _unescaped(text, _ESCAPED_IN_QUOTES).translate(_GUARD)


def _combined(pieces: Sequence[_WordPiece]) -> tuple[str, ...]:
    """The texts the pieces can make together; every piece's own guesses appear at least once."""
    if len(pieces) > PIECES_MAX and not all(piece.known for piece in pieces):
        pieces = pieces[:PIECES_MAX]
    count = min(GUESSES_MAX, max((len(piece.guesses) for piece in pieces), default=1))
    if count == 1:
        return ("".join([piece.guesses[0] for piece in pieces]),)
    texts = (
        "".join(piece.guesses[min(pick, len(piece.guesses) - 1)] for piece in pieces)
        for pick in range(count)
    )
    return tuple(dict.fromkeys(texts))


def _brace_words(text: str) -> list[str]:
    """Expand `{a,b}` as bash would, up to a small number of words."""
    pending = [text]
    words: list[str] = []
    while pending and len(pending) + len(words) < BRACE_WORDS_MAX:
        word = pending.pop(0)
        opening = word.rfind("{")
        closing = word.find("}", opening)
        inner = word[opening + 1 : closing]
        if opening < 0 or closing < 0 or "," not in inner:
            words.append(word.replace("{", "").replace("}", ""))
            continue
        members = inner.split(",")
        pending[:0] = [word[:opening] + member + word[closing + 1 :] for member in members]
    return words + [word.replace("{", " ").replace(",", " ") for word in pending]


def _has_braces(text: str) -> bool:
    return "{" in text and ("," in text or ".." in text)


def _has_wildcards(text: str) -> bool:
    if "*" in text or "?" in text:
        return True
    opening = text.find("[")
    return opening >= 0 and text.find("]", opening) > opening


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
            text = text_of(nodes[0])
            if _PLAIN_WORD.fullmatch(text):
                return Word((text,))
        pieces = [piece for node in nodes for piece in self._pieces(node, 0)]
        guesses = _combined(pieces)
        known = all(piece.known for piece in pieces)
        splits = any(piece.splits for piece in pieces)
        start = pieces[0] if pieces else _EMPTY_PIECE
        first_character = start.guesses[0][:1] if start.known else ""
        if any(map(_has_braces, guesses)):
            guesses = tuple(" ".join(_brace_words(guess)) for guess in guesses)
            known, splits = False, True
        wildcards = False
        if any(map(_has_wildcards, guesses)):
            wildcards, known = known, False
            if first_character in ("*", "?", "["):
                first_character = ""
        return Word(
            guesses=tuple(guess.translate(_UNGUARD) for guess in guesses),
            literal=known,
            splits=splits,
            tilde=first_character == "~",
            open_start=not known and first_character in ("", "-", "+"),
            environment=len(nodes) == 1 and self._is_from_outside(text_of(nodes[0])),
            wildcards=wildcards,
        )

    def _is_from_outside(self, word: str) -> bool:
        """Whether the word is one variable, or begins with one, that nothing in the text sets."""
        variable = _VARIABLE.match(word)
        return variable is not None and variable[1] not in self._bare_names

    @cached_property
    def _bare_names(self) -> frozenset[str]:
        """Every name that stands somewhere without its `$`: there it may get a value."""
        return frozenset(_BARE_NAME.findall(self._source.decode("utf-8", "replace")))

    def _pieces(self, node: "Node", depth: int) -> Iterator[_WordPiece]:
        kind = node.type
        if depth > EXPANSION_DEPTH_MAX:
            yield _UNKNOWN_PIECE
        elif kind == "raw_string":
            yield _WordPiece((text_of(node)[1:-1].translate(_GUARD),))
        elif kind == "ansi_c_string":
            yield _WordPiece((ansi_text(text_of(node)[2:-1]).translate(_GUARD),))
        elif kind == "string_content":
            yield _WordPiece((_unescaped_in_quotes(text_of(node)),))
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
            yield _WordPiece((_unescaped(text_of(node)),))
        else:
            yield _WordPiece((text_of(node),), known=False, splits=True)

    def _string(self, node: "Node", depth: int) -> Iterator[_WordPiece]:
        """A double-quoted string; the grammar leaves some blanks out of its children."""
        yield _EMPTY_PIECE
        at = None
        for child in node.children:
            if at is not None and child.start_byte > at:
                gap = self._source[at : child.start_byte].decode("utf-8", "replace")
                yield _WordPiece((_unescaped_in_quotes(gap),))
            at = child.end_byte
            if child.type in ('"', '$"'):
                continue
            makes_words = "@" in text_of(child)  # "$@" is several words
            for piece in self._pieces(child, depth + 1):
                yield _WordPiece(
                    tuple(guess.translate(_GUARD) for guess in piece.guesses),
                    known=piece.known,
                    splits=makes_words and not piece.known,
                )

    def _expansion(self, node: "Node", depth: int) -> _WordPiece:
        guesses: list[str] = []
        for child in node.children:
            if child.type in ("variable_name", "special_variable_name", "subscript"):
                name = text_of(child).partition("[")[0]
                guesses.extend(self._values.get(name, ()))
            elif child.type not in ("${", "}", "$") and child.is_named:
                guesses.extend(_combined(list(self._pieces(child, depth + 1))))
        return _WordPiece((*guesses[: GUESSES_MAX - 1], ""), known=False, splits=True)

    def _substitution(self, node: "Node", depth: int) -> _WordPiece:
        """`$(echo text)` gives the text; any other command gives nothing known."""
        inner = [child for child in node.children if child.is_named]
        if len(inner) != 1 or inner[0].type != "command":
            return _UNKNOWN_PIECE
        words = [child for child in inner[0].children if child.is_named]
        if not words or text_of(words[0]) not in ("echo", "printf"):
            return _UNKNOWN_PIECE
        texts = [_combined(list(self._pieces(child, depth + 1)))[0] for child in words[1:]]
        if texts and texts[0].startswith("-"):
            texts = texts[1:]
        return _WordPiece((" ".join(texts), "".join(texts)), known=False, splits=True)


def assignment_text(node: "Node", words: WordReader) -> str:
    """`NAME=value` of an assignment node, with the likeliest value; HOLE where it is not sure."""
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    word = words.word(value) if value is not None else Word(("",))
    return f"{text_of(name) if name else ''}={word.guesses[0]}{'' if word.literal else HOLE}"
