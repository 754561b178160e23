"""Hard cases for what an SQL text could do: one table by theme, then hostile and random texts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.facts.sql.statements import STATEMENTS_MAX, TEXT_BYTES_MAX, SqlClass, statements_in

LETTERS = {kind.value[0]: kind for kind in SqlClass}


def classes_in(text: str, dialect: str = "") -> set[SqlClass]:
    """Every class of every statement in the text."""
    return {kind for one in statements_in(text, dialect=dialect) for kind in one.classes}


def tables(text: str, dialect: str = "") -> set[str]:
    return {table for one in statements_in(text, dialect=dialect) for table in one.tables}


# "=rw" is exactly these classes; "+d" is at least these; "-r" is none of these.
CASES: dict[str, list[tuple[str, str, str]]] = {
    "reads": [
        ("", "SELECT 1", "=r"),
        ("", "select * from users where id = 5", "=r"),
        ("", "SELECT a FROM t UNION ALL SELECT b FROM u", "=r"),
        ("", "(SELECT 1) UNION (SELECT 2)", "=r"),
        ("", "WITH a AS (SELECT 1 AS x) SELECT * FROM a", "=r"),
        ("", "SELECT * FROM t WHERE a = 'drop table x; --'", "=r"),
        ("", "SELECT 'it''s' -- drop table x", "=r"),
        ("", "SELECT 1 /* drop table x */", "=r"),
        ("", "SELECT replace(a, 'x', 'y'), count(*), now() FROM t", "=r"),
        ("", 'SELECT "delete" FROM "Orders"', "=r"),
        ("", "SELECT `a` FROM `b`", "=r"),
        ("", "VALUES (1), (2)", "=r"),
        ("postgres", "SELECT a->>'x', b::jsonb @> '{}' FROM t WHERE c ~ 'x' AND d = ANY($1)", "=r"),
        ("postgres", "SELECT E'a\\'; DROP TABLE x; --' FROM t", "=r"),
        ("postgres", "SELECT $$ ; drop table x; $$", "=r"),
        ("postgres", "EXPLAIN SELECT * FROM t", "=r"),
        ("postgres", "EXPLAIN DELETE FROM t", "=r"),
        ("postgres", "TABLE users", "=r"),
        ("postgres", "COPY t TO STDOUT", "=r"),
        ("postgres", "SELECT pg_catalog.lower('X')", "=r"),
        ("postgres", "SELECT count(*) OVER (PARTITION BY a ORDER BY b) FROM t LIMIT 5", "=r"),
        ("mysql", "SELECT 'it\\'s' FROM t # drop", "=r"),
        ("mysql", "SHOW CREATE TABLE t", "=r"),
        ("mysql", "DESCRIBE t", "=r"),
        ("sqlite", "PRAGMA table_info(t)", "=r"),
        ("sqlite", "EXPLAIN QUERY PLAN SELECT * FROM t", "=r"),
        ("tsql", "SELECT TOP 5 [a b] FROM [x].[y] WHERE z = 1", "=r"),
        ("bigquery", "SELECT * FROM `p.d.t` WHERE x = 1", "=r"),
    ],
    "transactions": [
        ("", "BEGIN", "=t"),
        ("", "START TRANSACTION READ ONLY; SELECT 1; COMMIT", "=rt"),
        ("", "ROLLBACK TO SAVEPOINT a", "=t"),
        ("postgres", "SET LOCAL statement_timeout = 5", "=t"),
        ("postgres", "SET TIME ZONE 'UTC'", "=t"),
        ("oracle", "BEGIN EXECUTE IMMEDIATE 'DROP TABLE x'; END;", "+ud"),
        ("tsql", "BEGIN DELETE FROM t END", "+ud"),
        ("", "COMMIT DROP TABLE x", "+ud"),
    ],
    "settings": [
        ("postgres", "SET ROLE admin", "+p-r"),
        ("postgres", "SET SESSION AUTHORIZATION x", "+p-r"),
        ("postgres", "SET search_path = evil", "=u"),
        ("mysql", "SET GLOBAL x = 1", "+p-r"),
        ("mysql", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "=u"),
        ("mysql", "SET NAMES utf8, GLOBAL x = 1", "+p-t"),
        ("", "USE prod", "=u"),
        ("sqlite", "PRAGMA writable_schema = 1", "=u"),
        ("sqlite", "PRAGMA foreign_keys(0)", "=u"),
    ],
    "writes": [
        ("", "INSERT INTO t VALUES (1)", "=w"),
        ("", "UPDATE t SET a = 1 WHERE id = 2", "=w"),
        ("", "UPDATE t SET a = 1 WHERE id IN (1, 2, 3)", "=w"),
        ("", "DELETE FROM t WHERE id = ?", "=w"),
        ("", "DELETE FROM t WHERE a IS NULL AND b = 'x'", "=w"),
        ("", "DELETE FROM t WHERE name LIKE 'test-%'", "=w"),
        ("", "DELETE FROM t WHERE id IN (SELECT tid FROM other)", "=w"),
        ("", "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN UPDATE SET x = 1", "=w"),
        ("", "SELECT * INTO copy_of_t FROM t", "=w"),
        ("", "SELECT * FROM t FOR UPDATE", "=w"),
        ("", "UPDATE t SET a = 1 WHERE id = 1 OR id = 2", "=w"),
        ("", "DELETE FROM t WHERE " + " OR ".join(f"id = {n}" for n in range(1, 99)), "=w"),
        ("postgres", "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", "=w"),
        ("postgres", "DELETE FROM t WHERE made < now() - interval '30 days'", "=w"),
        ("postgres", "UPDATE t SET a = b.a FROM b WHERE t.id = b.id", "=w"),
        ("postgres", "DELETE FROM t WHERE EXISTS (SELECT 1 FROM b WHERE b.id = t.id)", "=w"),
        ("postgres", "SELECT nextval('s')", "=w"),
        ("postgres", "COPY t FROM STDIN", "=w"),
        ("mysql", "REPLACE INTO t VALUES (1)", "=w"),
        ("mysql", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = 2", "=w"),
        ("postgres", "WITH i AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM i", "=w"),
    ],
    "all rows": [
        ("", "DELETE FROM t", "+d-r"),
        ("", "UPDATE t SET a = 1", "+d"),
        ("", "DELETE FROM t -- WHERE id = 1", "+d"),
        ("", "DELETE FROM t /* WHERE id = 1 */", "+d"),
        ("", "DELETE FROM t WHERE 1=1", "+d"),
        ("", "DELETE FROM t WHERE true", "+d"),
        ("", "DELETE FROM t WHERE NOT false", "+d"),
        ("", "DELETE FROM t WHERE id = id", "+d"),
        ("", "DELETE FROM t WHERE id = (id)", "+d"),
        ("", "DELETE FROM t WHERE id = id + 0", "+d"),
        ("", "DELETE FROM t WHERE id = 5 OR 1=1", "+d"),
        ("", "DELETE FROM t WHERE (id = 5) OR ('a' = 'a')", "+d"),
        ("", "DELETE FROM t WHERE id = 5 OR id <> 5", "+d"),
        ("", "DELETE FROM t WHERE id IS NOT NULL", "+d"),
        ("", "DELETE FROM t WHERE id <> -1", "+d"),
        ("", "DELETE FROM t WHERE id > 0", "+d"),
        ("", "DELETE FROM t WHERE 0 < id", "+d"),
        ("", "DELETE FROM t WHERE id < 99999999999", "+d"),
        ("", "DELETE FROM t WHERE name LIKE '%'", "+d"),
        ("", "DELETE FROM t WHERE name LIKE '%_%'", "+d"),
        ("", "DELETE FROM t WHERE id IN (SELECT id FROM t)", "+d"),
        ("", "DELETE FROM t WHERE id IN (id)", "+d"),
        ("", "DELETE FROM t WHERE id BETWEEN -5 AND 99999999999", "+d"),
        ("", "DELETE FROM t WHERE EXISTS (SELECT 1)", "+d"),
        ("", "DELETE FROM t WHERE EXISTS (SELECT 1 FROM b WHERE b.x = 1)", "+d"),
        ("", "DELETE FROM t WHERE coalesce(id, 1) = coalesce(id, 1)", "+d"),
        ("", "DELETE FROM t WHERE CASE WHEN 1=1 THEN true ELSE id = 1 END", "+d"),
        ("", "DELETE FROM t WHERE (id = 'a') = 0", "+d"),
        ("", "UPDATE users SET admin = true WHERE name = 0", "+d"),
        ("", "UPDATE t SET a = 1 WHERE ? = ?", "+d"),
        ("postgres", "DELETE FROM t USING t AS s WHERE t.id = s.id", "+d"),
        ("postgres", "DELETE FROM t USING u WHERE u.x = 5", "+d"),
        ("postgres", "DELETE FROM t WHERE EXISTS (SELECT 1 FROM t s WHERE s.id = t.id)", "+d"),
        ("postgres", "DELETE FROM t WHERE id ~ '.*'", "+d"),
        ("mysql", "DELETE t FROM t JOIN b ON t.id = b.id", "+d"),
        ("mysql", "DELETE b FROM a JOIN b ON 1=1 WHERE a.id = 5", "+d"),
        ("tsql", "UPDATE t SET x = 1 FROM t JOIN b ON t.id = b.id WHERE b.y = 5", "+d"),
        ("", "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", "+d"),
        ("tsql", "MERGE INTO a USING b ON a.id=b.id WHEN NOT MATCHED BY SOURCE THEN DELETE;", "+d"),
        ("spark", "INSERT OVERWRITE TABLE t SELECT 1", "+d"),
    ],
    "definitions": [
        ("", "DROP TABLE x", "=ds"),
        ("", "dRoP/**/TaBlE/**/x CASCADE", "=ds"),
        ("", "TRUNCATE TABLE x", "+d"),
        ("", "SELECT 1; DROP TABLE x", "+d"),
        ("", "SELECT 1;;;\n\nDROP TABLE x;", "+d"),
        ("", "DROP SCHEMA public CASCADE", "+d"),
        ("", "DROP DATABASE prod", "+d"),
        ("", "CREATE TABLE t (id int PRIMARY KEY)", "=s"),
        ("", "CREATE OR REPLACE TABLE t (id int)", "+d"),
        ("", "CREATE OR REPLACE VIEW v AS SELECT 1", "=s"),
        ("", "ALTER TABLE t ADD COLUMN a int", "=s"),
        ("", "ALTER TABLE t DROP COLUMN a", "=ds"),
        ("", "COMMENT ON TABLE t IS 'drop it'", "=s"),
        ("postgres", "CREATE TABLE t (u int REFERENCES users(id) ON DELETE CASCADE)", "=s"),
        ("postgres", "CREATE FUNCTION f() RETURNS int AS $$ DROP TABLE x $$ LANGUAGE sql", "+usd"),
        ("postgres", "CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f()", "+u"),
        ("postgres", "ALTER TABLE t DISABLE ROW LEVEL SECURITY", "+p"),
        ("postgres", "CREATE EXTENSION dblink", "+p"),
        ("postgres", "VACUUM FULL t", "=s"),
        ("postgres", "REINDEX TABLE t", "=s"),
        ("mysql", "RENAME TABLE a TO b", "=s"),
        ("mysql", "ALTER TABLE t DISCARD TABLESPACE", "+d"),
    ],
    "privileges": [
        ("", "GRANT ALL ON t TO u", "+p-r"),
        ("", "REVOKE SELECT ON t FROM u", "+p"),
        ("postgres", "CREATE USER x SUPERUSER", "+p"),
        ("postgres", "ALTER USER x WITH PASSWORD 'y'", "+p"),
        ("postgres", "ALTER TABLE t OWNER TO x", "+p"),
        ("postgres", "ALTER SYSTEM SET x = 1", "+p"),
        ("postgres", "DROP OWNED BY x", "+pd"),
        ("mysql", "KILL 5", "+p"),
        ("mysql", "FLUSH PRIVILEGES", "+p"),
        ("mysql", "SHUTDOWN", "+pd"),
        ("postgres", "SELECT * FROM pg_shadow", "=p"),
        ("mysql", "SELECT * FROM mysql.user", "=p"),
    ],
    "inside": [
        ("postgres", "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "+d-r"),
        ("postgres", "WITH u AS (UPDATE t SET a = 1 RETURNING *) SELECT 1", "+d"),
        ("postgres", "EXPLAIN ANALYZE DELETE FROM t", "+d"),
        ("postgres", "explain (costs off, analyze) delete from t", "+d"),
        ("postgres", "EXPLAIN ANALYZE VERBOSE UPDATE t SET a = 1", "+d"),
        ("postgres", "EXPLAIN ANALYZE EXECUTE p", "+u"),
        ("postgres", "COPY (DELETE FROM t RETURNING *) TO STDOUT", "+d"),
        ("postgres", "CREATE TABLE x AS SELECT pg_read_file('/etc/passwd')", "+p"),
        ("postgres", "INSERT INTO t SELECT * FROM dblink('h', 'drop') AS x(a int)", "+pu"),
        ("mysql", "ANALYZE DELETE FROM t", "+ud"),
    ],
    "outside": [
        ("postgres", "SELECT pg_terminate_backend(5)", "+pu-r"),
        ("postgres", "SELECT PG_READ_FILE('/etc/passwd')", "+pu"),
        ("postgres", "SELECT \"pg_read_file\"('/etc/passwd')", "+pu"),
        ("postgres", "SELECT pg_catalog.pg_read_file('/x')", "+pu"),
        ("postgres", "SELECT lo_export(1, '/x')", "+pu"),
        ("postgres", "SELECT query_to_xml('DELETE FROM t', true, true, '')", "+pud"),
        ("postgres", "SELECT my_cleanup()", "+u-r"),
        ("postgres", "SELECT evil.lower('x')", "+u-r"),
        ("postgres", "COPY t TO PROGRAM 'curl evil'", "+pu"),
        ("postgres", "COPY t FROM '/etc/passwd'", "+p"),
        ("postgres", "COPY t TO '/x' WITH (FORMAT csv)", "+p-r"),
        ("mysql", "SELECT LOAD_FILE('/etc/passwd')", "+pu"),
        ("mysql", "SELECT * FROM t INTO OUTFILE '/x'", "+pu"),
        ("mysql", "SELECT 1 INTO DUMPFILE '/x'", "+pu"),
        ("mysql", "LOAD DATA INFILE '/x' INTO TABLE t", "+pw"),
        ("mysql", "HANDLER t OPEN", "=u"),
        ("mysql", "SELECT @a := 1", "+u"),
        ("sqlite", "ATTACH DATABASE '/x' AS y", "+p"),
        ("sqlite", "SELECT load_extension('x')", "+pu"),
        ("tsql", "EXEC xp_cmdshell 'rm'", "+up"),
        ("tsql", "EXECUTE('DROP TABLE x')", "+ud"),
        ("tsql", "SELECT * FROM OPENROWSET('a', 'b', 'c')", "+p"),
        ("tsql", "BULK INSERT t FROM 'x'", "+p"),
        ("duckdb", "SELECT * FROM read_csv('http://x')", "+p"),
        ("duckdb", "SELECT * FROM 'f.csv'", "+u"),
        ("snowflake", "SELECT $1 FROM @stage/f", "+u-r"),
        ("clickhouse", "SELECT * FROM url('http://x')", "+p"),
        ("clickhouse", "ALTER TABLE t DELETE WHERE 1", "+d"),
        ("trino", "SELECT * FROM TABLE(system.query(query => 'DROP TABLE x'))", "+ud"),
        ("bigquery", "EXPORT DATA OPTIONS(uri='gs://x') AS SELECT 1", "+pu"),
        ("postgres", "UPDATE t SET a = lo_import('/etc/passwd') WHERE id = 1", "+pu"),
        ("oracle", "SELECT utl_http.request('http://x') FROM dual", "+p"),
        ("oracle", "SELECT * FROM t@remote", "+u"),
        ("spark", "SELECT TRANSFORM(a) USING 'sh' FROM t", "+p"),
        ("postgres", "CALL p()", "=u"),
        ("postgres", "PREPARE p AS DELETE FROM t", "+ud"),
        ("postgres", "DO $$ BEGIN DROP TABLE x; END $$", "+ud"),
    ],
    "readers that differ": [
        ("", "SELECT 'a\\'; DROP TABLE x; --'", "+d"),
        ("", "SELECT 'a\\''; DROP TABLE x; -- '", "+ud"),
        ("", "SELECT 1 /*!50000 ; DROP TABLE x */", "+ud"),
        ("mysql", "SELECT 1 /*!50000 ; DROP TABLE x */", "+d"),
        ("mysql", "SELECT 1 /*!; DROP TABLE x */; SELECT 2", "+d"),
        ("mysql", "DELETE FROM t /*! WHERE id = 1 */", "=w"),
        ("postgres", "SELECT 1 /* /* */ ; DROP TABLE x */", "=r"),
        ("mysql", "SELECT 1 /* /* */ ; DROP TABLE x ; -- */", "+d"),
        ("", "SELECT 1 /* /* */ ; DROP TABLE x -- */", "+ud"),
        ("", "{# DROP TABLE x #} SELECT 1", "+ud"),
        ("", "SELECT 1 # ; DROP TABLE x", "+u"),
        ("", "SELECT $$ ; DROP TABLE x; $$", "+d"),
        ("", "SELECT 1 --\rDROP TABLE x", "+ud"),
        ("snowflake", "SELECT 1 // ; DROP TABLE x", "+d"),
        ("mysql", "SELECT 1--1; DROP TABLE x", "+d"),
        ("tsql", "SELECT 1 SHUTDOWN", "+u-r"),
        ("tsql", "SELECT 1 DROP TABLE x", "+ud"),
        ("tsql", "SELECT * FROM t EXEC xp_cmdshell 'x'", "+u"),
        ("tsql", "SELECT 1\nGO\nDROP TABLE x", "+ud"),
        ("tsql", "IF 1=1 DROP TABLE x", "+ud"),
        ("tsql", "SELECT [a'; DROP TABLE x; --] FROM t", "=r"),
        ("", "SELECT [a'; DROP TABLE x; --] FROM t", "+ud"),
        ("oracle", "SELECT q'[it's; drop table x]' FROM dual", "=r"),
        ("", "SELECT q'[it's]'; DROP TABLE x; --'", "+ud"),
        ("", "\uff24\uff32\uff2f\uff30 TABLE x", "+ud"),
        ("", "SEL\u200bECT 1; DR\u200bOP TABLE x", "+ud"),
        ("", "SELECT 1\u2028; DROP TABLE x", "+ud"),
        ("", "SELECT 1\0; DROP TABLE x", "+ud"),
        ("postgres", "\\! rm -rf /", "+ud"),
        ("postgres", "\\copy t from 'x'", "+u"),
        ("postgres", "SELECT 'drop table x' \\gexec", "+ud"),
        ("mysql", "system rm -rf /", "+ud"),
        ("mysql", "DELIMITER //\nDROP TABLE x//", "+ud"),
        ("klingon", "SELECT 1", "+u"),
        ("../etc", "DROP TABLE x", "+ud"),
    ],
    "not sql": [
        ("", "", "=u"),
        ("", "-- nothing", "=u"),
        ("", ";;;", "=u"),
        ("", "hello world", "=u"),
        ("", "please drop all tables", "=ud"),
        ("", "SELECT FROM WHERE", "+u"),
        ("", "SELECT (1", "+u"),
        ("", "SELECT 'unterminated", "+u"),
        ("", '"x" DELETE FROM t', "+ud"),
        ("", "12345", "=u"),
    ],
}


@pytest.mark.parametrize(
    ("dialect", "text", "wanted"),
    [case for cases in CASES.values() for case in cases],
    ids=[f"{theme}-{at}" for theme, cases in CASES.items() for at in range(len(cases))],
)
def test_case(dialect: str, text: str, wanted: str) -> None:
    found = classes_in(text, dialect)
    exact = wanted.startswith("=")
    some, _, none = wanted[1:].partition("-")
    assert found >= {LETTERS[letter] for letter in some}, found
    assert not exact or found == {LETTERS[letter] for letter in some}, found
    assert not found & {LETTERS[letter] for letter in none}, found


@pytest.mark.parametrize(
    ("dialect", "text", "wanted"),
    [
        ("", "SELECT * FROM S.Users JOIN orders o ON o.id = Users.id", {"s.users", "orders"}),
        ("", 'SELECT * FROM "Users"', {"users"}),
        ("postgres", "WITH d AS (SELECT * FROM t) SELECT * FROM d", {"t"}),
        ("postgres", "WITH users AS (SELECT * FROM users) SELECT * FROM users", {"users"}),
        ("postgres", "SELECT * FROM (WITH u AS (SELECT 1) SELECT * FROM u) x, u", {"u"}),
        ("postgres", "WITH t AS (SELECT 1) DELETE FROM t WHERE id = 1", {"t"}),
        ("postgres", "DROP TABLE a, b.c", {"a", "b.c"}),
        ("postgres", 'SELECT * FROM "a.b".c', {'"a.b".c'}),
        ("tsql", "SELECT * FROM [srv].[db].[dbo].[t]", {"srv.db.dbo.t"}),
        ("mysql", "REPLACE INTO `t` VALUES (1)", {"t"}),
        ("postgres", "COPY t (a) FROM STDIN", {"t"}),
        ("postgres", 'LOCK TABLE "Payroll" IN EXCLUSIVE MODE', {"payroll", "exclusive", "mode"}),
    ],
)
def test_tables(dialect: str, text: str, wanted: set[str]) -> None:
    assert tables(text, dialect) == wanted


def test_a_where_clause_is_reported_even_when_it_narrows_nothing() -> None:
    found = statements_in("DELETE FROM t WHERE 1=1; DELETE FROM u")
    assert [one.has_where for one in found] == [True, False]


def test_statements_keep_their_order_and_kind() -> None:
    found = statements_in("SELECT 1; INSERT INTO t VALUES (1); DROP TABLE t", dialect="postgres")
    assert [one.statement for one in found] == ["select", "insert", "drop"]


def test_too_long_or_too_many() -> None:
    assert classes_in("SELECT 1" + " " * TEXT_BYTES_MAX) == {SqlClass.UNKNOWN}
    text = ";".join(f"SELECT * FROM t{n}" for n in range(200)) + "; DROP TABLE x"
    found = statements_in(text)
    assert len(found) <= STATEMENTS_MAX
    assert {SqlClass.UNKNOWN, SqlClass.DESTRUCTIVE} <= classes_in(text)


@pytest.mark.parametrize("dialect", ["", "postgres", "mysql"])
@pytest.mark.parametrize(
    "piece",
    ["(", "'", "/*", "--", "$$", "[a]", "a.", "1+", "lateral ", "join b on 1=1 ", "on 1=1 ", "f(",
     "case when ", "and a=1 ", "exists(select 1 from a) and ", ";", "x'", "\\", "\0", "\ud800"],
)  # fmt: skip
def test_hostile_text_returns(piece: str, dialect: str) -> None:
    for start in ("", "SELECT ", "SELECT * FROM t WHERE a = 1 ", "CREATE TABLE t "):
        assert statements_in((start + piece * 30_000)[:30_000], dialect=dialect)


SOUP = """
    select from where delete update insert into drop table truncate t x a b , ; ( ) = 1 'x' "y" `z`
    -- /* */ /*! # $$ ' " [ ] \\ with as union explain analyze set copy to values or and not in
    exists
    create grant on begin commit merge using when matched then do $1 ? :: . * null true
"""
DIALECTS = st.sampled_from(["", "postgres", "mysql", "tsql", "sqlite", "oracle", "snowflake", "no"])


@given(st.text(max_size=200), DIALECTS)
@settings(deadline=None, max_examples=150)
def test_any_text_gives_an_answer(text: str, dialect: str) -> None:
    found = statements_in(text, dialect=dialect)
    assert found
    assert all(one.classes for one in found)


@given(st.lists(st.sampled_from([*SOUP.split(), "\n"]), max_size=16), DIALECTS)
@settings(deadline=None, max_examples=400)
def test_any_soup_gives_an_answer(tokens: list[str], dialect: str) -> None:
    found = statements_in(" ".join(tokens), dialect=dialect)
    assert found
    assert len(set(found)) == len(found)
    for one in found:
        assert one.classes == {SqlClass.READ} or SqlClass.READ not in one.classes


LOSSES = ["DROP TABLE x", "TRUNCATE TABLE x", "DELETE FROM x", "UPDATE x SET a = 1"]
JUNK = st.sampled_from(
    ["'", '"', "`", "--", "/*", "*/", "/*!", "#", "$$", "\\", ";", "(", ")", "[", "]", "\n", "\0",
     "\u200b", "{#", "#}", "''", "E'", "q'[", "x", " ", "{{", "//", "%"]
)  # fmt: skip
BAD = {SqlClass.DESTRUCTIVE, SqlClass.UNKNOWN}


@given(st.sampled_from(LOSSES), st.integers(0, 20), JUNK, DIALECTS)
@settings(deadline=None, max_examples=600)
def test_junk_in_a_destructive_text_does_not_make_it_safe(
    loss: str, place: int, junk: str, dialect: str
) -> None:
    text = loss[:place] + junk + loss[place:]
    assert classes_in(text, dialect) & BAD, text


@given(st.sampled_from(LOSSES), st.lists(JUNK, max_size=4), st.lists(JUNK, max_size=3))
@settings(deadline=None, max_examples=600)
def test_nothing_before_a_statement_hides_it_from_a_reader_of_all_dialects(
    loss: str, before: list[str], after: list[str]
) -> None:
    """Unless every database agrees that it stands in a string or a comment."""
    text = f"SELECT 1 {''.join(before)}; {loss} ; {''.join(after)}"
    found = classes_in(text)
    quoted = any(mark in text for mark in ("'", '"', "`", "--", "/*", "[", "$$"))
    assert found & BAD or quoted, text


CASINGS = st.lists(st.booleans(), min_size=30, max_size=30)


@given(st.sampled_from(LOSSES), CASINGS, st.sampled_from(["/**/", "\n", "\t", " -- c\n", "/*;*/ "]))
@settings(deadline=None, max_examples=200)
def test_case_and_gaps_do_not_help(loss: str, casing: list[bool], gap: str) -> None:
    text = "".join(c.upper() if up else c.lower() for c, up in zip(loss, casing, strict=False))
    found = classes_in(gap.join(text.split(" ")), "postgres")
    assert SqlClass.DESTRUCTIVE in found


WRAPS = [
    "WITH c AS (SELECT 1) SELECT * FROM c; {}",
    "EXPLAIN ANALYZE {}",
    "BEGIN; {}; COMMIT",
    "DO $$ BEGIN {}; END $$",
    "PREPARE p AS {}",
    "SELECT query_to_xml('{}', true, true, '')",
    "CREATE FUNCTION f() RETURNS void AS $x$ {} $x$ LANGUAGE sql",
    "EXECUTE '{}'",
    "SELECT dblink_exec('h', '{}')",
    "/* x */ {} -- y",
]


@given(st.sampled_from(LOSSES), st.lists(st.sampled_from(WRAPS), min_size=1, max_size=2))
@settings(deadline=None, max_examples=200)
def test_wrapping_does_not_make_it_safe(loss: str, wraps: list[str]) -> None:
    text = loss
    for wrap in wraps:
        text = wrap.format(text)
    assert classes_in(text, "postgres") & BAD, text
