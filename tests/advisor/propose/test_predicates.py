"""What one condition says about the tables that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pglast import parse_sql

from advisor.model import IndexKey
from advisor.propose.names import ROW_COMPARISON, Source, TableRef
from advisor.propose.predicates import read_predicate

Read = Callable[[str], tuple[TableRef, TableRef]]


@pytest.fixture
def read(make_source: Callable[..., tuple[TableRef, Source]]) -> Read:
    """Call it with a conjunct: tables t (a, b, c) and u (d) after it was read."""

    def call(condition: str) -> tuple[TableRef, TableRef]:
        (t, t_source), (u, u_source) = make_source("t", "a", "b", "c"), make_source("u", "d")
        statement: Any = parse_sql(f"SELECT 1 WHERE {condition}")[0].stmt
        read_predicate(statement.whereClause, ([t_source, u_source],))
        return t, u

    return call


@pytest.mark.parametrize(
    ("condition", "equality", "ranges"),
    [
        ("a = 1", {"a"}, set()),
        ("1 = a", {"a"}, set()),
        ("a <= 1", set(), {"a"}),
        ("1 > a", set(), {"a"}),
        ("a <> 1", set(), set()),
        ("a = b", set(), set()),
        ("a = b + 1", set(), set()),
        ("a + 1 = 2", set(), set()),
        ("a IN (1, 2)", {"a"}, set()),
        ("(a, b) IN ((1, 2))", {"a", "b"}, set()),
        ("a = ANY (ARRAY[1])", {"a"}, set()),
        ("a < ANY (ARRAY[1])", set(), set()),
        ("a BETWEEN SYMMETRIC 2 AND 1", set(), {"a"}),
        ("a NOT BETWEEN 1 AND 2", set(), set()),
        ("a IS NULL", {"a"}, set()),
        ("a IS NOT NULL", set(), set()),
        ("a IS FALSE", {"a"}, set()),
        ("a IS UNKNOWN", set(), set()),
        ("a", {"a"}, set()),
        ("NOT a", {"a"}, set()),
        ("NOT a = 1", set(), set()),
        ("a LIKE 'x%'", set(), set()),
        ("(a, b) = (1, 2)", {"a", "b"}, set()),
        ("(a, b) <> (1, 2)", set(), set()),
    ],
)
def test_conditions(read: Read, condition: str, equality: set[str], ranges: set[str]) -> None:
    ref, other = read(condition)
    assert (ref.equality, ref.ranges) == (equality, ranges)
    assert not other.touched


def test_a_column_of_another_table_makes_it_a_join_of_both(read: Read) -> None:
    ref, other = read("a = d")
    assert ref.joins == {id(other): {"a"}}
    assert other.joins == {id(ref): {"d"}}
    assert not ref.equality


def test_an_expression_over_another_table_joins_one_side_only(read: Read) -> None:
    ref, other = read("a = d + 1")
    assert ref.joins == {id(other): {"a"}}
    assert not other.joins


def test_a_comparison_of_rows_is_an_order(read: Read) -> None:
    ref, _ = read("(a, b) > (1, 2)")
    assert ref.ranges == {"a"}
    assert ref.order == (IndexKey(column="a"), IndexKey(column="b"))
    assert ref.order_from == ROW_COMPARISON


@pytest.mark.parametrize("condition", ["(a, d) > (1, 2)", "(a, b + 1) > (1, 2)"])
def test_rows_over_two_tables_or_of_expressions_are_no_order(read: Read, condition: str) -> None:
    assert not any(ref.order or ref.touched for ref in read(condition))


def test_or_over_columns_has_arms_equalities_first(read: Read) -> None:
    ref, _ = read("(b = 1 AND a > 2 AND c > 3) OR c = 4")
    assert ref.arms == (("b", "a"), ("c",))
    assert not ref.equality


def test_or_on_one_column_is_a_list(read: Read) -> None:
    ref, _ = read("a = 1 OR a IN (2, 3)")
    assert (ref.equality, ref.arms) == ({"a"}, ())


def test_or_of_ranges_on_one_column_is_nothing(read: Read) -> None:
    assert not read("a < 1 OR a > 9")[0].touched


@pytest.mark.parametrize(
    "condition",
    ["a = 1 OR d = 2", "a = 1 OR lower(b) = 'x'", "a = 1 OR EXISTS (SELECT 1)", "a = 1 OR b = d"],
)
def test_or_with_an_arm_that_no_index_of_the_table_serves_leaves_no_trace(read: Read, condition: str) -> None:
    assert not any(ref.touched for ref in read(condition))


def test_what_all_arms_demand_holds_for_the_whole(read: Read) -> None:
    ref, _ = read("(a = 1 AND b = 2) OR (b = 3 AND a = 1)")
    assert "a" in ref.equality
