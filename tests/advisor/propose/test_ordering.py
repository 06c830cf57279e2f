"""The order that a query level asks its table for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pglast import parse_sql

from advisor.model import IndexKey
from advisor.propose.names import ROW_COMPARISON, Source, TableRef, bind
from advisor.propose.ordering import read_order

Read = Callable[[str], None]


@pytest.fixture
def sources(make_source: Callable[..., tuple[TableRef, Source]]) -> list[tuple[TableRef, Source]]:
    return [make_source("t", "a", "b", "c"), make_source("u", "d")]


@pytest.fixture
def refs(sources: list[tuple[TableRef, Source]]) -> list[TableRef]:
    """Tables t (a, b, c) and u (d)."""
    return [ref for ref, _ in sources]


@pytest.fixture
def read(sources: list[tuple[TableRef, Source]]) -> Read:
    """Call it with a SELECT: its order is read into ``refs``."""

    def call(text: str) -> None:
        scopes = ([source for _, source in sources],)
        statement: Any = parse_sql(text)[0].stmt
        targets = [target.val for target in statement.targetList]
        outputs = {}
        for target in statement.targetList:
            value: Any = target.val
            name = target.name or (bound[-1].sval if (bound := getattr(value, "fields", None)) else "")
            outputs[name] = bind(value, scopes)
        read_order(statement, targets, outputs, scopes)

    return call


@pytest.mark.parametrize(
    ("text", "columns", "origin"),
    [
        ("SELECT a FROM t ORDER BY b, a", ("b", "a"), "ORDER BY"),
        ("SELECT c, a FROM t ORDER BY 2", ("a",), "ORDER BY"),
        ("SELECT c, a FROM t ORDER BY 3", (), ""),
        ("SELECT b AS a FROM t ORDER BY a", ("b",), "ORDER BY"),
        ("SELECT a FROM t ORDER BY a, b, a", ("a", "b"), "ORDER BY"),
        ("SELECT a FROM t ORDER BY lower(b), a", (), ""),
        ("SELECT a FROM t ORDER BY a, lower(b), c", ("a",), "ORDER BY"),
        ("SELECT b, count(*) FROM t GROUP BY b", ("b",), "GROUP BY"),
        ("SELECT b, count(*) FROM t GROUP BY 1", ("b",), "GROUP BY"),
        ("SELECT b AS n, count(*) FROM t GROUP BY n", ("b",), "GROUP BY"),
        # An input column comes before an output name in GROUP BY, and after it in ORDER BY.
        ("SELECT b AS a, count(*) FROM t GROUP BY a", ("a",), "GROUP BY"),
        ("SELECT b, count(*) FROM t GROUP BY b ORDER BY c", ("c",), "ORDER BY"),
        ("SELECT DISTINCT ON (b) a FROM t", ("b",), "DISTINCT ON"),
        ("SELECT DISTINCT ON (b) a FROM t ORDER BY b, c", ("b", "c"), "ORDER BY"),
        ("SELECT DISTINCT a FROM t", (), ""),
        ("SELECT max(b) FROM t", ("b",), "max()"),
        ("SELECT min(b) FROM t GROUP BY a", ("a",), "GROUP BY"),
        ("SELECT max(b), a FROM t", (), ""),
        ("SELECT sum(b) FROM t", (), ""),
    ],
)
def test_orders(read: Read, refs: list[TableRef], text: str, columns: tuple[str, ...], origin: str) -> None:
    read(text)
    assert tuple(key.column for key in refs[0].order) == columns
    assert refs[0].order_from == origin


def test_an_order_over_two_tables_helps_the_first_with_its_part(read: Read, refs: list[TableRef]) -> None:
    read("SELECT 1 FROM t, u ORDER BY a, d, b")
    assert refs[0].order == (IndexKey(column="a"),)
    assert refs[1].order == ()


def test_directions(read: Read, refs: list[TableRef]) -> None:
    read("SELECT 1 FROM t ORDER BY a DESC, b NULLS FIRST, c DESC NULLS FIRST")
    assert refs[0].order == (
        IndexKey(column="a", descending=True),
        IndexKey(column="b", nulls_first=True),
        IndexKey(column="c", descending=True),  # NULLS FIRST is the default of DESC
    )


def test_a_sort_replaces_the_order_of_a_comparison_and_nothing_else(read: Read, refs: list[TableRef]) -> None:
    refs[0].order, refs[0].order_from = (IndexKey(column="c"),), ROW_COMPARISON
    read("SELECT a FROM t ORDER BY a")
    assert refs[0].order == (IndexKey(column="a"),)
    read("SELECT b FROM t ORDER BY b")
    assert refs[0].order == (IndexKey(column="a"),)
