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

from forestall.facts.sql import keywords as known
from forestall.facts.sql.by_words import by_keyword, is_plain, refined, stray_verbs
from forestall.facts.sql.classes import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Classes,
    SqlClass,
    classes,
    named,
    tidy,
)
from forestall.facts.sql.parse_bounds import LINKS_MAX, is_within_bounds
from forestall.facts.sql.preprocess import (
    LITERAL,
    Part,
    bare_words,
    has_strange_characters,
    readings,
    rough_words,
)
from forestall.facts.sql.tables import (
    CHANGES,
    NAME_CHAIN,
    TABLES_MAX,
    name_parts,
    names_in,
    tables_of,
    tables_of_definition,
    target_of,
)
from forestall.facts.sql.where import narrows

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


_DANGER: Final = "dupswtr"  # the worst first


_ZERO_MATCHES: Final = frozenset(("", "mysql", "doris", "starrocks", "singlestore"))
_BY_HINT: Final = {word: named(kinds) for word, kinds in known.HINTS.items()}
_UNKNOWN_STATEMENT: Final = SqlStatement(statement="", classes=UNKNOWN)

_EXPLAIN: Final = re.compile(
    r"\s*(?P<word>explain|desc|describe)\b\s*(?P<options>(?:(?:query\s+plan(?:\s+for)?|plan\s+for"
    r"|analy[sz]e|verbose|extended|formatted|partitions|format\s*=\s*\w+)\b\s*|\([^()]*\)\s*)*)"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DESCRIBED: Final = re.compile(
    rf"\s*(?:(?:table|view|schema|database)\s+)?(?:{NAME_CHAIN.pattern})\s*", re.IGNORECASE
)
_WITH_DATA: Final = re.compile(r"\bwith\s+(?:no\s+)?data\s*$", re.IGNORECASE)
_COPY: Final = re.compile(rf"(.*)\b(from|to)\b\s*(?:\b(\w+)\b|({LITERAL})?)", re.IGNORECASE)
_COLUMN_PLACES: Final = frozenset(("Column", "Alias", "ColumnDef"))
_PLAIN_NAME: Final = re.compile(r"[\w $#-]*")
_NAMES: Final = {
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
    dialect = dialect.strip().lower()
    chosen = _dialect(dialect)
    found: dict[SqlStatement, None] = {}
    read = readings(text, dialect)
    if not read:
        return (SqlStatement(statement="", classes=_hinted(text)),)
    reader = _StatementReader(
        chosen or _dialect(""), parsed or ParsedSql(), zero_matches=dialect in _ZERO_MATCHES
    )
    for part in read[0].parts[: STATEMENTS_MAX + 1]:
        for statement in reader.statements(part):
            found.setdefault(statement)
    sure = (
        chosen is not None and len(read) == 1 and read[0].sound and not has_strange_characters(text)
    )
    if not sure or not found or any(one.classes >= UNKNOWN for one in found):
        whole = sure and len(reader.roots) == len(read[0].parts)
        hints = _hinted(text, reader.roots if whole else ())
        found.setdefault(SqlStatement(statement="", classes=hints))
    if len(found) <= STATEMENTS_MAX:
        return tuple(found)
    kept = sorted(found, key=lambda one: min(_DANGER.index(kind.value[0]) for kind in one.classes))
    return (*kept[: STATEMENTS_MAX - 1], SqlStatement(statement="", classes=_hinted(text)))


def _hinted(text: str, roots: Iterable["exp.Expr"] = ()) -> Classes:
    """UNKNOWN, and what words anywhere in the text hint at.

    `roots` are the trees of the text, if all of it was parsed: the name of a column hints at
    nothing.
    """
    words = rough_words(text) - _column_words(roots)
    return UNKNOWN.union(*(_BY_HINT.get(word, NOTHING) for word in words))


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
        self._spent = parsed
        self.roots: list[exp.Expr] = []  # of the statements in which every verb has its place

    def statements(self, part: Part, depth: int = 0) -> Iterator[SqlStatement]:
        """The statement, and those inside it."""
        words = part.words()
        first = next(iter(words), "")
        lead = part.bare.lstrip("( ")
        if not lead.lower().startswith(first) or not first:
            yield _UNKNOWN_STATEMENT
        elif first in known.PARSED:
            yield from self._parsed(part, first, words)
        elif first in ("explain", "desc", "describe"):
            yield from self._explained(part, first, depth)
        elif first == "copy":
            yield from self._copied(part, words, depth)
        else:
            kinds = by_keyword(first, words, part.bare)
            tables = names_in(part.clean) if kinds - classes("rt") else ()
            if len(tables) == TABLES_MAX:
                kinds |= UNKNOWN
            yield SqlStatement(
                statement=first if kinds != UNKNOWN or first in known.STATEMENTS else "",
                classes=kinds,
                tables=tables,
            )

    def _explained(self, part: Part, first: str, depth: int) -> Iterator[SqlStatement]:
        """EXPLAIN only looks, unless ANALYZE makes it run what it explains."""
        shape = _EXPLAIN.fullmatch(part.clean)
        bare = _EXPLAIN.fullmatch(part.bare)
        if shape is None or bare is None or depth > EXPLAIN_MAX:
            yield SqlStatement(statement="explain", classes=UNKNOWN)
            return
        rest = Part(shape["rest"], bare["rest"])
        inner_first = next(iter(rest.words()), "")
        plain = _DESCRIBED.fullmatch(bare["rest"]) is not None
        follows = inner_first in known.PARSED or inner_first in ("explain", "copy", "execute")
        if (plain and first != "explain") or not follows:
            kinds = READ if plain else UNKNOWN
            yield SqlStatement(
                statement="explain", classes=kinds, tables=names_in(shape["rest"], 0)
            )
            return
        runs = "analy" in shape["options"].lower()
        inner = list(self.statements(rest, depth + 1))
        if runs or first != "explain" or any(one.classes >= UNKNOWN for one in inner):
            yield from inner
        tables = tuple(dict.fromkeys(name for one in inner for name in one.tables))[:TABLES_MAX]
        yield SqlStatement(statement="explain", classes=READ, tables=tables)

    def _copied(self, part: Part, words: list[str], depth: int) -> Iterator[SqlStatement]:
        """COPY: rows to or from the client, a file of the server, or a program."""
        shape = _COPY.match(part.bare)
        kinds: Classes = UNKNOWN
        if shape is not None:
            place = (shape[3] or "").lower()
            kinds = classes("w" if shape[2].lower() == "from" else "r")
            if place not in ("stdin", "stdout"):
                kinds = classes("wp" if shape[4] else "wpu")
        if "program" in words or "into" in words:
            kinds |= classes("wpu")
        if words.count("from") + words.count("to") > 1 and "(" not in part.bare[:6]:
            kinds |= UNKNOWN
        source = part.bare[4:].lstrip()
        if source.startswith("("):
            inner = Part(_bracketed(part.clean), _bracketed(part.bare))
            yield from self.statements(inner, depth + 1)
            yield SqlStatement(statement="copy", classes=tidy(kinds))
            return
        tables = names_in(part.clean)[:1]
        yield SqlStatement(statement="copy", classes=tidy(kinds), tables=tables)

    def _parsed(self, part: Part, first: str, words: list[str]) -> Iterator[SqlStatement]:
        if first == "create":  # the parser knows this end only in some dialects
            part = Part(*(_WITH_DATA.sub("", text) for text in part))
        root = self._parse(part, first)
        least, roots = named(known.PARSED[first]), known.PARSED_ROOTS[first]
        if root is None or type(root).__name__ not in roots:
            plain = is_plain(first, part.bare)
            kinds = least | refined(first, words, part.bare) | (NOTHING if plain else UNKNOWN)
            if first in ("update", "delete", "merge"):
                kinds |= DESTRUCTIVE
            yield SqlStatement(
                statement=first if first != "with" else "",
                classes=tidy(kinds),
                tables=tables_of_definition(part.clean) if plain else names_in(part.clean),
                has_where="where" in words,
            )
            return
        name = _NAMES.get(type(root).__name__, type(root).__name__.lower())
        inner = [node for node in root.walk() if node is not root and _is_change(node)]
        own = least | refined(first, words, part.bare) | self._changed(root)
        for node in inner:
            statement = self._inner(node)
            own |= statement.classes
            yield statement
        allowed = {type(node).__name__.lower() for node in inner} | {name}
        verbs = not known.VERBS.isdisjoint(words[1:])
        stray = stray_verbs(part.bare, first, allowed) if verbs else NOTHING
        own |= stray
        if not stray:
            self.roots.append(root)
        for node in root.walk():
            own |= _node_classes(node)
        tables = tables_of(root)
        if len(tables) > TABLES_MAX or any(_is_strange(table) for table in tables):
            own |= UNKNOWN
        yield SqlStatement(
            statement="replace" if first == "replace" else name,
            classes=tidy(own),
            tables=tables[:TABLES_MAX],
            has_where=root.args.get("where") is not None,
        )

    def _inner(self, node: "exp.Expr") -> SqlStatement:
        return SqlStatement(
            statement=type(node).__name__.lower(),
            classes=classes("w") | self._changed(node),
            tables=tables_of(node)[:TABLES_MAX],
            has_where=node.args.get("where") is not None,
        )

    def _parse(self, part: Part, first: str) -> "exp.Expr | None":
        """The tree of one statement; None unless the parser reads it as we did."""
        if self._dialect is None or self._spent.tokens > TOKENS_MAX:
            return None
        text = part.clean
        if first == "replace":
            text = re.sub(r"(?i)^\s*replace\b", "INSERT", text)
        if type(self._dialect).__name__ == "Dialect":
            text = text.replace("`", '"')  # quoted alike to whoever takes backticks at all
        from sqlglot import ErrorLevel

        try:
            tokens = self._dialect.tokenize(text)
            self._spent.tokens += len(tokens)
            if self._spent.tokens > TOKENS_MAX:
                return None
            slices = [text[token.start : token.end + 1] for token in tokens]
            if not is_within_bounds(slices):
                return None
            seen = bare_words(slices)
            words = Part(text, part.bare).words()
            if seen[1:] != words[1:] or not seen:
                return None
            parser = self._dialect.parser(
                error_level=ErrorLevel.IMMEDIATE, max_nodes=64 + NODES_PER_WORD * len(tokens)
            )
            roots = parser.parse(tokens, text)
        except Exception:  # noqa: BLE001 - an agent's text, a large parser: any error means unread
            return None
        return roots[0] if len(roots) == 1 else None

    def _changed(self, node: "exp.Expr") -> Classes:
        """What INSERT, UPDATE, DELETE and MERGE add, by the rows they take."""
        kind = type(node).__name__
        if kind == "Insert":
            other = node.args.get("is_function") or node.args.get("source")
            taken = DESTRUCTIVE if node.args.get("overwrite") else NOTHING
            return classes("w") | taken | (UNKNOWN if other else NOTHING)
        if kind == "Merge":
            whens = [one for one in node.walk() if type(one).__name__ == "When"]
            thens = [when.args.get("then") for when in whens]
            by_source = any(when.args.get("source") for when in whens)
            lost = by_source or any(
                type(then).__name__ == "Delete" or str(then.name).upper().startswith("DELETE")
                for then in thens
                if then is not None
            )
            return classes("wd" if lost else "w")
        if kind not in ("Update", "Delete"):
            return NOTHING
        where = node.args.get("where")
        if where is None or not narrows(where.this, target_of(node, self._zero_matches)):
            return classes("wd")
        return classes("w")


def _node_classes(node: "exp.Expr") -> Classes:
    """What one node of the tree adds to the statement that holds it."""
    kind = type(node).__name__
    if kind in ("Into", "Lock", "NextValueFor"):
        return classes("w")
    if kind in known.OUTSIDE_NODES:
        return classes("pu") if kind in ("ReadCSV", "ReadParquet", "QueryTransform") else UNKNOWN
    if kind in ("Anonymous", "AnonymousAggFunc", "ParameterizedAgg", "CombinedAggFunc",
                "CombinedParameterizedAgg"):  # fmt: skip
        return _function(node)
    if kind == "Table":
        name = ".".join(name_parts(node))
        secret = {name, name.rpartition(".")[2]} & known.SECRET_TABLES
        strange = type(node.args.get("this")).__name__ in ("Var", "Literal", "Parameter")
        return classes("p" if secret else "u" if strange else "")
    return NOTHING


def _function(node: "exp.Expr") -> Classes:
    name = str(node.args.get("this") or "").strip('"`[]').lower()
    parent = node.parent
    if parent is not None and type(parent).__name__ == "Dot":
        schema = _first_name(parent.this)
        if name in known.RISKY_FUNCTIONS or name.startswith(known.RISKY_BEGINNINGS):
            return classes("pu")
        if schema != "pg_catalog" or type(parent.this).__name__ == "Dot":
            risky = schema.startswith(known.RISKY_BEGINNINGS)
            return classes("pu" if risky else "u")
    if name in known.PURE_FUNCTIONS:
        return NOTHING
    if name in known.WRITING_FUNCTIONS:
        return classes("w")
    if name in known.RISKY_FUNCTIONS or name.startswith(known.RISKY_BEGINNINGS):
        return classes("pu")
    return UNKNOWN


def _first_name(node: "exp.Expr") -> str:
    """The first part of a dotted name."""
    for _ in range(LINKS_MAX):
        if type(node).__name__ != "Dot":
            break
        node = node.this
    if type(node).__name__ == "Column":
        node = node.args.get("catalog") or node.args.get("db") or node.args.get("table") or node
    return str(node.name).lower()


def _is_change(node: "exp.Expr") -> bool:
    """Whether this is a statement of its own, and not a branch of a MERGE."""
    if type(node).__name__ not in CHANGES:
        return False
    return node.parent is None or type(node.parent).__name__ != "When"


def _is_strange(table: str) -> bool:
    """Whether a table's name may stand for a file, an address or another server."""
    return any(not _PLAIN_NAME.fullmatch(part) for part in table.split("."))


def _bracketed(text: str) -> str:
    return text[text.find("(") + 1 : text.rfind(")")]
