from __future__ import annotations

import pytest

from workload.detect.predicates import Predicate, Relation, shape_of

T, U = Relation("", "t"), Relation("", "u")


@pytest.mark.parametrize(
    ("text", "predicates"),
    [
        ("SELECT * FROM t WHERE a = $1", [Predicate(1, T, "a", "=")]),
        ("SELECT * FROM t WHERE $1::INTEGER = t.a", [Predicate(1, T, "a", "=")]),
        ("SELECT * FROM t x WHERE x.a::text = $1", [Predicate(1, T, "a", "=")]),
        ('SELECT * FROM "S"."T" WHERE "S"."T"."A" = $1', [Predicate(1, Relation("S", "T"), "A", "=")]),
        (
            "SELECT * FROM t WHERE a IN ($1, $2) AND b = ANY($3::int[])",
            [Predicate(1, T, "a", "in"), Predicate(2, T, "a", "in"), Predicate(3, T, "b", "any")],
        ),
        (
            "SELECT * FROM t WHERE (a, b) = ($1, $2)",
            [Predicate(1, T, "a", "="), Predicate(2, T, "b", "=")],
        ),
        (
            "SELECT * FROM t WHERE a BETWEEN $1 AND $2 AND b > $3",
            [Predicate(1, T, "a", "range"), Predicate(2, T, "a", "range"), Predicate(3, T, "b", "range")],
        ),
        ("SELECT * FROM t WHERE a NOT IN ($1) AND b <> $2 AND lower(c) = $3", []),
        ("SELECT * FROM t, u WHERE a = $1", [Predicate(1, None, "a", "=")]),
        ("SELECT * FROM t JOIN u ON u.t = t.id AND u.x = $1", [Predicate(1, U, "x", "=")]),
        (
            "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t = t.id AND x = $1 AND t.y = $2)",
            [Predicate(1, U, "x", "="), Predicate(2, T, "y", "=")],
        ),
        ("WITH k AS (SELECT 1 AS a) SELECT * FROM k WHERE k.a = $1", [Predicate(1, None, "a", "=")]),
        ("SELECT * FROM (SELECT id FROM t) s WHERE s.id = $1", [Predicate(1, None, "id", "=")]),
        ("DELETE FROM t WHERE a = $1", [Predicate(1, T, "a", "=")]),
        ("UPDATE t SET a = $1 WHERE b = $2", [Predicate(1, T, "a", "set"), Predicate(2, T, "b", "=")]),
        (
            "INSERT INTO t (a, b) VALUES ($1, now()), ($2, $3::text)",
            [Predicate(1, T, "a", "value"), Predicate(2, T, "a", "value"), Predicate(3, T, "b", "value")],
        ),
    ],
)
def test_each_parameter_meets_its_column(text: str, predicates: list[Predicate]) -> None:
    assert sorted(shape_of(text).predicates, key=lambda p: p.param) == predicates


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("SELECT count(*) FROM t", {"aggregate"}),
        ("SELECT coalesce(sum(a), 0), max(b) FROM t WHERE c = $1", {"aggregate"}),
        ("SELECT a, count(*) FROM t GROUP BY a", {"grouped"}),
        ("SELECT count(*) OVER () FROM t", set()),
        ("SELECT EXISTS (SELECT 1 FROM t)", {"exists"}),
        ('SELECT $1 AS "a" FROM t WHERE b = $2 LIMIT $3', {"exists", "limited"}),
        ("SELECT 1 FROM t", set()),
        ("SELECT * FROM t ORDER BY a LIMIT 5 OFFSET 10", {"ordered", "limited", "offset"}),
        ("SELECT * FROM t FOR UPDATE", {"locks"}),
        ("SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED", {"locks", "skips_locked"}),
    ],
)
def test_the_shape_around_them(text: str, flags: set[str]) -> None:
    shape = shape_of(text)
    names = ("aggregate", "exists", "ordered", "limited", "offset", "grouped", "locks", "skips_locked")
    assert {name for name in names if getattr(shape, name)} == flags


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT 1", "select"),
        ("INSERT INTO t DEFAULT VALUES", "insert"),
        ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE", "merge"),
        ("CREATE TABLE x (a int)", "ddl"),
        ("ALTER TABLE x ADD b int", "ddl"),
        ("DROP INDEX x", "ddl"),
        ("CREATE INDEX ON t (a)", "ddl"),
        ("BEGIN", "utility"),
        ("SET x = 1", "utility"),
        ("no SQL", "unknown"),
        ("SELECT 1; SELECT 2", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_kind_of_statement(text: str, kind: str) -> None:
    assert shape_of(text).kind == kind


def test_limit_parameters_and_rows_of_an_insert() -> None:
    assert shape_of("SELECT * FROM t LIMIT $1 OFFSET $2").limit_params == {1, 2}
    assert shape_of("INSERT INTO t VALUES (1), (2), (3)").value_rows == 3
    assert shape_of("INSERT INTO t SELECT * FROM u").value_rows == 0


def test_system_catalogs_are_nobodys_tables() -> None:
    assert not shape_of("SELECT * FROM pg_class JOIN pg_catalog.pg_type ON true").reads_user_tables
    assert shape_of("SELECT * FROM pg_class JOIN t ON true").reads_user_tables
    assert shape_of('SELECT * FROM app."pg_like"').reads_user_tables
