"""The work of a parse grows with a text, not with its square: counted in calls, never in time."""

import sys
from typing import Any

import pytest

from forestall.facts.sql.parse_bounds import LINKS_MAX, NESTING_MAX, is_within_bounds
from forestall.facts.sql.statements import SqlClass, statements_in

EVENTS_FOR_EACH_BYTE_MAX = 500  # calls and returns; most texts make about a hundred


def calls(text: str, dialect: str) -> int:
    """How many functions reading the text calls."""
    count = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        statements_in(text, dialect=dialect)
    finally:
        sys.setprofile(None)
    return count


# The dialect, how the text begins, what is repeated, and how it ends.
GROWING = [
    ("postgres", "SELECT a", "[1]", ""),
    ("postgres", "SELECT a", "[1:2]", ""),
    ("duckdb", "SELECT a", "[*]", ""),
    ("clickhouse", "SELECT * FROM t WHERE a", "[1:2]", ""),
    ("duckdb", "SELECT f(a", " is not null[1]", ")"),
    ("hive", "SELECT a", ".f(1)", ""),
    ("snowflake", "SELECT a", ".f(x -> x)", ""),
    ("teradata", "SELECT * FROM t", ".f(1)", ""),
    ("postgres", "SELECT a", "::int[1]", ""),
    ("snowflake", "SELECT a", ":b.c[0]::text", ""),
    ("", "SELECT a", "->'b'", ""),
    ("postgres", "SELECT a", " || 'b'", ""),
    ("postgres", "SELECT ", "case when a then ", "1"),
    ("postgres", "SELECT ", "cast(", "a"),
    ("postgres", "SELECT ", "(", "1"),
    ("postgres", "SELECT ", "array[", "1"),
    ("bigquery", "SELECT ", "f(x -> ", "1"),
    ("postgres", "SELECT ", "regexp_replace(a,b,c,", "1"),
    ("postgres", "SELECT 1", " union select 1", ""),
    ("postgres", "WITH a as (select 1)", ", b as (select 1)", " select 1"),
    ("postgres", "", "with a as (", "select 1"),
    ("postgres", "SELECT * FROM t", " join b on 1=1", ""),
    ("bigquery", "SELECT * FROM t", ", a.b", ""),
    ("postgres", "SELECT * FROM t WHERE a", " and b", ""),
    ("postgres", "INSERT INTO t VALUES (1)", ",(1)", ""),
    ("mysql", "SELECT 1", " ---\n", ""),
    ("mysql", "", "-----\n", "SELECT 1"),
    ("", "CREATE TABLE t (a int", ", b int", ")"),
    ("", "SELECT x -> a", " |> select a", ""),
    ("postgres", "GRANT a", "json_query(", ""),
]


@pytest.mark.parametrize(("dialect", "start", "piece", "end"), GROWING)
def test_work_grows_with_the_text(dialect: str, start: str, piece: str, end: str) -> None:
    statements_in("select a.f(1)[1] from t", dialect=dialect)  # what is imported once
    once, twice = (
        calls(start + piece * (size // len(piece)) + end, dialect) for size in (1_000, 2_000)
    )
    assert twice < max(2.5 * once, 60_000)
    assert twice < EVENTS_FOR_EACH_BYTE_MAX * 2_000


def test_the_bounds_are_of_brackets_and_of_links() -> None:
    assert is_within_bounds(["("] * NESTING_MAX)
    assert not is_within_bounds(["("] * (NESTING_MAX + 1))
    assert is_within_bounds(["a", *[".", "b"] * LINKS_MAX])
    assert not is_within_bounds(["a", *[".", "b"] * (LINKS_MAX + 1)])
    assert not is_within_bounds(["a", *["[", "1", "]"] * (LINKS_MAX + 1)])
    assert not is_within_bounds(["a", *[".", "f", "(", ")"] * LINKS_MAX])
    assert is_within_bounds(["a", ".", "b", ","] * 99)
    assert is_within_bounds(["(", "1", ")", ","] * 99)
    assert is_within_bounds([")"] * 99)


def test_what_is_beyond_the_bounds_is_unknown() -> None:
    for text in ("SELECT a" + "[1]" * 99, "SELECT " + "(" * 99 + "1" + ")" * 99):
        (one,) = statements_in(text, dialect="postgres")[:1]
        assert one.classes == {SqlClass.UNKNOWN}
