"""The keys as a relation, under names that the statement does not use yet."""

from __future__ import annotations

from pglast import enums

from advisor.propose import sqltree
from advisor.propose.batch_keys import Keys, join_expr, key_names, new_select
from advisor.propose.child import Child, ParameterType, ServerFacts, read_child
from advisor.propose.sqltree import ast, column, deparse

INT = ParameterType(23, "integer", identity=True)
NUMERIC = ParameterType(1700, "numeric", identity=False)


def keys_of(query: str, *types: ParameterType) -> tuple[Child, Keys]:
    facts = ServerFacts(types)
    calls = [tuple(f"{call}{n}" for n in range(len(types))) for call in "12"]
    child = read_child(query, calls, facts)
    return child, Keys(child, facts)


def text(child_keys: Keys, *, ordinality: bool = False) -> str:
    everything = (ast.ResTarget(val=ast.ColumnRef(fields=(ast.A_Star(),))),)
    return deparse(new_select(everything, (child_keys.source(ordinality=ordinality),)))


def test_one_array_a_key_and_the_order_of_the_keys_on_demand() -> None:
    _, keys = keys_of("SELECT id FROM t WHERE a = $1 AND b = $2", INT, NUMERIC)
    arrays = "unnest(CAST($1 AS integer[]), CAST($2 AS numeric[]))"
    assert text(keys) == f"SELECT * FROM {arrays} AS k (key, key2)"
    assert text(keys, ordinality=True) == f"SELECT * FROM {arrays} WITH ORDINALITY AS k (key, key2, ord)"


def test_names_that_the_statement_has_are_not_taken_again() -> None:
    _, keys = keys_of("SELECT k.key, ord FROM k JOIN r ON true WHERE k.a = $1", INT)
    assert (keys.relation, keys.names, keys.ordinal, keys.rows) == ("k2", {1: "key2"}, "ord2", "r2")


def test_result_columns_are_named_after_what_is_compared() -> None:
    child, keys = keys_of("SELECT id FROM t WHERE a = $1 AND t.b = $2", INT, INT)
    assert key_names(child) == ["a", "b"]
    assert keys.results == {1: "a", 2: "b"}
    assert key_names(keys_of("SELECT id FROM t WHERE a > $1", INT)[0]) == ["key"]
    assert key_names(keys_of("SELECT id FROM t WHERE a > $1 AND b > $2", INT, INT)[0]) == ["key1", "key2"]


def test_keys_stand_in_for_varying_parameters_only() -> None:
    facts = ServerFacts((INT, INT))
    child = read_child("SELECT id FROM t WHERE a > $1 AND b = $2", [("1", "5"), ("2", "5")], facts)
    changed = Keys(child, facts).put_into(child.select)
    assert deparse(changed) == "SELECT id FROM t WHERE a > k.key AND b = $2"


def test_identity_needs_it_of_every_key() -> None:
    assert keys_of("SELECT id FROM t WHERE a = $1", INT)[1].identity()
    assert not keys_of("SELECT id FROM t WHERE a = $1 AND b = $2", INT, NUMERIC)[1].identity()


def test_joins() -> None:
    left = ast.RangeVar(relname="a", inh=True, relpersistence="p")
    right = ast.RangeVar(relname="b", inh=True, relpersistence="p")
    target = (ast.ResTarget(val=sqltree.integer(1)),)
    condition = sqltree.equals(column("a", "x"), column("b", "x"))
    joined = new_select(target, (join_expr(enums.JoinType.JOIN_LEFT, left, right, condition),))
    assert deparse(joined) == "SELECT 1 FROM a LEFT JOIN b ON a.x = b.x"
