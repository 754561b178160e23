"""Shell text before it is parsed: readings of its line ends, and what must be kept from the parser.

The grammar's error recovery can take time and memory that grow with the square of a text, so dense
text is refused, and the bodies of plainly quoted here-documents are set aside first. It refuses to
set aside anything whose extent is not plain to see.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

SYNTAX_BYTES_MAX: Final = 16 * 1024  # bytes parsed at once; errors make a parse quadratic
SYNTAX_MARKS_MAX: Final = 1_000  # operators in them; past this one parse can take gigabytes

_MARKS: Final = "|(){}`<>[]?*&"
_QUOTED_HERE: Final = re.compile(
    r"<<(-?)[ \t]*(['\"])([A-Za-z_][A-Za-z0-9_]*)\2(?=([\w ./|>&;-]*)$)"
)

STAND_IN: Final = "%"  # no part of a name, a path or a pattern, and no operator
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_LINE_ESCAPE: Final = re.compile(r"\n([ \t]*)\\([\w./-])")
_BREAKS: Final = frozenset(b" \t\n;&|<>()")


def ascii_only(text: str) -> str:
    """The text with every other character replaced by one that means nothing to bash.

    The grammar's scanner hands code points to C functions that take bytes, and can crash on them.
    """
    return text if text.isascii() else _NOT_ASCII.sub(STAND_IN, text)


def has_bare_break(word: bytes) -> bool:
    """Whether what the grammar calls one word holds a character that ends a word in bash."""
    if _BREAKS.isdisjoint(word):
        return False
    escaped = False
    for byte in word:
        if not escaped and byte in _BREAKS:
            return True
        escaped = not escaped and byte == 0x5C
    return False


def is_dense(text: str) -> bool:
    """Whether parsing this text could cost far more than reading it."""
    return (
        len(text.encode("utf-8", "replace")) > SYNTAX_BYTES_MAX
        or sum(map(text.count, _MARKS)) > SYNTAX_MARKS_MAX
    )


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
    size = at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        kept.append(line)
        found = _QUOTED_HERE.search(line) if line.count("<<") == 1 else None
        if found:
            end = next(
                (
                    index
                    for index in range(at, len(lines))
                    if (lines[index].lstrip("\t") if found[1] else lines[index]) == found[3]
                ),
                None,
            )
            if end is None:
                kept.extend(lines[at:])
                break
            start = size + len(line[: found.start(2)].encode("utf-8", "replace"))
            bodies[start] = "\n".join(lines[at:end])
            at = end
        size += len(line.encode("utf-8", "replace")) + 1
    return "\n".join(kept), bodies


def variants(text: str) -> Iterable[str]:
    """The readings of line ends that bash or a person could mean."""
    unix = text.replace("\r\n", "\n")
    yield unix
    if "\\\n" in unix:
        # The grammar takes a continued line for a blank; bash joins it, even inside a word.
        parts = unix.split("\\\n")
        joined = parts[0]
        whole = [joined]
        for part in parts[1:]:
            odd = (len(joined) - len(joined.rstrip("\\"))) % 2
            joined = part
            whole.append("\\\n" + part if odd else part)
        yield "".join(whole)
    # The grammar may take a newline and the backslash after it into the word before them.
    if "\n" in unix and _LINE_ESCAPE.search(unix):
        yield _LINE_ESCAPE.sub(r"\n\1\2", unix)
    if "\r" in text:
        yield text.replace("\r", " ")


_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def is_strange(text: str) -> bool:
    """Whether a character is one that two readers could take differently."""
    if text.isascii():
        return _CONTROL_CHARACTER.search(text) is not None
    return any(char not in " \t\n" and unicodedata.category(char)[0] in "CZ" for char in text)


def backticks(text: str) -> Iterable[str]:
    """What stands between unescaped backticks."""
    start = -1
    skip = False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        elif char == "`":
            if start < 0:
                start = at + 1
            else:
                yield text[start:at].replace("\\`", "`")
                start = -1
