"""Ordinary statements of six databases and more have their class, and what hides among them not."""

from pathlib import Path

import pytest

from forestall.facts.sql.statements import TABLES_MAX, statements_in

ORDINARY = [
    tuple(line.split("|", 2))
    for line in Path(__file__).with_name("ordinary_statements.txt").read_text().splitlines()
    if line and not line.startswith("# ")
]

REPORT = """\
-----------------------------------------------
-- Q1: pricing summary; updated 2020-01-01
-----------------------------------------------
select l_returnflag, sum(l_quantity) as sum_qty
from lineitem
where l_shipdate <= date '1998-12-01' - interval '90' day
group by l_returnflag;
----------
"""


def letters(text: str, dialect: str) -> str:
    """The first letters of the classes, in order."""
    found = statements_in(text, dialect=dialect)
    assert all(len(one.tables) < TABLES_MAX for one in found), "more than is decided one by one"
    return "".join(sorted({kind.value[0] for one in found for kind in one.classes}))


@pytest.mark.parametrize(("dialect", "wanted", "text"), ORDINARY)
def test_an_ordinary_statement_has_its_class(dialect: str, wanted: str, text: str) -> None:
    assert letters(text, dialect) == wanted


@pytest.mark.parametrize("dialect", ["", "postgres", "mysql", "sqlite", "tsql", "snowflake"])
@pytest.mark.parametrize(
    "text", [REPORT, "---- a\nSELECT 1\n------\n", "SELECT 1;\n-----\nSELECT 2"]
)
def test_lines_of_dashes_are_comments(dialect: str, text: str) -> None:
    assert letters(text, dialect) == "r"


# A verb where a column may stand, or a definition that is more than one.
HIDDEN = [
    ("tsql", "CREATE TABLE t (a int) DROP TABLE x"),
    ("tsql", "CREATE TABLE t (a int) EXEC x"),
    ("tsql", "CREATE TABLE t (a int SPARSE) CREATE LOGIN x"),
    ("tsql", "CREATE INDEX i ON t (a) SELECT evil()"),
    ("tsql", "ALTER TABLE t ADD a int SPARSE WAITFOR DELAY '9'"),
    ("tsql", "COMMENT ON TABLE t IS 'x' DROP TABLE y"),
    ("tsql", "GRANT SELECT ON t TO a EXEC x"),
    ("tsql", "GRANT SELECT ON t TO a SELECT * INTO x FROM y"),
    ("tsql", "SELECT 1.DROP TABLE x"),
    ("tsql", "SELECT t.a DELETE FROM x"),
    ("tsql", "SELECT a FROM t WHERE a = 1 UPDATE t SET a = 1"),
    ("tsql", "SELECT a AS x DELETE t"),
    ("tsql", "SELECT * DROP TABLE x"),
    ("tsql", "SELECT (1) TRUNCATE TABLE x"),
    ("tsql", "SELECT [a] DROP TABLE x"),
    ("tsql", "SELECT a, update SHUTDOWN"),
    ("postgres", "ALTER TABLE t ADD a int DEFAULT evil()"),
    ("postgres", "CREATE TABLE t (a int CHECK (evil(a)))"),
    ("postgres", 'CREATE TABLE t (a int DEFAULT "evil"())'),
    ("postgres", "CREATE TABLE t (a int) PARTITION BY RANGE (evil(a))"),
    ("postgres", "ALTER TABLE t ALTER COLUMN a TYPE int USING evil(a)"),
    ("postgres", "CREATE MATERIALIZED VIEW v AS SELECT evil() WITH NO DATA"),
    ("postgres", "ALTER TABLE t DISABLE RULE r"),
    ("postgres", "ALTER DATABASE d SET search_path = x"),
    ("postgres", "CREATE SCHEMA s CREATE TABLE t (a int) GRANT ALL ON t TO public"),
    ("postgres", "SELECT (delete) FROM t"),
    ("snowflake", "ALTER TABLE t SET MASKING POLICY p"),
    ("clickhouse", "ALTER TABLE t ADD COLUMN a Int, DELETE WHERE 1"),
    ("mysql", "CREATE TABLE t (a INT) DATA DIRECTORY='/x'"),
    ("sqlite", "CREATE VIRTUAL TABLE t USING csv(filename='/x')"),
    ("mysql", "DELETE FROM t WHERE name = 5\n---\n5"),
    ("", "SELECT 5\n-----\n3"),
]


@pytest.mark.parametrize(("dialect", "text"), HIDDEN)
def test_what_a_definition_or_a_column_may_hide_is_unknown(dialect: str, text: str) -> None:
    assert "u" in letters(text, dialect)


@pytest.mark.parametrize("text", ["-----x; DROP TABLE y", "SELECT 1\n-----x; DROP TABLE y"])
def test_dashes_that_are_no_comment_to_mysql_hide_nothing(text: str) -> None:
    assert "d" in letters(text, "mysql")
    assert "d" in letters(text, "")
