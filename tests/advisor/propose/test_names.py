"""What a name is bound to, and the small tools for walking trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pglast import parse_sql

from advisor.propose.names import (
    Source,
    TableRef,
    add_equality,
    bind,
    bindings_in,
    conjuncts,
    join,
    renamed,
    walk,
)

Make = Callable[..., tuple[TableRef, Source]]


def expression(text: str) -> Any:
    statement: Any = parse_sql(f"SELECT {text}")[0].stmt
    return statement.targetList[0].val


def test_a_bare_name_is_the_innermost_that_has_it(make_source: Make) -> None:
    (a, outer), (b, inner) = make_source("a", "id", "x"), make_source("b", "id", "y")
    scopes = ([inner], [outer])
    assert bind(expression("id"), scopes) == ((b, "id"),)
    assert bind(expression("x"), scopes) == ((a, "x"),)
    assert bind(expression("nothing"), scopes) == ()


def test_a_qualified_name_is_looked_for_under_its_alias_and_schema(make_source: Make) -> None:
    (a, one), (b, two) = make_source("a", "x", alias="one"), make_source("b", "y", schema="other")
    scopes = ([one, two],)
    assert bind(expression("one.x"), scopes) == ((a, "x"),)
    assert bind(expression("a.x"), scopes) == ()
    assert bind(expression("other.b.y"), scopes) == ((b, "y"),)
    assert bind(expression("public.b.y"), scopes) == ()


def test_a_table_without_the_column_ends_the_search(make_source: Make) -> None:
    scopes = ([make_source("a", "x")[1]], [make_source("a", "y")[1]])
    assert bind(expression("a.y"), scopes) == ()


def test_what_we_cannot_see_into_may_have_the_column(make_source: Make) -> None:
    a, outer = make_source("a", "x")
    scopes = ([make_source("b", "y", opaque=True)[1]], [outer])
    assert bind(expression("x"), scopes) == ()
    assert bind(expression("a.x"), scopes) == ((a, "x"),)


def test_only_column_references_are_bound(make_source: Make) -> None:
    a, source = make_source("a", "id", "x")
    scopes = ([source],)
    assert bind(expression("x + 1"), scopes) == ()
    assert bind(expression("a.*"), scopes) == ()
    assert bind(None, scopes) == ()
    assert bindings_in(expression("x + id"), scopes) == [((a, "x"),), ((a, "id"),)]


def test_subqueries_are_left_out(make_source: Make) -> None:
    a, source = make_source("a", "id", "x")
    assert bindings_in(expression("(SELECT x) + id"), ([source],)) == [((a, "id"),)]
    inner = [type(node).__name__ for node in walk(expression("x IN (SELECT y FROM b)"))]
    assert inner[0] == "SubLink"
    assert "SelectStmt" not in inner


def test_a_column_list_renames_as_far_as_it_goes(make_source: Make) -> None:
    a, source = make_source("a", "id", "x")
    statement: Any = parse_sql("SELECT 1 FROM a AS t (p)")[0].stmt
    aliases = statement.fromClause[0].alias.colnames
    assert renamed(source.columns, aliases) == {"p": ((a, "id"),), "x": ((a, "x"),)}
    assert renamed(source.columns, None) is source.columns


def test_joins_are_noted_on_the_other_table_only_where_asked_and_never_on_oneself(make_source: Make) -> None:
    (one, _), (other, _) = make_source("a", "id"), make_source("b", "a_id")
    join(((one, "id"),), ((other, "a_id"),), both=False)
    assert one.joins == {id(other): {"id"}}
    assert not other.touched
    join(((one, "id"),), ((other, "a_id"),))
    assert other.joins == {id(one): {"a_id"}}
    join(((one, "id"),), ((one, "id"),))
    assert one.joins == {id(other): {"id"}}


def test_an_equality_reaches_all_arms_of_a_union(make_source: Make) -> None:
    (one, _), (other, _) = make_source("a", "id"), make_source("b", "id")
    add_equality(((one, "id"), (other, "id")))
    assert one.equality == other.equality == {"id"}
    assert one.touched


def test_conjuncts() -> None:
    assert [len(list(conjuncts(expression(text)))) for text in ("a", "a AND b AND (c AND d)", "a OR b")] == [
        1,
        4,
        1,
    ]
    assert list(conjuncts(None)) == []
