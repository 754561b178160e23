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
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts.sql import keywords as known
from forestall.facts.sql.preprocess import (
    LITERAL,
    Part,
    bare_words,
    has_strange_characters,
    readings,
    rough_words,
)
from forestall.facts.sql.tables import CHANGES, name_parts, tables_of, target_of
from forestall.facts.sql.where import narrows

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

TEXT_BYTES_MAX: Final = 64 * 1024  # no honest query is longer, and every parse stays quick
STATEMENTS_MAX: Final = 64  # statements reported; each one costs a decision
TABLES_MAX: Final = 16  # tables reported for one statement; honest joins need ten
NESTING_MAX: Final = 64  # open brackets at once; the parser recurses into each
NODES_PER_WORD: Final = 12  # tree nodes the parser may make for one token; honest text needs three
TOKENS_MAX: Final = 8_000  # parsed for one payload; a bulk load is longer, and is unknown
EXPLAIN_MAX: Final = 3  # EXPLAIN inside EXPLAIN


class SqlClass(StrEnum):
    """The kinds of effect a statement can have."""

    READ = "read"
    WRITE = "write"
    SCHEMA = "schema"
    PRIVILEGE = "privilege"
    DESTRUCTIVE = "destructive"
    TRANSACTION = "transaction"
    UNKNOWN = "unknown"


class SqlStatement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement: its kind ("" if unknown), what it may do, and the tables it names.

    Table names are dotted and in lower case, quoted or not, so that no spelling escapes a rule. A
    part that holds a dot itself keeps its quotes.
    """

    statement: str
    classes: frozenset[SqlClass]
    tables: tuple[str, ...] = ()
    has_where: bool = False


Classes = frozenset[SqlClass]
_KIND_OF_LETTER: Final = {kind.value[0]: kind for kind in SqlClass}
_DANGER: Final = "dupswtr"  # the worst first


def _classes(letters: str) -> Classes:
    return frozenset(_KIND_OF_LETTER[letter] for letter in letters)


def _named(kinds: Iterable[str]) -> Classes:
    return frozenset(map(SqlClass, kinds))


_NOTHING: Final = _classes("")
_READ: Final = _classes("r")
_UNKNOWN: Final = _classes("u")
_DESTRUCTIVE: Final = _classes("d")
_ZERO_MATCHES: Final = frozenset(("", "mysql", "doris", "starrocks", "singlestore"))
_BY_HINT: Final = {word: _named(kinds) for word, kinds in known.HINTS.items()}
_UNKNOWN_STATEMENT: Final = SqlStatement(statement="", classes=_UNKNOWN)

_EXPLAIN: Final = re.compile(
    r"\s*(?P<word>explain|desc|describe)\b\s*(?P<options>(?:(?:query\s+plan(?:\s+for)?|plan\s+for"
    r"|analy[sz]e|verbose|extended|formatted|partitions|format\s*=\s*\w+)\b\s*|\([^()]*\)\s*)*)"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PRAGMA: Final = re.compile(
    rf"pragma (?:\w+\.)?(\w+)(?: ?\( ?[\w{LITERAL}\x01.]+ ?\))?", re.IGNORECASE
)
_COPY: Final = re.compile(rf"(.*)\b(from|to)\b\s*(?:\b(\w+)\b|({LITERAL})?)", re.IGNORECASE)
_CHAIN: Final = re.compile(r"[^\W\d][\w$]*(?:\s*\.\s*[^\W\d][\w$]*)*")
_WORD_AND_BRACKET: Final = re.compile(r"(\w+)\s*(\(?)")
_PLAIN_NAME: Final = re.compile(r"[\w $#-]*")
_DROP_QUOTES: Final = {ord(char): None for char in '"`[]'}
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
    if not sure or not found or any(one.classes >= _UNKNOWN for one in found):
        found.setdefault(SqlStatement(statement="", classes=_hinted(text)))
    if len(found) <= STATEMENTS_MAX:
        return tuple(found)
    kept = sorted(found, key=lambda one: min(_DANGER.index(kind.value[0]) for kind in one.classes))
    return (*kept[: STATEMENTS_MAX - 1], SqlStatement(statement="", classes=_hinted(text)))


def _hinted(text: str) -> Classes:
    """UNKNOWN, and what words anywhere in the text hint at."""
    return _UNKNOWN.union(*(_BY_HINT.get(word, _NOTHING) for word in rough_words(text)))


def _dialect(name: str) -> "Dialect | None":
    """sqlglot's dialect, imported on first use; None if it has none of that name."""
    import logging

    from sqlglot.dialects.dialect import Dialect

    # It logs what it cannot parse: the text is an agent's, and has no place in our log.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    if name and not re.fullmatch(r"[a-z][a-z0-9]{0,20}", name):
        return None
    try:
        return Dialect.get_or_raise(name)
    except ValueError:
        return None


class _StatementReader:
    """Reads statements in one dialect."""

    def __init__(self, dialect: "Dialect | None", parsed: ParsedSql, *, zero_matches: bool) -> None:
        self._dialect = dialect
        self._zero_matches = zero_matches
        self._spent = parsed

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
            kinds = _by_keyword(first, words, part.bare)
            tables = _chains(part.clean) if kinds - _classes("rt") else ()
            if len(tables) == TABLES_MAX:
                kinds |= _UNKNOWN
            yield SqlStatement(
                statement=first if kinds != _UNKNOWN or first in known.STATEMENTS else "",
                classes=kinds,
                tables=tables,
            )

    def _explained(self, part: Part, first: str, depth: int) -> Iterator[SqlStatement]:
        """EXPLAIN only looks, unless ANALYZE makes it run what it explains."""
        shape = _EXPLAIN.fullmatch(part.clean)
        bare = _EXPLAIN.fullmatch(part.bare)
        if shape is None or bare is None or depth > EXPLAIN_MAX:
            yield SqlStatement(statement="explain", classes=_UNKNOWN)
            return
        rest = Part(shape["rest"], bare["rest"])
        inner_first = next(iter(rest.words()), "")
        if inner_first not in known.PARSED and inner_first not in ("explain", "copy", "execute"):
            plain = _CHAIN.fullmatch(bare["rest"].strip()) is not None
            kinds = _READ if plain else _UNKNOWN
            yield SqlStatement(statement="explain", classes=kinds, tables=_chains(shape["rest"], 0))
            return
        runs = "analy" in shape["options"].lower()
        inner = list(self.statements(rest, depth + 1))
        if runs or first != "explain" or any(one.classes >= _UNKNOWN for one in inner):
            yield from inner
        tables = tuple(dict.fromkeys(name for one in inner for name in one.tables))[:TABLES_MAX]
        yield SqlStatement(statement="explain", classes=_READ, tables=tables)

    def _copied(self, part: Part, words: list[str], depth: int) -> Iterator[SqlStatement]:
        """COPY: rows to or from the client, a file of the server, or a program."""
        shape = _COPY.match(part.bare)
        kinds: Classes = _UNKNOWN
        if shape is not None:
            place = (shape[3] or "").lower()
            kinds = _classes("w" if shape[2].lower() == "from" else "r")
            if place not in ("stdin", "stdout"):
                kinds = _classes("wp" if shape[4] else "wpu")
        if "program" in words or "into" in words:
            kinds |= _classes("wpu")
        if words.count("from") + words.count("to") > 1 and "(" not in part.bare[:6]:
            kinds |= _UNKNOWN
        source = part.bare[4:].lstrip()
        if source.startswith("("):
            inner = Part(_bracketed(part.clean), _bracketed(part.bare))
            yield from self.statements(inner, depth + 1)
            yield SqlStatement(statement="copy", classes=_tidy(kinds))
            return
        tables = _chains(part.clean)[:1]
        yield SqlStatement(statement="copy", classes=_tidy(kinds), tables=tables)

    def _parsed(self, part: Part, first: str, words: list[str]) -> Iterator[SqlStatement]:
        root = self._parse(part, first)
        least, roots = _named(known.PARSED[first]), known.PARSED_ROOTS[first]
        if root is None or type(root).__name__ not in roots:
            kinds = least | _refined(first, words) | _UNKNOWN
            if first in ("update", "delete", "merge"):
                kinds |= _DESTRUCTIVE
            yield SqlStatement(
                statement=first if first != "with" else "",
                classes=_tidy(kinds),
                tables=_chains(part.clean),
                has_where="where" in words,
            )
            return
        name = _NAMES.get(type(root).__name__, type(root).__name__.lower())
        inner = [node for node in root.walk() if node is not root and _is_change(node)]
        own = least | _refined(first, words) | self._changed(root)
        for node in inner:
            statement = self._inner(node)
            own |= statement.classes
            yield statement
        allowed = {str(one).lower() for node in inner for one in (type(node).__name__,)} | {name}
        own |= _stray_verbs(part.bare, first, allowed)
        for node in root.walk():
            own |= _node_classes(node)
        tables = tables_of(root)
        if len(tables) > TABLES_MAX or any(_is_strange(table) for table in tables):
            own |= _UNKNOWN
        yield SqlStatement(
            statement="replace" if first == "replace" else name,
            classes=_tidy(own),
            tables=tables[:TABLES_MAX],
            has_where=root.args.get("where") is not None,
        )

    def _inner(self, node: "exp.Expr") -> SqlStatement:
        return SqlStatement(
            statement=type(node).__name__.lower(),
            classes=_classes("w") | self._changed(node),
            tables=tables_of(node)[:TABLES_MAX],
            has_where=node.args.get("where") is not None,
        )

    def _parse(self, part: Part, first: str) -> "exp.Expr | None":
        """The tree of one statement; None unless the parser reads it as we did."""
        crowded = self._spent.tokens > TOKENS_MAX or _nesting(part.bare) > NESTING_MAX
        if self._dialect is None or crowded:
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
            seen = bare_words(text[token.start : token.end + 1] for token in tokens)
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
            taken = _DESTRUCTIVE if node.args.get("overwrite") else _NOTHING
            return _classes("w") | taken | (_UNKNOWN if other else _NOTHING)
        if kind == "Merge":
            thens = [str(when.args.get("then")).upper() for when in _whens(node)]
            by_source = any(when.args.get("source") for when in _whens(node))
            lost = any(then.startswith("DELETE") for then in thens) or by_source
            return _classes("wd" if lost else "w")
        if kind not in ("Update", "Delete"):
            return _NOTHING
        where = node.args.get("where")
        if where is None or not narrows(where.this, target_of(node, self._zero_matches)):
            return _classes("wd")
        return _classes("w")


def _by_keyword(first: str, words: list[str], bare: str) -> Classes:
    """The classes of a statement that is known by its words alone."""
    if first in ("begin", "start", "commit", "rollback", "end", "abort", "savepoint", "release"):
        named = 1 if {"to", "savepoint", "release"} & set(words) else 0
        strange = [word for word in words if word not in known.TRANSACTION_WORDS]
        plain = len(strange) <= named and "(" not in bare and not known.VERBS & set(strange)
        return _classes("t") if plain else _UNKNOWN
    if first == "set":
        if known.PRIVILEGED_SETTINGS & set(words):
            return _classes("pu")
        name = next((w for w in words[1:] if w not in ("session", "local")), "")
        plain = name in known.PLAIN_SETTINGS and not set("(,;@") & set(bare)
        return _classes("t") if plain and not known.VERBS & set(words) else _UNKNOWN
    if first == "pragma":
        shape = _PRAGMA.fullmatch(bare)
        reads = shape is not None and shape[1].lower() in known.READING_PRAGMAS
        return _READ if reads else _UNKNOWN
    if first == "vacuum":
        return _classes("wu" if "into" in words else "s")
    if first == "reset" and {"master", "binary", "slave", "replica"} & set(words):
        return _classes("dpu")
    kinds = _named(known.STATEMENTS.get(first, ("unknown",)))
    verbs = known.VERBS & set(words[1:])
    if verbs - ({"create"} if first == "show" else set()):
        kinds |= _UNKNOWN
    return _tidy(kinds)


def _refined(first: str, words: list[str]) -> Classes:
    """What the words of a definition add to its first word."""
    rest = set(words[1:])
    kinds: Classes = _NOTHING
    if first in ("create", "drop", "alter", "comment"):
        if known.PRIVILEGE_OBJECTS & set(words[1:8]):
            kinds |= _classes("p")
        if first == "create" and known.CODE_OBJECTS & set(words[1:8]):
            kinds |= _UNKNOWN
        if first == "create" and "table" in words[1:6] and "replace" in words[1:4]:
            kinds |= _DESTRUCTIVE
    if first == "create" and {"as", "select"} <= rest:
        kinds |= _classes("w") if "table" in words[1:8] else _NOTHING
    if first == "alter":
        kinds |= _DESTRUCTIVE if known.ALTER_LOSSES & rest else _NOTHING
        kinds |= _classes("p") if known.PRIVILEGE_OBJECTS & rest else _NOTHING
    if first == "drop" and "owned" in words[1:2]:
        kinds |= _classes("p")
    return kinds


def _stray_verbs(bare: str, first: str, allowed: Iterable[str]) -> Classes:
    """UNKNOWN if a word stands here that could start another statement without a semicolon."""
    fine = known.INNER_VERBS.get(first, frozenset()) | set(allowed)
    before = ""
    for match in _WORD_AND_BRACKET.finditer(bare):
        word = match[1].lower()
        if word in known.VERBS and word not in fine:
            locks = word == "update" and before in ("for", "key", "do")
            cascades = before == "on" and first in ("create", "alter")
            calls = match[2] and word in ("replace", "insert", "truncate")
            if not (locks or calls or (cascades and word in ("update", "delete"))):
                return _UNKNOWN
        before = word
    return _NOTHING


def _node_classes(node: "exp.Expr") -> Classes:
    """What one node of the tree adds to the statement that holds it."""
    kind = type(node).__name__
    if kind in ("Into", "Lock", "NextValueFor"):
        return _classes("w")
    if kind in known.OUTSIDE_NODES:
        return _classes("pu") if kind in ("ReadCSV", "ReadParquet", "QueryTransform") else _UNKNOWN
    if kind in ("Anonymous", "AnonymousAggFunc", "ParameterizedAgg", "CombinedAggFunc",
                "CombinedParameterizedAgg"):  # fmt: skip
        return _function(node)
    if kind == "Table":
        name = ".".join(name_parts(node))
        secret = {name, name.rpartition(".")[2]} & known.SECRET_TABLES
        strange = type(node.args.get("this")).__name__ in ("Var", "Literal", "Parameter")
        return _classes("p" if secret else "u" if strange else "")
    return _NOTHING


def _function(node: "exp.Expr") -> Classes:
    name = str(node.args.get("this") or "").strip('"`[]').lower()
    parent = node.parent
    if parent is not None and type(parent).__name__ == "Dot":
        schema = str(parent.args.get("this")).strip('"`[]').lower()
        if name in known.RISKY_FUNCTIONS or name.startswith(known.RISKY_BEGINNINGS):
            return _classes("pu")
        if schema != "pg_catalog":
            risky = schema.startswith(known.RISKY_BEGINNINGS)
            return _classes("pu" if risky else "u")
    if name in known.PURE_FUNCTIONS:
        return _NOTHING
    if name in known.WRITING_FUNCTIONS:
        return _classes("w")
    if name in known.RISKY_FUNCTIONS or name.startswith(known.RISKY_BEGINNINGS):
        return _classes("pu")
    return _UNKNOWN


def _is_change(node: "exp.Expr") -> bool:
    """Whether this is a statement of its own, and not a branch of a MERGE."""
    if type(node).__name__ not in CHANGES:
        return False
    return node.parent is None or type(node.parent).__name__ != "When"


def _whens(node: "exp.Expr") -> list["exp.Expr"]:
    return [one for one in node.walk() if type(one).__name__ == "When"]


def _is_strange(table: str) -> bool:
    """Whether a table's name may stand for a file, an address or another server."""
    return any(not _PLAIN_NAME.fullmatch(part) for part in table.split("."))


def _chains(clean: str, skip: int = 1) -> tuple[str, ...]:
    """Every dotted name in a text that was not parsed: more than its tables, never fewer."""
    found = _CHAIN.findall(clean.translate(_DROP_QUOTES))
    names = dict.fromkeys("".join(name.split()).lower() for name in found[skip:])
    return tuple(name for name in names if name not in known.NO_TABLES)[:TABLES_MAX]


def _nesting(bare: str) -> int:
    depth = deepest = 0
    for char in bare:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def _bracketed(text: str) -> str:
    return text[text.find("(") + 1 : text.rfind(")")]


def _tidy(kinds: Classes) -> Classes:
    """READ means that it only looks, so it never stands beside another class."""
    return (kinds - _READ) or _READ
