"""What each statement of an SQL text does, to which tables, and whether it takes every row.

The text is cut up by our own reader of quotes and comments and parsed by sqlglot; both must see the
same words. Statements inside statements are judged on their own. Nothing is run and no schema is
known: views, triggers and overloaded functions are not seen. What cannot be parsed, or what two
databases could read differently, is `unknown`; this module refuses to call such a thing `read`.

BEGIN, COMMIT and the like change no data and are `transaction`; so are SETs of a few harmless
settings. READ never stands beside another class.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts.bounded_facts import at_most
from forestall.facts.sql import keywords
from forestall.facts.sql.by_words import added_by_definition, by_keyword, is_plain, stray_verbs
from forestall.facts.sql.classes import (
    DESTRUCTIVE,
    NOTHING,
    PRIVILEGE,
    READ,
    TRANSACTION,
    UNKNOWN,
    WRITE,
    Classes,
    SqlClass,
    named,
    without_read,
)
from forestall.facts.sql.parse_bounds import is_within_bounds
from forestall.facts.sql.preprocess import (
    LITERAL,
    StatementText,
    bare_words,
    has_strange_characters,
    readings,
    rough_words,
)
from forestall.facts.sql.tables import (
    NAME_CHAIN,
    TABLES_MAX,
    names_in,
    tables_of,
    tables_of_definition,
)
from forestall.facts.sql.tree_classes import classes_of_change, classes_of_node, is_change

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

__all__ = ["TABLES_MAX", "SqlClass", "SqlStatement", "statements_in"]

TEXT_BYTES_MAX: Final = 64 * 1024  # no honest query is longer, and every parse stays quick
STATEMENTS_MAX: Final = 64  # statements reported; each one costs a decision
NODES_PER_WORD: Final = 12  # tree nodes the parser may make for one token; honest text needs three
TOKENS_MAX: Final = 6_000  # parsed for one payload; a bulk load is longer, and is unknown
EXPLAIN_MAX: Final = 3  # EXPLAIN inside EXPLAIN


class SqlStatement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement: its kind ("" if unknown), what it may do, and the tables it names.

    Table names are dotted and in lower case, quoted or not, so that no spelling escapes a rule. A
    part that holds a dot itself keeps its quotes.
    """

    statement: str
    classes: frozenset[SqlClass]
    tables: tuple[str, ...] = ()
    has_where: bool = False


_ZERO_MATCHES: Final = frozenset(("", "mysql", "doris", "starrocks", "singlestore"))
_CLASSES_OF_HINT: Final = {word: named(kinds) for word, kinds in keywords.HINTS.items()}
_UNKNOWN_STATEMENT: Final = SqlStatement(statement="", classes=UNKNOWN)

_EXPLAIN: Final = re.compile(
    r"\s*(?P<word>explain|desc|describe)\b\s*(?P<options>(?:(?:query\s+plan(?:\s+for)?|plan\s+for"
    r"|analy[sz]e|verbose|extended|formatted|partitions|format\s*=\s*\w+)\b\s*|\([^()]*\)\s*)*)"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_EXPLAINED_WORDS: Final = ("explain", "copy", "execute")  # beside those that are parsed
_DESCRIBED: Final = re.compile(
    rf"\s*(?:(?:table|view|schema|database)\s+)?(?:{NAME_CHAIN.pattern})\s*", re.IGNORECASE
)
_WITH_DATA: Final = re.compile(r"\bwith\s+(?:no\s+)?data\s*$", re.IGNORECASE)
_COPY: Final = re.compile(
    rf".*\b(?P<direction>from|to)\b\s*(?:\b(?P<place>\w+)\b|(?P<file>{LITERAL})?)", re.IGNORECASE
)
_REPLACE: Final = re.compile(r"^\s*replace\b", re.IGNORECASE)
_COLUMN_PLACES: Final = frozenset(("Column", "Alias", "ColumnDef"))
_PLAIN_NAME: Final = re.compile(r"[\w $#-]*")
_STATEMENT_OF_ROOT: Final = {
    "TruncateTable": "truncate", "MultitableInserts": "insert", "Union": "select",
    "Except": "select", "Intersect": "select", "Subquery": "select", "Values": "select",
}  # fmt: skip


class ParsedSql:
    """How much was parsed so far: the texts of one payload share one bound."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = 0


def statements_in(
    text: str, *, dialect: str = "", parsed: ParsedSql | None = None
) -> tuple[SqlStatement, ...]:
    """Every statement that `text` could run, without duplicates; never empty.

    `dialect` is sqlglot's name of the database. Without one, a text must mean the same to all.
    """
    if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        return (_UNKNOWN_STATEMENT,)
    name = dialect.strip().lower()
    parser_dialect = _dialect(name)
    distinct = readings(text, name)
    if not distinct:
        return (_hinted(text),)
    first = distinct[0]
    reader = _StatementReader(
        parser_dialect or _dialect(""), parsed or ParsedSql(), zero_matches=name in _ZERO_MATCHES
    )
    found: dict[SqlStatement, None] = {}
    for statement_text in first.statements[: STATEMENTS_MAX + 1]:
        found.update(dict.fromkeys(reader.statements(statement_text)))
    sure = (
        parser_dialect is not None
        and len(distinct) == 1
        and first.sound
        and not has_strange_characters(text)
    )
    if not sure or not found or any(statement.classes >= UNKNOWN for statement in found):
        parsed_whole = sure and len(reader.roots) == len(first.statements)
        found[_hinted(text, reader.roots if parsed_whole else ())] = None
    if len(found) <= STATEMENTS_MAX:
        return tuple(found)
    return at_most(STATEMENTS_MAX, found, _hinted(text))


def _hinted(text: str, roots: Iterable["exp.Expr"] = ()) -> SqlStatement:
    """An unknown statement, with what words anywhere in the text hint at.

    `roots` are the trees of the text, if all of it was parsed: the name of a column hints at
    nothing.
    """
    words = rough_words(text) - _column_words(roots)
    hints = (_CLASSES_OF_HINT.get(word, NOTHING) for word in words)
    return SqlStatement(statement="", classes=UNKNOWN.union(*hints))


def _column_words(roots: Iterable["exp.Expr"]) -> set[str]:
    """The words that stand in names of columns and nowhere else."""
    columns: list[str] = []
    others: list[str] = []
    for node in (node for root in roots for node in root.walk()):
        name = node.args.get("this")
        if isinstance(name, str):
            parent = type(node.parent).__name__
            is_column = type(node).__name__ == "Identifier" and parent in _COLUMN_PLACES
            (columns if is_column else others).append(name)
    return rough_words(" ".join(columns)) - rough_words(" ".join(others))


def _dialect(name: str) -> "Dialect | None":
    """sqlglot's dialect, imported on first use; None if it has none of that name."""
    import logging

    from sqlglot.dialects.dialect import Dialect

    # It logs what it cannot parse: the text is an agent's, and has no place in our log.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    if name and not re.fullmatch(r"[a-z][a-z0-9]{0,20}", name):
        return None
    try:
        dialect = Dialect.get_or_raise(name)
        # Else the parser would walk the whole chain for each of its indices, to renumber them.
        dialect.INDEX_OFFSET = 0
        return dialect
    except ValueError:
        return None


class _StatementReader:
    """Reads statements in one dialect."""

    def __init__(self, dialect: "Dialect | None", parsed: ParsedSql, *, zero_matches: bool) -> None:
        self._dialect = dialect
        self._zero_matches = zero_matches
        self._parsed_so_far = parsed
        self.roots: list[exp.Expr] = []  # of the statements in which every verb has its place

    def statements(self, text: StatementText, depth: int = 0) -> Iterator[SqlStatement]:
        """The statement, and those inside it; `depth` of them stand around it."""
        words = text.words()
        first = words[0] if words else ""
        if not first or not text.bare.lstrip("( ").lower().startswith(first):
            yield _UNKNOWN_STATEMENT
        elif first in keywords.PARSED:
            yield from self._of_parsed(text, first, words)
        elif first in ("explain", "desc", "describe"):
            yield from self._of_explain(text, first, depth)
        elif first == "copy":
            yield from self._of_copy(text, words, depth)
        else:
            kinds = by_keyword(first, words, text.bare)
            tables = names_in(text.clean) if kinds - READ - TRANSACTION else ()
            if len(tables) == TABLES_MAX:
                kinds |= UNKNOWN
            is_known = kinds != UNKNOWN or first in keywords.STATEMENTS
            yield SqlStatement(statement=first if is_known else "", classes=kinds, tables=tables)

    def _of_explain(self, text: StatementText, first: str, depth: int) -> Iterator[SqlStatement]:
        """EXPLAIN only looks, unless ANALYZE makes it run what it explains."""
        clean, bare = _EXPLAIN.fullmatch(text.clean), _EXPLAIN.fullmatch(text.bare)
        if clean is None or bare is None or depth > EXPLAIN_MAX:
            yield SqlStatement(statement="explain", classes=UNKNOWN)
            return
        explained = StatementText(clean["rest"], bare["rest"])
        inner_first = next(iter(explained.words()), "")
        is_name = _DESCRIBED.fullmatch(explained.bare) is not None
        is_statement = inner_first in keywords.PARSED or inner_first in _EXPLAINED_WORDS
        if not is_statement or (is_name and first != "explain"):
            tables = names_in(explained.clean, 0)
            kinds = READ if is_name else UNKNOWN
            yield SqlStatement(statement="explain", classes=kinds, tables=tables)
            return
        inner = list(self.statements(explained, depth + 1))
        may_run = "analy" in clean["options"].lower() or first != "explain"
        if may_run or any(statement.classes >= UNKNOWN for statement in inner):
            yield from inner
        names = dict.fromkeys(table for statement in inner for table in statement.tables)
        yield SqlStatement(statement="explain", classes=READ, tables=tuple(names)[:TABLES_MAX])

    def _of_copy(self, text: StatementText, words: list[str], depth: int) -> Iterator[SqlStatement]:
        """COPY: rows to or from the client, a file of the server, or a program."""
        kinds = _classes_of_copy(text.bare, words)
        if text.bare[len("copy") :].lstrip().startswith("("):
            query = StatementText(_bracketed(text.clean), _bracketed(text.bare))
            yield from self.statements(query, depth + 1)
            yield SqlStatement(statement="copy", classes=kinds)
        else:
            yield SqlStatement(statement="copy", classes=kinds, tables=names_in(text.clean)[:1])

    def _of_parsed(
        self, text: StatementText, first: str, words: list[str]
    ) -> Iterator[SqlStatement]:
        if first == "create":  # the parser knows this end only in some dialects
            text = StatementText(*(_WITH_DATA.sub("", form) for form in text))
        least = named(keywords.PARSED[first]) | added_by_definition(first, words, text.bare)
        root = self._parse(text, first)
        if root is None or type(root).__name__ not in keywords.PARSED_ROOTS[first]:
            yield _refused_by_parser(text, first, words, least)
            return
        kind = type(root).__name__
        name = _STATEMENT_OF_ROOT.get(kind, kind.lower())
        kinds = least | classes_of_change(root, zero_matches=self._zero_matches)
        inner = [node for node in root.walk() if node is not root and is_change(node)]
        for node in inner:
            statement = self._inner(node)
            kinds |= statement.classes
            yield statement
        if not keywords.VERBS.isdisjoint(words[1:]):
            allowed = {type(node).__name__.lower() for node in inner} | {name}
            stray = stray_verbs(text.bare, first, allowed)
        else:
            stray = NOTHING
        if not stray:
            self.roots.append(root)
        kinds = kinds.union(stray, *map(classes_of_node, root.walk()))
        tables = tables_of(root)
        if len(tables) > TABLES_MAX or any(map(_is_strange, tables)):
            kinds |= UNKNOWN
        yield SqlStatement(
            statement="replace" if first == "replace" else name,
            classes=without_read(kinds),
            tables=tables[:TABLES_MAX],
            has_where=root.args.get("where") is not None,
        )

    def _inner(self, node: "exp.Expr") -> SqlStatement:
        return SqlStatement(
            statement=type(node).__name__.lower(),
            classes=WRITE | classes_of_change(node, zero_matches=self._zero_matches),
            tables=tables_of(node)[:TABLES_MAX],
            has_where=node.args.get("where") is not None,
        )

    def _parse(self, statement: StatementText, first: str) -> "exp.Expr | None":
        """The tree of one statement; None unless the parser reads it as we did."""
        if self._dialect is None or self._parsed_so_far.tokens > TOKENS_MAX:
            return None
        text = statement.clean
        if first == "replace":
            text = _REPLACE.sub("INSERT", text)
        if type(self._dialect).__name__ == "Dialect":
            text = text.replace("`", '"')  # quoted alike to whoever takes backticks at all
        from sqlglot import ErrorLevel

        try:
            tokens = self._dialect.tokenize(text)
            self._parsed_so_far.tokens += len(tokens)
            if self._parsed_so_far.tokens > TOKENS_MAX:
                return None
            slices = [text[token.start : token.end + 1] for token in tokens]
            if not is_within_bounds(slices):
                return None
            words = bare_words(slices)
            if not words or words[1:] != statement.words()[1:]:
                return None
            parser = self._dialect.parser(
                error_level=ErrorLevel.IMMEDIATE, max_nodes=64 + NODES_PER_WORD * len(tokens)
            )
            roots = parser.parse(tokens, text)
        except Exception:  # noqa: BLE001 - an agent's text, a large parser: any error means unread
            return None
        return roots[0] if len(roots) == 1 else None


def _refused_by_parser(
    text: StatementText, first: str, words: list[str], least: Classes
) -> SqlStatement:
    """A statement by its words, which is `unknown` unless it is a plain definition."""
    plain = is_plain(first, text.bare)
    kinds = least if plain else least | UNKNOWN
    if first in ("update", "delete", "merge"):
        kinds |= DESTRUCTIVE
    return SqlStatement(
        statement=first if first != "with" else "",
        classes=without_read(kinds),
        tables=tables_of_definition(text.clean) if plain else names_in(text.clean),
        has_where="where" in words,
    )


def _classes_of_copy(bare: str, words: list[str]) -> Classes:
    shape = _COPY.match(bare)
    if shape is None:
        kinds = UNKNOWN
    elif (shape["place"] or "").lower() in ("stdin", "stdout"):
        kinds = WRITE if shape["direction"].lower() == "from" else READ
    else:
        kinds = WRITE | PRIVILEGE if shape["file"] else WRITE | PRIVILEGE | UNKNOWN
    if "program" in words or "into" in words:
        kinds |= WRITE | PRIVILEGE | UNKNOWN
    if words.count("from") + words.count("to") > 1 and "(" not in bare[:6]:
        kinds |= UNKNOWN
    return without_read(kinds)


def _is_strange(table: str) -> bool:
    """Whether a table's name may stand for a file, an address or another server."""
    return not all(map(_PLAIN_NAME.fullmatch, table.split(".")))


def _bracketed(text: str) -> str:
    """What stands between the first opening bracket and the last closing one."""
    return text[text.find("(") + 1 : text.rfind(")")]
