"""Each row of the catalogue by itself; which of them fits is test_batch's concern."""

from __future__ import annotations

import pytest

from advisor.propose.batch_forms import (
    aggregate_form,
    any_form,
    below_from,
    can_group,
    can_use_any,
    constant_targets,
    exists_form,
    join_form,
    lateral_form,
)
from advisor.propose.batch_keys import Built, Keys
from advisor.propose.child import Child, ParameterType, ServerFacts, read_child
from advisor.propose.sqltree import deparse

INT = ParameterType(23, "integer", identity=True)
NUMERIC = ParameterType(1700, "numeric", identity=False)
FACTS = ServerFacts((INT, INT), frozenset({"count", "sum", "array_agg"}))


def child(query: str, facts: ServerFacts = FACTS) -> tuple[Child, Keys]:
    read = read_child(query, (("1", "5"), ("2", "5")), facts)
    return read, Keys(read, facts)


def sql(built: Built) -> str:
    return deparse(built.select)


KEYS = "unnest(CAST($1 AS integer[])) AS k (key)"


@pytest.mark.parametrize(
    ("query", "constant"),
    [
        ("SELECT 1 FROM t WHERE a = $1", True),
        ("SELECT 1::int AS one, $2 FROM t WHERE a = $1", True),
        ("SELECT $1 FROM t WHERE a = $1", False),  # the key itself is no constant
        ("SELECT id FROM t WHERE a = $1", False),
        ("SELECT 1 WHERE 2 = $1", False),  # asks nothing of a table
    ],
)
def test_constant_targets(query: str, constant: bool) -> None:
    assert constant_targets(child(query)[0]) is constant


def test_exists_drops_order_and_limit_of_the_inner_statement() -> None:
    built = exists_form(*child("SELECT 1 FROM t WHERE a = $1 AND b = $2 ORDER BY id LIMIT 1"))
    assert sql(built) == (
        f"SELECT k.key AS a, EXISTS (SELECT 1 FROM t WHERE a = k.key AND b = $2) AS found FROM {KEYS}"
    )
    assert (built.presence, built.leading_keys) == (True, 1)


@pytest.mark.parametrize(
    ("query", "facts", "can"),
    [
        ("SELECT count(*) FROM t WHERE a = $1", FACTS, True),
        ("SELECT count(*) FROM t, u WHERE a = $1", FACTS, False),
        ("SELECT count(*) FROM t WHERE a > $1", FACTS, False),
        ("SELECT count(*), (SELECT 1) FROM t WHERE a = $1", FACTS, False),
        ("SELECT count(*) FROM t WHERE a = $1", ServerFacts((NUMERIC,), frozenset({"count"})), False),
    ],
)
def test_what_can_be_grouped(query: str, facts: ServerFacts, can: bool) -> None:
    assert can_group(*child(query, facts)) is can


def test_aggregates_do_not_count_the_row_that_the_left_join_makes() -> None:
    built = aggregate_form(
        *child("SELECT count(*), sum(b), array_agg(b), count(b + 1) FROM t WHERE a = $1"), FACTS
    )
    assert sql(built) == (
        "SELECT k.key AS a, count(a), sum(b), array_agg(b) FILTER (WHERE a IS NOT NULL), "
        "count(b + 1) FILTER (WHERE a IS NOT NULL) "
        f"FROM {KEYS} LEFT JOIN t ON a = k.key GROUP BY k.key"
    )


def test_a_filter_that_is_there_stays() -> None:
    built = aggregate_form(*child("SELECT array_agg(b) FILTER (WHERE b > 3) FROM t WHERE a = $1"), FACTS)
    assert "FILTER (WHERE b > 3 AND a IS NOT NULL)" in sql(built)


def test_other_conditions_belong_to_the_join() -> None:
    built = aggregate_form(*child("SELECT count(*) FROM t WHERE a = $1 AND b = $2"), FACTS)
    assert "LEFT JOIN t ON a = k.key AND b = $2 GROUP BY" in sql(built)


def test_any_needs_one_key_whose_text_is_its_value() -> None:
    assert can_use_any(*child("SELECT id FROM t WHERE a = $1"))
    assert can_use_any(*child("SELECT id FROM t WHERE a = $1::int4"))
    assert not can_use_any(*child("SELECT id FROM t WHERE a = $1::text"))
    assert not can_use_any(*child("SELECT id FROM t WHERE a > $1"))
    assert not can_use_any(*child("SELECT id FROM t WHERE a = $1", ServerFacts((NUMERIC,))))


@pytest.mark.parametrize(
    ("query", "head", "lead", "key"),
    [
        ("SELECT id FROM t WHERE a = $1", "SELECT a, id FROM", 1, ""),
        ("SELECT id, a FROM t WHERE a = $1", "SELECT id, a FROM", 0, "a"),
        ("SELECT * FROM t WHERE a = $1", "SELECT * FROM", 0, "a"),
        ("SELECT * FROM t JOIN u ON true WHERE a = $1", "SELECT a AS a_key, * FROM", 1, ""),
        ("SELECT b AS a FROM t WHERE a = $1", "SELECT a AS a_key, b AS a FROM", 1, ""),
        ("SELECT a, b AS a FROM t WHERE a = $1", "SELECT a AS a_key, a, b AS a FROM", 1, ""),
    ],
)
def test_any_brings_the_key_into_the_result_where_it_is_not(
    query: str, head: str, lead: int, key: str
) -> None:
    built = any_form(*child(query), ())
    assert sql(built).startswith(head)
    assert sql(built).endswith("WHERE a = ANY(CAST($1 AS integer[]))")
    assert (built.leading_keys, built.key_result) == (lead, key)


def test_ordinals_move_with_the_columns_in_front() -> None:
    assert sql(any_form(*child("SELECT id, b FROM t WHERE a = $1 ORDER BY 2"), ())).endswith("ORDER BY 3")


def test_join_leaves_the_keys_out_of_a_star() -> None:
    built = join_form(*child("SELECT * FROM t AS x WHERE a = $1 AND b = $2"), ())
    assert sql(built) == f"SELECT k.key AS a, x.* FROM t AS x INNER JOIN {KEYS} ON a = k.key WHERE b = $2"
    assert not built.null_keys


def test_join_of_what_is_no_equality_takes_null_keys_too() -> None:
    built = join_form(*child("SELECT id FROM t WHERE a > $1"), ())
    assert sql(built) == f"SELECT k.key AS key, id FROM t, {KEYS} WHERE a > k.key"
    assert built.null_keys


def test_a_star_over_several_tables_becomes_lateral() -> None:
    assert join_form(*child("SELECT * FROM t JOIN u ON true WHERE a = $1"), ()).shape == "lateral"


def test_below_from() -> None:
    assert below_from(child("SELECT * FROM generate_series(1, $1) AS g")[0])
    assert not below_from(child("SELECT id FROM t WHERE a = $1")[0])


def test_lateral_runs_the_statement_for_each_key_and_repeats_its_order() -> None:
    built = lateral_form(*child("SELECT id, b FROM t WHERE a = $1 ORDER BY b DESC LIMIT 3"), ())
    assert sql(built) == (
        "SELECT k.key AS a, r.* FROM unnest(CAST($1 AS integer[])) WITH ORDINALITY AS k (key, ord) "
        "CROSS JOIN LATERAL (SELECT id, b FROM t WHERE a = k.key ORDER BY b DESC LIMIT 3) AS r "
        "ORDER BY k.ord, r.b DESC"
    )
    assert built.keeps_limit
    assert built.notes == ()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM t WHERE a = $1 ORDER BY b LIMIT 3",
        "SELECT b, c AS b FROM t WHERE a = $1 ORDER BY c LIMIT 3",
        "SELECT *, 1 FROM t WHERE a = $1 ORDER BY b LIMIT 3",
    ],
)
def test_lateral_says_where_the_order_cannot_be_repeated(query: str) -> None:
    built = lateral_form(*child(query), ("first",))
    assert sql(built).endswith("AS r ORDER BY k.ord")
    assert built.notes[0] == "first"
    assert "sort them again" in built.notes[1]
