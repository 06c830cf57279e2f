"""The shape of a statement: what becomes of literals, numbers and names. Many texts: ``test_lexer``."""

from __future__ import annotations

import pytest

from workload.shapes import Shape, shape_of
from workload.tokens import split, tokens


def shape(sql: str) -> Shape:
    return shape_of(tokens(split(sql)))


def test_parameters_are_numbered_anew_and_literals_come_after_them() -> None:
    made = shape("SELECT $7, 'x', $3")
    assert (made.text, made.params) == ("SELECT $2, $3, $1", (2, 6))
    assert [slot.piece for slot in made.slots] == [0]


def test_signs_belong_to_the_number_only_where_nothing_stands_before_them() -> None:
    made = shape("SELECT a - 1, b * -2 WHERE c = - -3")
    assert made.text == "SELECT a - $1, b * $2 WHERE c = $3"
    assert [slot.negative for slot in made.slots] == [False, True, False]
    assert made.numbers == (True, True, True)


def test_what_the_grammar_takes_no_parameter_for_stays_and_is_named() -> None:
    made = shape("SELECT a::numeric(10,2) FROM t ORDER BY 1, 2 LIMIT 3")
    assert made.text == "SELECT a::numeric(10,2) FROM t ORDER BY 1, 2 LIMIT $1"
    assert made.kept == (0, 1, 2, 3)


def test_typed_literals_become_casts() -> None:
    assert shape("SELECT interval '1 day', pg_catalog.date '2026-01-01'").text == (
        "SELECT $1::interval, $2::pg_catalog.date"
    )


@pytest.mark.parametrize(
    ("sql", "text", "sensitive"),
    [
        ("SELECT 'a'", "SELECT $1", False),
        ("SELECT crypt('a', b)", "SELECT crypt($1, b)", True),
        ("SELECT crypt FROM t", "SELECT crypt FROM t", False),
        ("SET x = 'a'", "SET x = ''", True),
        ("ALTER ROLE u PASSWORD 'a'", "ALTER ROLE u PASSWORD ''", True),
        ("SOMETHING new 'a' 1", "SOMETHING new '' 0", True),
        ("CREATE TABLE t (a int DEFAULT 5)", "CREATE TABLE t (a int DEFAULT 5)", True),
        ("CREATE TABLE t AS SELECT 5", "CREATE TABLE t AS SELECT $1", False),
        ("COPY (SELECT 5) TO STDOUT (DELIMITER ',')", "COPY (SELECT $1) TO STDOUT (DELIMITER ',')", True),
    ],
)
def test_what_may_be_told_of_literals_depends_on_the_statement(sql: str, text: str, sensitive: bool) -> None:
    made = shape(sql)
    assert (made.text, made.sensitive) == (text, sensitive)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SAVEPOINT sa_7", "SAVEPOINT s"),
        ("ROLLBACK TO sa_7", "ROLLBACK TO s"),
        ("ROLLBACK", "ROLLBACK"),
        ("DEALLOCATE _pg3_5", "DEALLOCATE p"),
        ("DEALLOCATE ALL", "DEALLOCATE ALL"),
        ("CLOSE ALL", "CLOSE ALL"),
        ('FETCH 10 FROM "c_1"', "FETCH 10 FROM c"),
    ],
)
def test_names_that_clients_number_are_one_name(sql: str, text: str) -> None:
    assert shape(sql).text == text


def test_the_longest_list_is_told_and_cut() -> None:
    made = shape("SELECT a FROM t WHERE b IN (1, 2, 3) AND c = 4")
    assert (made.text, made.list_length) == ("SELECT a FROM t WHERE b IN ($1 /*, ... */) AND c = $2", 3)
    assert len(made.slots) == 2


def test_numbers_that_no_parameter_has_stay_as_written() -> None:
    made = shape("SELECT $0, $1, $" + "9" * 5000)
    assert made.params == (0,)
    assert made.text == "SELECT $0, $1, $" + "9" * 5000


def test_nothing_at_all_is_a_shape_too() -> None:
    assert shape("").text == ""
