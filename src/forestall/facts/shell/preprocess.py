"""Shell text before it is parsed: readings of its line ends, and what must be kept from the parser.

The grammar's error recovery can take time and memory that grow with the square of a text, so dense
text is refused, and the bodies of plainly quoted here-documents are set aside first. This module
refuses to set aside anything whose extent is not plain to see.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

SYNTAX_BYTES_MAX: Final = 16 * 1024  # bytes parsed at once; errors make a parse quadratic
SYNTAX_MARKS_MAX: Final = 1_000  # operators in them; past this one parse can take gigabytes
STAND_IN: Final = "%"  # no part of a name, a path or a pattern, and no operator

_MARKS: Final = "|(){}`<>[]?*&"
_BREAKS: Final = frozenset(b" \t\n;&|<>()")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_ESCAPE: Final = re.compile(r"\n([ \t]*)\\([\w./-])")
_QUOTED_HERE_DOCUMENT: Final = re.compile(
    r"<<(?P<dash>-?)[ \t]*(?P<quote>['\"])(?P<end>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)"
    r"(?=[\w ./|>&;-]*$)"
)


def ascii_only(text: str) -> str:
    """The text with every other character replaced by one that means nothing to bash.

    The grammar's scanner hands code points to C functions that take bytes, and can crash on them.
    """
    return text if text.isascii() else _NOT_ASCII.sub(STAND_IN, text)


def has_bare_break(word: bytes) -> bool:
    """Whether what the grammar calls one word holds a character that ends a word in bash."""
    if _BREAKS.isdisjoint(word):
        return False
    is_escaped = False
    for byte in word:
        if not is_escaped and byte in _BREAKS:
            return True
        is_escaped = not is_escaped and byte == ord("\\")
    return False


def is_dense(text: str) -> bool:
    """Whether parsing this text could cost far more than reading it."""
    return _bytes_of(text) > SYNTAX_BYTES_MAX or sum(map(text.count, _MARKS)) > SYNTAX_MARKS_MAX


def without_bodies(text: str) -> tuple[str, dict[int, str]]:
    """The text without the bodies of quoted here-documents, and those bodies.

    The key is the byte where the end mark's quote must stand in the shorter text. The reader checks
    that the grammar, too, sees a here-document start there; otherwise nothing may be set aside.
    """
    if "<<" not in text:
        return text, {}
    lines = text.split("\n")
    kept: list[str] = []
    bodies: dict[int, str] = {}
    size = at = 0  # `size`: how many bytes the kept lines take
    while at < len(lines):
        line = lines[at]
        at += 1
        kept.append(line)
        start = _QUOTED_HERE_DOCUMENT.search(line) if line.count("<<") == 1 else None
        if start is not None:
            end = _end_of_body(lines, at, start["end"], strips_tabs=bool(start["dash"]))
            if end is None:
                kept.extend(lines[at:])
                break
            bodies[size + _bytes_of(line[: start.start("quote")])] = "\n".join(lines[at:end])
            at = end
        size += _bytes_of(line) + 1
    return "\n".join(kept), bodies


def _end_of_body(lines: Sequence[str], at: int, mark: str, *, strips_tabs: bool) -> int | None:
    """The index of the first line, from `at` on, that is the end mark of a here-document."""
    for index in range(at, len(lines)):
        line = lines[index]
        if (line.lstrip("\t") if strips_tabs else line) == mark:
            return index
    return None


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def variants(text: str) -> Iterator[str]:
    """The readings of line ends that bash or a person could mean."""
    unix = text.replace("\r\n", "\n")
    yield unix
    if "\\\n" in unix:
        yield _with_lines_joined(unix)
    # The grammar may take a newline and the backslash after it into the word before them.
    if "\n" in unix and _LINE_ESCAPE.search(unix):
        yield _LINE_ESCAPE.sub(r"\n\1\2", unix)
    if "\r" in text:
        yield text.replace("\r", " ")


def _with_lines_joined(text: str) -> str:
    """The text with each continued line joined to the next one, as bash does even inside a word;
    the grammar takes the backslash and the newline for a blank."""
    first, *others = text.split("\\\n")
    pieces = [first]
    before = first
    for piece in others:
        is_escaped = (
            len(before) - len(before.rstrip("\\"))
        ) % 2  # an escaped backslash, then a newline
        pieces.append("\\\n" + piece if is_escaped else piece)
        before = piece
    return "".join(pieces)


def has_ambiguous_character(text: str) -> bool:
    """Whether a character is one that two readers could take differently."""
    if text.isascii():
        return _CONTROL_CHARACTER.search(text) is not None
    return any(char not in " \t\n" and unicodedata.category(char)[0] in "CZ" for char in text)


def backticks(text: str) -> Iterator[str]:
    """What stands between unescaped backticks."""
    start = -1
    is_escaped = False
    for at, char in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif char == "`":
            if start < 0:
                start = at + 1
            else:
                yield text[start:at].replace("\\`", "`")
                start = -1
