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
_FLAVOURS_OF_DIALECT: Final = {
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
NAME: Final = "\x01"  # stands for a quoted name
LITERAL: Final = "\x02"  # stands for a string

# Where something may begin that is no plain text: a quote, a comment, a bracket, a backslash.
_MARK: Final = re.compile(r"['\"`\[\\#]|--|/\*|\*/(?!\*)|\$(?:[^\W\d]\w*)?\$")
_DASHES: Final = re.compile("-+")
_DASH_LINE: Final = re.compile(r"-{3,}(?:[ \t][^\n]*)?(?:\n|\Z)")
_STATEMENT_END: Final = re.compile(r"\s*(?:;|\Z)")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_MYSQL_VERSION: Final = re.compile(r"M?!\d{0,6}")  # `/*!50001 ... */` is run by that version
_PLAIN_QUOTED: Final = re.compile(r"[\w .$-]*", re.ASCII)
_STRING_PREFIX: Final = r"(?:[nbxerq]|u&|nq|_\w{1,20})"  # `E'..'`, `N'..'`, `_utf8'..'`
_PREFIX_BEFORE_QUOTE: Final = re.compile(rf"(?<![\w$]){_STRING_PREFIX}$", re.IGNORECASE)
_QUOTED: Final = re.compile(rf"{_STRING_PREFIX}?['\"`]|\$[^$]*\$|\[.", re.IGNORECASE | re.DOTALL)
_CLOSING_BRACKETS: Final = {"[": "]", "(": ")", "{": "}", "<": ">"}
_WORD: Final = re.compile(r"[^\W\d]\w*")


class StatementText(NamedTuple):
    """One statement of a text."""

    clean: str  # without comments
    bare: str  # with strings and quoted names blanked too

    def words(self) -> list[str]:
        """The bare words, in order and in lower case."""
        return [word.lower() for word in _WORD.findall(self.bare)]


class SqlReading(NamedTuple):
    """A text as one family of databases would take it apart."""

    statements: tuple[StatementText, ...]
    sound: bool  # every quote and comment ends, and no client command stands outside them


def readings(text: str, dialect: str) -> Sequence[SqlReading]:
    """The distinct readings of the families that the dialect may stand for; none if too dense."""
    if len(_MARK.findall(text)) > MARKS_MAX:
        return []
    flavours = _FLAVOURS_OF_DIALECT.get(dialect, _ALL)
    return list(dict.fromkeys(_Cutter(text, flavour).reading() for flavour in flavours))


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
    spellings = (plain, _without_comments(plain), plain.replace("\\", "").replace("`", ""))
    words = {word for spelling in spellings for word in _WORD.findall(spelling)}
    return words | {part for word in _WORD.findall(plain) for part in word.split("_")}


def _without_comments(text: str) -> str:
    """The text with what stood around each comment joined."""
    kept: list[str] = []
    at = 0
    while (start := text.find("/*", at)) >= 0 and (end := text.find("*/", start + 2)) >= 0:
        kept.append(text[at:start])
        at = end + 2
    return "".join((*kept, text[at:]))


def bare_words(slices: Iterable[str]) -> list[str]:
    """The bare words of a text that another reader has cut into tokens."""
    found: list[str] = []
    for token in slices:
        quoted = _QUOTED.match(token)
        if quoted is None or (token[0] == "[" and _PLAIN_QUOTED.fullmatch(token[1:-1])):
            found.extend(word.lower() for word in _WORD.findall(token))
    return found


class _Cutter:
    """Cuts one text into statements, as one family of databases would."""

    def __init__(self, text: str, flavour: Flavour) -> None:
        self._text = text
        self._flavour = flavour
        self._statements: list[StatementText] = []
        # The statement at hand, in pieces.
        self._clean: list[str] = []
        self._bare: list[str] = []
        self._begun = False  # whether it has a word

    def reading(self) -> SqlReading:
        """The text, cut."""
        at = 0
        sound = True
        while (mark := _MARK.search(self._text, at)) is not None:
            start = mark.start()
            self._add_plain(self._text[at:start])
            at, shown, ended = _read_mark(self._text, mark, self._flavour, begun=self._begun)
            self._begun = self._begun or bool(shown.strip())
            if shown in (LITERAL, NAME):
                self._bare[-1] = _PREFIX_BEFORE_QUOTE.sub("", self._bare[-1])
                self._clean.append(self._text[start:at])
            else:
                self._clean.append(shown)
            self._bare.append(shown)
            sound = sound and ended
        self._add_plain(self._text[at:])
        self._end_statement()
        return SqlReading(tuple(self._statements), sound)

    def _add_plain(self, piece: str) -> None:
        """Add text without quotes and comments; each semicolon in it ends a statement."""
        first, *others = piece.split(";")
        self._clean.append(first)
        self._bare.append(first)
        self._begun = self._begun or bool(first.strip())
        for other in others:
            self._end_statement()
            self._clean.append(other)
            self._bare.append(other)
            self._begun = bool(other.strip())

    def _end_statement(self) -> None:
        bare = " ".join("".join(self._bare).split())
        if bare:
            self._statements.append(StatementText("".join(self._clean).strip(), bare))
        self._clean.clear()
        self._bare.clear()


class _Span(NamedTuple):
    """What begins at a mark."""

    end: int
    shown: str  # what stands in its place: LITERAL, NAME, a blank for a comment, or itself
    sound: bool = True  # it ends, and every client takes it for the same


def _read_mark(text: str, mark: re.Match[str], flavour: Flavour, *, begun: bool) -> _Span:
    """What begins here; `begun` says whether the statement has a word before it."""
    kind, start, after = mark[0], mark.start(), mark.end()
    if kind == "--":
        return _dashes(text, start, flavour, begun=begun)
    if kind == "#":
        return _Span(_line_end(text, after), " ") if flavour.hashes else _Span(after, "#")
    if kind == "/*":
        return _comment(text, after, flavour)
    if kind == "*/":
        return _Span(after, " " if flavour.runs_comments else kind)
    if kind == "\\":
        return _Span(after, " ", sound=False)  # a client's own command, or an escape in no string
    if kind[0] == "$":
        in_word = start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_$")
        if in_word or not flavour.dollars:
            return _Span(start + 1, "$")
        return _until(text, after, kind)
    if kind == "'":
        return _string(text, start, flavour)
    return _name(text, start, flavour)


def _until(text: str, at: int, closer: str) -> _Span:
    """A string that ends with `closer`, whatever stands in it."""
    end = text.find(closer, at)
    return _Span(end + len(closer), LITERAL) if end >= 0 else _Span(len(text), LITERAL, sound=False)


def _dashes(text: str, start: int, flavour: Flavour, *, begun: bool) -> _Span:
    """`--`, which is a comment, or two minus signs where a blank must follow."""
    after = start + 2
    following = text[after : after + 1]
    is_comment = not following or following.isspace() or not flavour.spaced_dashes
    if is_comment or _is_dash_line(text, start, begun=begun):
        return _Span(_line_end(text, after), " ")
    if following != "-":
        return _Span(after, "--")
    end = _DASHES.match(text, start).end()  # type: ignore[union-attr]  # two stand here
    return _Span(end, text[start:end], sound=False)  # nobody means three signs in a row


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


def _comment(text: str, at: int, flavour: Flavour) -> _Span:
    """A block comment, whose text begins at `at`."""
    version = _MYSQL_VERSION.match(text, at) if flavour.runs_comments else None
    if version is not None:
        return _Span(version.end(), " ")  # its text is run: go on reading inside it
    depth = 1
    while (edge := _COMMENT_EDGE.search(text, at)) is not None:
        at = edge.end()
        if edge[0] == "*/":
            depth -= 1
        elif flavour.nested:
            depth += 1
        if not depth:
            return _Span(at, " ")
    return _Span(len(text), " ", sound=False)


def _string(text: str, start: int, flavour: Flavour) -> _Span:
    before = text[max(0, start - 3) : start].lower()
    is_alternative = flavour.alternative and before[-1:] == "q" and len(text) > start + 1
    if is_alternative:  # q'[it's]'
        opener = text[start + 1]
        return _until(text, start + 2, _CLOSING_BRACKETS.get(opener, opener) + "'")
    has_escape_prefix = before[-1:] == "e" and not before[-2:-1].isalnum()  # E'it\'s' of Postgres
    escapes = flavour.backslash or (flavour.dollars and has_escape_prefix)
    return _quoted(text, start, "'", escapes, LITERAL)


def _name(text: str, start: int, flavour: Flavour) -> _Span:
    """A quoted name. A plain one is a name to every family: it can hide nothing."""
    quote = text[start]
    closer = "]" if quote == "[" else quote
    end = text.find(closer, start + 1)
    inner = text[start + 1 : end]
    if end >= 0 and text[end + 1 : end + 2] != closer and _PLAIN_QUOTED.fullmatch(inner):
        # An index (`a[1]`) stays as it is; so do the words of `[a b]`, which is the stricter way.
        return _Span(start + 1, "[") if quote == "[" else _Span(end + 1, NAME)
    if (quote == "[" and not flavour.brackets) or (quote == "`" and not flavour.backticks):
        return _Span(start + 1, quote)
    return _quoted(text, start, closer, flavour.backslash and quote != "`", NAME)


def _quoted(text: str, start: int, closer: str, escapes: bool, shown: str) -> _Span:
    """What ends with a single `closer`: two of them, or one that is escaped, stand for one."""
    at = start + 1
    stops = re.compile(f"[{re.escape(closer)}{re.escape(chr(92)) if escapes else ''}]")
    while (stop := stops.search(text, at)) is not None:
        at = stop.end()
        if stop[0] == "\\" or text[at : at + 1] == closer:
            at += 1
        else:
            return _Span(at, shown)
    return _Span(len(text), shown, sound=False)
