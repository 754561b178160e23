"""SQL text before it is parsed: what each family of databases would take for a string or comment.

Databases disagree on where strings and comments end, and attacks live in that gap. A text is read
once for each family that might receive it, with strings and comments blanked. It refuses to choose:
where the readings differ, it says so.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

MARKS_MAX: Final = 8_000  # quotes and comments in one text; each is looked at once for each family


class Flavour(NamedTuple):
    """How one family of databases reads quotes and comments."""

    backslash: bool = False  # a backslash escapes inside quotes
    hashes: bool = False  # `#` starts a comment
    spaced_dashes: bool = False  # `--` is a comment only before a blank
    nested: bool = False  # block comments nest
    dollars: bool = False  # $tag$ ... $tag$
    brackets: bool = False  # [name]
    backticks: bool = True
    alternative: bool = False  # q'[ ... ]'
    runs_comments: bool = False  # /*! ... */ is run


POSTGRES: Final = Flavour(nested=True, dollars=True, backticks=False)
MYSQL: Final = Flavour(backslash=True, hashes=True, spaced_dashes=True, runs_comments=True)
TSQL: Final = Flavour(nested=True, brackets=True, backticks=False)
ORACLE: Final = Flavour(alternative=True, backticks=False)
SQLITE: Final = Flavour(brackets=True)
BACKSLASHED: Final = Flavour(backslash=True)

_ALL: Final = (POSTGRES, MYSQL, TSQL, ORACLE, SQLITE, BACKSLASHED)
_FAMILIES: Final = {
    **dict.fromkeys(("postgres", "redshift", "materialize", "risingwave", "duckdb"), (POSTGRES,)),
    **dict.fromkeys(("mysql", "doris", "starrocks", "singlestore"), (MYSQL,)),
    **dict.fromkeys(("tsql", "fabric"), (TSQL,)),
    "oracle": (ORACLE,),
    "sqlite": (SQLITE,),
    **dict.fromkeys(
        ("bigquery", "snowflake", "spark", "spark2", "databricks", "hive", "trino", "presto",
         "athena", "clickhouse"),
        (POSTGRES, MYSQL, ORACLE, BACKSLASHED),
    ),
}  # fmt: skip
_MARK: Final = re.compile(r"['\"`\[\\#]|--|/\*|\*/(?!\*)|\$(?:[^\W\d]\w*)?\$")
_DASHES: Final = re.compile("-+")
_DASH_LINE: Final = re.compile(r"-{3,}(?:[ \t][^\n]*)?(?:\n|\Z)")
_STATEMENT_END: Final = re.compile(r"\s*(?:;|\Z)")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_VERSION: Final = re.compile(r"M?!\d{0,6}")
_PLAIN_QUOTED: Final = re.compile(r"[\w .$-]*", re.ASCII)
_PREFIX: Final = re.compile(r"(?<![\w$])(?:[nbxerq]|u&|nq|_\w{1,20})$", re.IGNORECASE)
_CLOSERS: Final = {"[": "]", "(": ")", "{": "}", "<": ">"}
_WORD: Final = re.compile(r"[^\W\d]\w*")
NAME: Final = "\x01"  # stands for a quoted name
LITERAL: Final = "\x02"  # stands for a string
_QUOTED: Final = re.compile(
    r"(?:[nbxerq]|u&|nq|_\w{1,20})?['\"`]|\$[^$]*\$|\[.", re.IGNORECASE | re.DOTALL
)


class Part(NamedTuple):
    """One statement of a text."""

    clean: str  # without comments
    bare: str  # with strings and quoted names blanked too

    def words(self) -> list[str]:
        """The bare words, in order and in lower case."""
        return [word.lower() for word in _WORD.findall(self.bare)]


class SqlReading(NamedTuple):
    """A text as one family of databases would take it apart."""

    parts: tuple[Part, ...]
    sound: bool  # every quote and comment ends, and no client command stands outside them


def readings(text: str, dialect: str) -> Sequence[SqlReading]:
    """The distinct readings of the families that the dialect may stand for; none if too dense."""
    if len(_MARK.findall(text)) > MARKS_MAX:
        return []
    found = [_read(text, flavour) for flavour in _FAMILIES.get(dialect, _ALL)]
    return list(dict.fromkeys(found))


def has_strange_characters(text: str) -> bool:
    """Whether a character is one that two readers could take differently."""
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        return True  # ends a comment to some databases and not to others
    if text.isascii():
        return any((char < " " and char not in "\t\n") or char == "\x7f" for char in text)
    return any(
        char not in " \t\n"
        and (unicodedata.category(char)[0] in "CZ" or unicodedata.normalize("NFKC", char) != char)
        for char in text
    )


def rough_words(text: str) -> set[str]:
    """Every word anywhere in the text, strings and comments included, however it is spelled."""
    plain = "".join(
        char
        for char in unicodedata.normalize("NFKC", text)
        if unicodedata.category(char) not in ("Cf", "Mn")
    ).casefold()
    joined = _without_comments(plain)
    unescaped = plain.replace("\\", "").replace("`", "")
    return {word for form in (plain, joined, unescaped) for word in _WORD.findall(form)} | {
        part for word in _WORD.findall(plain) for part in word.split("_")
    }


def _without_comments(text: str) -> str:
    """The text with what stood around each comment joined."""
    kept: list[str] = []
    at = 0
    while (start := text.find("/*", at)) >= 0 and (end := text.find("*/", start + 2)) >= 0:
        kept.append(text[at:start])
        at = end + 2
    return "".join((*kept, text[at:]))


def _read(text: str, flavour: Flavour) -> SqlReading:
    parts: list[Part] = []
    clean: list[str] = []
    bare: list[str] = []
    at = 0
    sound = True
    begun = False  # whether the statement at hand has a word

    def plain(piece: str) -> None:
        nonlocal begun
        first, *others = piece.split(";")
        clean.append(first)
        bare.append(first)
        begun = begun or bool(first.strip())
        for other in others:
            end()
            clean.append(other)
            bare.append(other)
            begun = bool(other.strip())

    def end() -> None:
        shown = " ".join("".join(bare).split())
        if shown:
            parts.append(Part("".join(clean).strip(), shown))
        clean.clear()
        bare.clear()

    while (mark := _MARK.search(text, at)) is not None:
        start = mark.start()
        plain(text[at:start])
        after, shown, ended = _one(text, mark, flavour, begun=begun)
        begun = begun or bool(shown.strip())
        if shown in (LITERAL, NAME):
            bare[-1] = _PREFIX.sub("", bare[-1])
            clean.append(text[start:after])
        else:
            clean.append(shown)
        bare.append(shown)
        sound = sound and ended
        at = after
    plain(text[at:])
    end()
    return SqlReading(tuple(parts), sound)


def bare_words(slices: Iterable[str]) -> list[str]:
    """The bare words of a text that another reader has cut into tokens."""
    found: list[str] = []
    for piece in slices:
        quoted = _QUOTED.match(piece)
        if quoted is None or (piece[0] == "[" and _PLAIN_QUOTED.fullmatch(piece[1:-1])):
            found.extend(word.lower() for word in _WORD.findall(piece))
    return found


def _one(text: str, mark: re.Match[str], flavour: Flavour, *, begun: bool) -> tuple[int, str, bool]:
    """Where the thing that starts here ends, what it is to be shown as, and whether it is sound.

    `begun` says whether the statement has a word before it.
    """
    kind, start, after = mark[0], mark.start(), mark.end()
    if kind == "--":
        following = text[after : after + 1]
        spaced = not following or following.isspace() or not flavour.spaced_dashes
        if not spaced and not _is_dash_line(text, start, begun=begun):
            if following != "-":
                return after, "--", True
            end = _DASHES.match(text, start).end()  # type: ignore[union-attr]  # two stand here
            return end, text[start:end], False  # nobody means three signs in a row
        return _line_end(text, after), " ", True
    if kind == "#":
        return (_line_end(text, after), " ", True) if flavour.hashes else (after, "#", True)
    if kind == "/*":
        return _comment(text, after, flavour)
    if kind == "*/":
        return after, " " if flavour.runs_comments else kind, True
    if kind == "\\":
        return after, " ", False  # a client's own command, or an escape outside any string
    if kind[0] == "$":
        if not flavour.dollars or (
            start and (text[start - 1].isalnum() or text[start - 1] in "_$")
        ):
            return start + 1, "$", True
        end = text.find(kind, after)
        return (len(text), LITERAL, False) if end < 0 else (end + len(kind), LITERAL, True)
    if kind == "'":
        return _string(text, start, flavour)
    return _name(text, start, flavour)


def _is_dash_line(text: str, start: int, *, begun: bool) -> bool:
    """Whether a line of dashes stands before a statement, or after its end.

    Where `--` needs a blank behind it, the line is minus signs and a comment, which no statement
    begins or ends with: the database refuses there what runs as the same statement elsewhere.
    """
    line = _DASH_LINE.match(text, start)
    if line is None:
        return False
    return not begun or _STATEMENT_END.match(text, line.end()) is not None


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _comment(text: str, at: int, flavour: Flavour) -> tuple[int, str, bool]:
    version = _VERSION.match(text, at) if flavour.runs_comments else None
    if version is not None:
        return version.end(), " ", True  # its text is run: go on reading inside it
    depth = 1
    while (edge := _COMMENT_EDGE.search(text, at)) is not None:
        at = edge.end()
        if edge[0] == "*/":
            depth -= 1
        elif flavour.nested:
            depth += 1
        if not depth:
            return at, " ", True
    return len(text), " ", False


def _string(text: str, start: int, flavour: Flavour) -> tuple[int, str, bool]:
    before = text[max(0, start - 3) : start].lower()
    escapes = flavour.backslash or (
        flavour.dollars and before[-1:] == "e" and not before[-2:-1].isalnum()
    )
    if flavour.alternative and before[-1:] == "q" and len(text) > start + 1:
        mark = text[start + 1]
        end = text.find(_CLOSERS.get(mark, mark) + "'", start + 2)
        return (len(text), LITERAL, False) if end < 0 else (end + 2, LITERAL, True)
    return _quoted(text, start, "'", escapes, LITERAL)


def _name(text: str, start: int, flavour: Flavour) -> tuple[int, str, bool]:
    """A quoted name. A plain one is a name to every family: it can hide nothing."""
    quote = text[start]
    closer = "]" if quote == "[" else quote
    end = text.find(closer, start + 1)
    inner = text[start + 1 : end]
    if end >= 0 and text[end + 1 : end + 2] != closer and _PLAIN_QUOTED.fullmatch(inner):
        # An index (`a[1]`) stays as it is; so do the words of `[a b]`, which is the stricter way.
        return (start + 1, "[", True) if quote == "[" else (end + 1, NAME, True)
    if (quote == "[" and not flavour.brackets) or (quote == "`" and not flavour.backticks):
        return start + 1, quote, True
    return _quoted(text, start, closer, flavour.backslash and quote != "`", NAME)


def _quoted(text: str, start: int, closer: str, escapes: bool, shown: str) -> tuple[int, str, bool]:
    at = start + 1
    stops = re.compile(f"[{re.escape(closer)}{re.escape(chr(92)) if escapes else ''}]")
    while (stop := stops.search(text, at)) is not None:
        at = stop.end()
        if stop[0] == "\\" or text[at : at + 1] == closer:
            at += 1
        else:
            return at, shown, True
    return len(text), shown, False
