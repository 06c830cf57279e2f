"""Statements read, changed and written as trees."""

from __future__ import annotations

import pytest
from pglast.enums import BoolExprType

from advisor.propose import sqltree
from advisor.propose.sqltree import UnsupportedStatementError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("UPDATE t SET x = 1", "something else"),
        ("SELEC 1", "parser rejects"),
    ],
)
def test_only_one_select(text: str, reason: str) -> None:
    with pytest.raises(UnsupportedStatementError, match=reason):
        sqltree.parse_select(text)


@pytest.mark.parametrize(
    "text",
    [
        'SELECT "T"."a b", count(*) FILTER (WHERE x > $1) FROM "T" GROUP BY 1 HAVING count(*) > 2',
        "WITH RECURSIVE w AS (SELECT 1 UNION ALL SELECT n + 1 FROM w) SELECT * FROM w LIMIT $1",
        "SELECT a[1:2], (b).c, x::numeric(10,2), E'it''s \\\\' FROM t WHERE NOT (a OR b) AND c IS NULL",
        "SELECT DISTINCT ON (a) a, rank() OVER (PARTITION BY b ORDER BY c DESC NULLS LAST) FROM t, f(t.x)",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END, ROW(1, 2), ARRAY[1, $2] FROM s.t TABLESAMPLE system (1)",
    ],
)
def test_deparse_reads_back(text: str) -> None:
    tree = sqltree.parse_select(text)
    for pretty in (False, True):
        assert sqltree.parse_select(sqltree.deparse(tree, pretty=pretty)) == tree


def test_deparse_refuses_a_tree_that_reads_back_as_another() -> None:
    tree = sqltree.parse_select("SELECT x FROM t")
    # Not a tree that the grammar makes: an AND of one term is written as the term.
    tree.whereClause = sqltree.ast.BoolExpr(boolop=BoolExprType.AND_EXPR, args=(sqltree.column("a"),))
    with pytest.raises(UnsupportedStatementError, match="read back"):
        sqltree.deparse(tree)


def test_replace_renumber_and_names() -> None:
    tree = sqltree.parse_select("SELECT f($3), x FROM t k WHERE a = $1 AND b IN ($3)")
    assert sqltree.parameters(tree) == [3, 1, 3]
    sqltree.renumber(tree, (3, 1))
    assert sqltree.deparse(tree) == "SELECT f($1), x FROM t AS k WHERE a = $2 AND b IN ($1)"
    assert {"f", "x", "t", "k", "a", "b"} <= sqltree.identifiers(tree)
    taken = {"k", "k2"}
    assert sqltree.fresh_name("k", taken) == "k3"
    assert "k3" in taken


def test_conjuncts_stop_at_or() -> None:
    tree = sqltree.parse_select("SELECT FROM t WHERE a AND (b AND c) AND (d OR e)")
    terms = sqltree.conjuncts(tree.whereClause)
    assert len(terms) == 4
    assert sqltree.conjunction([]) is None
    assert sqltree.conjunction(terms[:1]) is terms[0]


def test_functions_and_operators() -> None:
    tree = sqltree.parse_select(
        "SELECT pg_catalog.lower(a), s.f(b) FROM t WHERE a ~~ 'x' AND b = ANY (SELECT 1)"
    )
    assert sqltree.functions(tree) == {"lower", "s.f"}
    assert sqltree.operators(tree) >= {"~~"}


def test_type_names() -> None:
    def same(one: str, other: str) -> bool:
        return sqltree.same_type(sqltree.type_name(one), sqltree.type_name(other))

    assert same("integer", "int4")
    assert same("character varying", "pg_catalog.varchar")
    assert not same("bpchar", "character")
    assert not same("integer", "integer[]")
    assert not same("app.mood", "mood")
    assert not same("numeric(10, 2)", "numeric")
    with pytest.raises(UnsupportedStatementError, match="is not a type"):
        sqltree.type_name("integer; DROP TABLE t")
