"""Texts to statements: the same number for the same shape, room for new ones, nothing kept for ever."""

from __future__ import annotations

import pytest

from proxy.observe.execution import Execution, Kind, Session
from workload.capture.statements import StatementLimits, StatementTable


def execution(sql: str | bytes, *, cut: bool = False, **session: object) -> Execution:
    owner = Session(1, "here", 0.0)
    owner.database = "shop"
    for name, value in session.items():
        setattr(owner, name, value)
    raw = sql.encode() if isinstance(sql, str) else sql
    return Execution(owner, Kind.SIMPLE, raw, len(raw) + cut, 0.0)


@pytest.fixture
def table() -> StatementTable:
    return StatementTable()


def number(table: StatementTable, sql: str) -> int:
    (use,) = table.uses(execution(sql))
    return use.statement.id


def test_texts_of_one_shape_are_one_statement_with_values_of_their_own(table: StatementTable) -> None:
    (first,) = table.uses(execution("SELECT a FROM t WHERE b = 1 AND c = 'x'"))
    (second,) = table.uses(execution("SELECT a  FROM t /* here */ WHERE b = -2 AND c = 'y'"))
    assert first.statement is second.statement
    assert (first.literals, second.literals) == ((b"1", b"x"), (b"-2", b"y"))
    assert len(table) == 1


def test_a_text_met_again_is_looked_up(table: StatementTable) -> None:
    assert table.uses(execution("SELECT 1")) is table.uses(execution("SELECT 1"))


@pytest.mark.parametrize(
    "other",
    [
        execution("SELECT 'a'", database="other"),
        execution("SELECT 'a'", cut=True),
    ],
)
def test_databases_and_cut_texts_have_statements_of_their_own(
    table: StatementTable, other: Execution
) -> None:
    number(table, "SELECT 'a'")
    (use,) = table.uses(other)
    assert use.statement.id == 2


def test_literals_are_read_by_the_sessions_settings(table: StatementTable) -> None:
    (use,) = table.uses(execution(rb"SELECT 'a\'b'", standard_conforming_strings=False))
    assert use.literals == (b"a'b",)
    (use,) = table.uses(execution("SELECT 'ä'".encode("latin-1"), client_encoding="LATIN1"))
    assert use.literals == ("ä".encode("latin-1"),)


@pytest.mark.parametrize(
    ("sql", "length"),
    [
        ("SELECT 1", 0),
        ("SELECT a FROM t WHERE b IN (1, 2, 3)", 3),
        ("SELECT a FROM t WHERE b = ANY('{1,2}')", 2),
        ("SELECT a FROM t WHERE b IN (1) AND c = ANY('{1,2,3,4}')", 4),
        ("SELECT '{not an array'", 0),
    ],
)
def test_the_longest_list_of_a_text(table: StatementTable, sql: str, length: int) -> None:
    (use,) = table.uses(execution(sql))
    assert use.list_length == length


def test_statements_of_one_text_come_in_order_and_comments_are_none(table: StatementTable) -> None:
    uses = table.uses(execution("BEGIN; SELECT 1; COMMIT -- done"))
    assert [use.statement.shape.text for use in uses] == ["BEGIN", "SELECT $1", "COMMIT"]
    assert table.uses(execution("/* cut off before the statement beg", cut=True)) == []


def test_definitions_are_told_once_and_all_of_them_to_who_is_new(table: StatementTable) -> None:
    number(table, "SELECT 1")
    assert [each.shape for each in table.take_definitions()] == ["SELECT $1"]
    number(table, "SELECT 2")
    number(table, "SELECT a")
    assert [(each.id, each.shape) for each in table.definitions()] == [(1, "SELECT $1"), (2, "SELECT a")]
    assert table.take_definitions() == ()


def test_idle_statements_make_room_and_their_numbers_are_not_used_again() -> None:
    table = StatementTable(StatementLimits(statements=3))
    for name in "abc":
        (use,) = table.uses(execution(f"SELECT {name}"))
    use.statement.touched = True
    assert table.uses(execution("SELECT d")) == []
    table.make_room()
    assert len(table) == 1
    assert number(table, "SELECT c") == 3
    assert number(table, "SELECT a") == 4


def test_a_table_with_room_forgets_nothing(table: StatementTable) -> None:
    before = number(table, "SELECT a")
    table.make_room()
    assert number(table, "SELECT a") == before


def test_shapes_are_bounded_by_their_bytes() -> None:
    table = StatementTable(StatementLimits(statement_bytes=60))
    number(table, f'SELECT "{"ä" * 22}"')
    assert table.uses(execution("SELECT b")) == []
    table.make_room()
    assert number(table, "SELECT b") == 2


@pytest.mark.parametrize("limits", [StatementLimits(texts=5), StatementLimits(text_bytes=60)])
def test_texts_are_forgotten_without_a_loss(limits: StatementLimits) -> None:
    table = StatementTable(limits)
    for value in range(20):
        assert number(table, f"SELECT {value}") == 1
    assert len(table._texts) <= 6
    assert table._text_bytes == sum(len(key[0]) for key in table._texts)


def test_counts_begin_again_when_they_are_cleared(table: StatementTable) -> None:
    (use,) = table.uses(execution("SELECT 1"))
    statement = use.statement
    statement.calls, statement.histogram[5], statement.qualities[2] = 3, 3, 3
    statement.applications.add("web")
    delta = statement.delta()
    assert (delta.calls, delta.histogram, delta.qualities, delta.applications) == (
        3,
        {5: 3},
        (0, 0, 3, 0),
        ("web",),
    )
    statement.clear()
    assert (statement.calls, statement.histogram, statement.qualities) == (0, {}, [0, 0, 0, 0])
    assert delta.histogram == {5: 3}
