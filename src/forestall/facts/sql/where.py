"""Whether a WHERE condition really narrows down the rows that it lets through.

Only a comparison of a column with something of another origin narrows. What is always true, true
of nearly every row, or too clever to tell is refused: such a DELETE counts as one of all rows.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sqlglot import exp

DEPTH_MAX: Final = 40  # and/or nested in parentheses; beyond it nobody can read a condition
HUGE: Final = 10**9  # an upper bound that holds for every row of an ordinary table

# What may stand around a column and still leave it the thing that is compared.
_COLUMN_SHELLS: Final = frozenset(
    ("Paren", "Cast", "TryCast", "Lower", "Upper", "Trim", "Collate", "Date", "TsOrDsToDate",
     "JSONExtract", "JSONExtractScalar", "JSONBExtract", "JSONBExtractScalar", "Year", "Month",
     "Extract", "TimestampTrunc", "DateTrunc", "AtTimeZone", "Left", "Substring")
)  # fmt: skip
_WRAPPERS: Final = ("Paren", "Cast", "TryCast", "Collate")


_MIRRORED: Final = {"GT": "LT", "GTE": "LTE", "LT": "GT", "LTE": "GTE"}


class _ComparedColumn(NamedTuple):
    table: str  # or its alias; "" if the column is named alone
    name: str


class Target(NamedTuple):
    """The tables that a statement changes, and what may be said of its columns."""

    names: frozenset[str]  # their names and aliases
    alone: bool  # no other table stands beside them: any column is theirs
    joins: bool  # a comparison with another table's column may narrow
    zero_matches: bool  # a text column equals the number 0 in nearly every row


def narrows(condition: "exp.Expr", target: Target) -> bool:
    """Whether the condition can be counted on to leave rows of the target out."""
    return _Condition(target).narrows(condition, 0)


class _Condition:
    """Reads one condition. `depth` counts the nodes that were entered."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def narrows(self, node: "exp.Expr", depth: int) -> bool:
        kind = type(node).__name__
        if depth > DEPTH_MAX:
            return False
        if kind in ("Paren", "Where"):
            return self.narrows(node.this, depth + 1)
        if kind in ("And", "Or"):
            sides = [self.narrows(side, depth + 1) for side in _operands(node, kind)]
            return any(sides) if kind == "And" else all(sides)
        if kind == "EQ":
            return self._compares(node.this, node.expression, depth)
        if kind in ("GT", "GTE", "LT", "LTE"):
            return self._bounds(kind, node.this, node.expression, depth)
        if kind == "Between":
            low, high = node.args["low"], node.args["high"]
            above = self._bounds("GTE", node.this, low, depth)
            return above or self._bounds("LTE", node.this, high, depth)
        if kind == "In":
            return self._among(node, depth)
        if kind in ("Like", "ILike"):
            pattern = _literal(node.expression)
            literal = bool(pattern.strip("%_")) if pattern else _is_placeholder(node.expression)
            return literal and self._compares(node.this, node.expression, depth)
        if kind == "Is":
            return type(node.expression).__name__ == "Null" and self._is_ours(_column(node.this))
        if kind == "Exists":
            return self._inner_narrows(node.this, depth, exists=True)
        return False

    def _is_ours(self, column: _ComparedColumn | None) -> bool:
        return column is not None and (self._target.alone or column.table in self._target.names)

    def _compares(self, left: "exp.Expr", right: "exp.Expr", depth: int) -> bool:
        """A column of the target on one side, and something else on the other."""
        first, second = _column(left), _column(right)
        if first is not None and second is not None:
            tables = (first.table, second.table)
            of_target = [table in self._target.names for table in tables]
            return self._target.joins and "" not in tables and of_target.count(True) == 1
        column, other = (first, right) if first is not None else (second, left)
        if not self._is_ours(column) or (self._target.zero_matches and _number(other) == 0):
            return False
        query = _query(other)
        if query is not None:
            return self._inner_narrows(query, depth)
        return not _has_column(other)

    def _bounds(self, kind: str, left: "exp.Expr", right: "exp.Expr", depth: int) -> bool:
        """A one-sided bound, unless it is one that nearly every row meets."""
        if _column(left) is None:
            left, right, kind = right, left, _MIRRORED[kind]
        if _column(right) is not None or _is_wide(kind, right):
            return False
        return self._compares(left, right, depth)

    def _among(self, node: "exp.Expr", depth: int) -> bool:
        """A column of the target that is in a list, or in the result of a sub-query."""
        if not self._is_ours(_column(node.this)):
            return False
        query = node.args.get("query")
        if query is not None:
            return self._inner_narrows(query, depth)
        items = node.expressions
        return bool(items) and all(self._compares(node.this, item, depth) for item in items)

    def _inner_narrows(self, query: "exp.Expr | None", depth: int, *, exists: bool = False) -> bool:
        """Whether a sub-query returns rows of other tables, or only some of the target's."""
        while query is not None and type(query).__name__ in ("Subquery", "Paren"):
            query = query.this
        if query is None or type(query).__name__ != "Select" or depth > DEPTH_MAX:
            return False
        if query.args.get("from_") is None:
            return False
        tables = {
            str(table.name).lower() for table in query.walk() if type(table).__name__ == "Table"
        }
        apart = self._target.names.isdisjoint(tables)
        where = query.args.get("where")
        if where is not None:
            # EXISTS says nothing of the target unless it is compared with the target's columns.
            inner = self._target._replace(alone=not exists, joins=apart)
            if _Condition(inner).narrows(where.this, depth + 1):
                return True
        return apart and not exists


def _is_wide(kind: str, bound: "exp.Expr") -> bool:
    """Whether nearly every row of an ordinary table meets a bound: `> 0`, `>= 'a'`, `< 'zz'`."""
    number, text = _number(bound), _literal(bound)
    if kind in ("GT", "GTE"):
        return (number is not None and number <= 1) or (text is not None and len(text) < 2)
    return (number is not None and number >= HUGE) or (
        text is not None and text.startswith(("9", "z", "~"))
    )


def _operands(node: "exp.Expr", kind: str) -> list["exp.Expr"]:
    """What a chain of ANDs (or of ORs) joins, however long the chain."""
    found: list[exp.Expr] = []
    pending = [node]
    while pending:
        operand = pending.pop()
        if type(operand).__name__ == kind:
            pending += [operand.this, operand.expression]
        else:
            found.append(operand)
    return found


def _column(node: "exp.Expr") -> _ComparedColumn | None:
    """The column that this is, seen through what leaves a column a column."""
    for _ in range(DEPTH_MAX):
        kind = type(node).__name__
        if kind == "Column":
            table = str(node.args.get("table") or "")
            return _ComparedColumn(table.lower(), str(node.name).lower())
        inner = node.args.get("this")
        if kind not in _COLUMN_SHELLS or inner is None or isinstance(inner, str):
            return None
        others = [value for key, value in node.args.items() if key not in ("this", "to")]
        if kind not in _WRAPPERS and any(map(_has_column, others)):
            return None
        node = node.expression if kind == "Extract" else inner
    return None


def _has_column(value: object) -> bool:
    return (
        type(value).__name__ != "DataType"
        and hasattr(value, "walk")
        and any(type(part).__name__ == "Column" for part in value.walk())
    )


def _query(node: "exp.Expr") -> "exp.Expr | None":
    return next((part for part in node.walk() if type(part).__name__ == "Select"), None)


def _unwrapped(node: "exp.Expr") -> "exp.Expr":
    for _ in range(DEPTH_MAX):
        if type(node).__name__ not in _WRAPPERS:
            break
        node = node.this
    return node


def _number(node: "exp.Expr") -> float | None:
    """The number that this is, with its sign."""
    node = _unwrapped(node)
    sign = 1.0
    while type(node).__name__ in ("Neg", "Paren"):
        sign = -sign if type(node).__name__ == "Neg" else sign
        node = node.this
    if type(node).__name__ != "Literal":
        return None
    try:
        return sign * float(str(node.this))
    except ValueError:
        return None


def _literal(node: "exp.Expr") -> str | None:
    node = _unwrapped(node)
    if type(node).__name__ == "Literal" and node.args.get("is_string"):
        return str(node.this)
    return None


def _is_placeholder(node: "exp.Expr") -> bool:
    return type(_unwrapped(node)).__name__ in ("Placeholder", "Parameter")
