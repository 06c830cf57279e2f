"""What is read from the repeated statement: what varies, where it stands, what its result shows."""

from __future__ import annotations

import pytest

from advisor.propose.child import (
    Child,
    ParameterType,
    ServerFacts,
    SortKey,
    output_name,
    read_calls,
    read_child,
)
from advisor.propose.sqltree import UnsupportedStatementError, parse_select

INT = ParameterType(23, "integer", identity=True)
INTS = ParameterType(1007, "integer[]", identity=False, array=True)
FACTS = ServerFacts((INT,) * 4, frozenset({"count", "max"}))

Call = tuple[str | None, ...]


def child(query: str, *calls: Call, facts: ServerFacts = FACTS) -> Child:
    return read_child(query, calls or (("1",), ("2",)), facts)


def test_what_varies_is_told_from_the_calls_and_the_rest_keeps_its_value() -> None:
    read = child(
        "SELECT id FROM t WHERE a = $1 AND b = $2 AND c IS NOT DISTINCT FROM $3",
        ("1", "x", None),
        ("2", "x", None),
    )
    assert read.varying == (1,)
    assert read.constants == {2: "x", 3: None}
    assert [predicate.name for predicate in read.predicates] == ["a"]
    assert read.strict


def test_a_parameter_that_only_the_calls_have_does_not_count() -> None:
    select, varying, constants = read_calls("SELECT id FROM t WHERE a = $2", [("1", "x"), ("2", "x")])
    assert (varying, constants) == ((), {2: "x"})
    assert select.whereClause is not None


@pytest.mark.parametrize(
    "where",
    ["a = $1", "$1 = a", "a IN ($1)", "t.a = $1::integer", "b = 2 AND a = $1"],
)
def test_every_way_to_ask_for_a_key(where: str) -> None:
    (predicate,) = child(f"SELECT id FROM t WHERE {where}").predicates
    assert (predicate.number, predicate.name) == (1, "a")


@pytest.mark.parametrize(
    "where",
    [
        "a > $1",
        "a = $1 OR b = 2",
        "lower(a) = $1",
        "a = $1 + 1",
        "a NOT IN ($1)",
        "a = $1 AND b > $1",  # the parameter stands elsewhere too
        "a = (SELECT $1)",
    ],
)
def test_what_is_no_key_leaves_no_predicate(where: str) -> None:
    read = child(f"SELECT id FROM t WHERE {where}")
    assert read.predicates == ()
    assert not read.strict


@pytest.mark.parametrize(
    ("query", "aggregate", "plain"),
    [
        ("SELECT id FROM t WHERE a = $1", False, True),
        ("SELECT count(*) FROM t WHERE a = $1", True, False),
        ("SELECT max(b) FROM t WHERE a = $1", True, False),
        ("SELECT lower(b) FROM t WHERE a = $1", False, True),
        ("SELECT b, count(*) FROM t WHERE a = $1 GROUP BY b", False, False),
        ("SELECT count(*) FROM t WHERE a = $1 LIMIT 1", False, False),
        ("SELECT count(*) OVER () FROM t WHERE a = $1", False, False),
        ("SELECT DISTINCT b FROM t WHERE a = $1", False, False),
        ("SELECT b FROM t WHERE a = $1 OFFSET 3", False, False),
        ("SELECT b FROM t WHERE a = $1 UNION SELECT 1", False, False),
        ("WITH w AS (SELECT 1) SELECT b FROM t, w WHERE a = $1", False, False),
        ("SELECT (SELECT count(*) FROM u) FROM t WHERE a = $1", False, True),
    ],
)
def test_kinds(query: str, aggregate: bool, plain: bool) -> None:
    read = child(query)
    assert (read.aggregate, read.plain) == (aggregate, plain)


@pytest.mark.parametrize(
    ("limit", "number"),
    [
        ("", None),
        ("LIMIT 3", 3),
        ("LIMIT 0", 0),
        ("LIMIT $2", 7),
        ("LIMIT NULL", None),
        ("FETCH FIRST 2 ROWS ONLY", 2),
    ],
)
def test_limits(limit: str, number: int | None) -> None:
    assert child(f"SELECT id FROM t WHERE a = $1 {limit}", ("1", "7"), ("2", "7")).limit == number


@pytest.mark.parametrize(
    ("query", "sort"),
    [
        ("SELECT id, b FROM t WHERE a = $1 ORDER BY b", (SortKey(1, "b"),)),
        ("SELECT id AS b, b AS c FROM t WHERE a = $1 ORDER BY b", (SortKey(0, "b"),)),
        ("SELECT id, b FROM t WHERE a = $1 ORDER BY 2, t.id", (SortKey(1, "b"), SortKey(None, ""))),
        ("SELECT * FROM t WHERE a = $1 ORDER BY b", (SortKey(None, "b"),)),
        ("SELECT id FROM t WHERE a = $1 ORDER BY b", (SortKey(None, ""),)),
        ("SELECT lower(b) AS l FROM t WHERE a = $1 ORDER BY lower(b)", (SortKey(0, "l"),)),
        ("SELECT *, b AS last FROM t WHERE a = $1 ORDER BY last", (SortKey(None, "last"),)),
        ("SELECT id FROM t WHERE a = $1 ORDER BY $2", ()),
    ],
)
def test_where_the_result_shows_the_sort_key(query: str, sort: tuple[SortKey, ...]) -> None:
    assert child(query, ("1", "1"), ("2", "1")).sort == sort


@pytest.mark.parametrize(
    ("query", "calls", "reason"),
    [
        ("SELECT id FROM t WHERE a = $1", (("1",), ("1",)), "same parameters"),
        ("SELECT id FROM t WHERE a = $1 LIMIT $2", (("1", "1"), ("1", "2")), "paging"),
        ("SELECT id FROM t WHERE a = $2", (("1",), ("2",)), r"fewer parameters than the statement's \$2"),
        ("SELECT id FROM t WHERE a = $1 LIMIT 1 + 1", (("1",), ("2",)), "no plain number"),
        (
            "SELECT id FROM t WHERE a = $1 ORDER BY id FETCH FIRST 1 ROW WITH TIES",
            (("1",), ("2",)),
            "WITH TIES",
        ),
        ("SELECT id FROM t WHERE a = $1 FOR UPDATE", (("1",), ("2",)), "locks rows"),
        ("SELECT id FROM t TABLESAMPLE system (1) WHERE a = $1", (("1",), ("2",)), "TABLESAMPLE"),
        ("SELECT id INTO x FROM t WHERE a = $1", (("1",), ("2",)), "creates a table"),
        ("VALUES ($1)", (("1",), ("2",)), "VALUES"),
        (
            "WITH d AS (DELETE FROM t RETURNING id) SELECT id FROM d WHERE id = $1",
            (("1",), ("2",)),
            "data-modifying",
        ),
    ],
)
def test_what_cannot_be_batched_says_why(query: str, calls: tuple[Call, ...], reason: str) -> None:
    with pytest.raises(UnsupportedStatementError, match=reason):
        child(query, *calls)


def test_types_must_be_known_and_be_no_lists() -> None:
    with pytest.raises(UnsupportedStatementError, match="type of"):
        child("SELECT id FROM t WHERE a = $1", facts=ServerFacts(()))
    with pytest.raises(UnsupportedStatementError, match="batches themselves"):
        child("SELECT id FROM t WHERE a = ANY($1)", facts=ServerFacts((INTS,)))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("a", "a"),
        ("t.a", "a"),
        ("a AS b", "b"),
        ("a::text", "a"),
        ("lower(a)", "lower"),
        ("1", ""),
        ("t.*", ""),
    ],
)
def test_names_of_result_columns(target: str, name: str) -> None:
    assert output_name(parse_select(f"SELECT {target} FROM t").targetList[0]) == name
