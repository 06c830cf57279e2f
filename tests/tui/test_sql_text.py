"""SQL for people."""

from __future__ import annotations

import psycopg
import pytest

from tui.sql_text import literal, placeholders, pretty, runnable


def test_pretty_lays_out_and_keeps_placeholders() -> None:
    assert pretty("select a, b from t where a = $1") == "SELECT a\n     , b\nFROM t\nWHERE a = $1"


def test_what_the_parser_rejects_is_shown_as_it_is() -> None:
    assert pretty("SELEC\x1b[2J 1") == "SELEC�[2J 1"


def test_what_is_too_long_is_not_laid_out() -> None:
    text = "select " + "1, " * 10_000 + "1"
    assert pretty(text) == text


def test_parameters_become_literals_where_they_stand_as_placeholders_only() -> None:
    sql = """SELECT "a$1", '$1', E'\\'$1', $x$ $1 $x$, $1, $2, $3, $4 FROM t"""
    filled = runnable(sql, ("7", None, "O'Neill"), (23, 25, 25))
    assert filled == """SELECT "a$1", '$1', E'\\'$1', $x$ $1 $x$, 7, NULL, 'O''Neill', $4 FROM t"""


def test_placeholders() -> None:
    assert placeholders("SELECT $2, '$3', $1, $2") == [2, 1, 2]


@pytest.mark.parametrize(
    ("value", "oid", "text"),
    [
        ("7", 23, "7"),
        ("-7", 20, "(-7)"),
        ("1e5", 701, "1e5"),
        ("NaN", 701, "'NaN'"),
        ("7", 0, "'7'"),
        ("t", 16, "true"),
        ("f", 16, "false"),
        ("C:\\x", 25, "E'C:\\\\x'"),
        ("{1,2}", 1007, "'{1,2}'"),
    ],
)
def test_literals(value: str, oid: int, text: str) -> None:
    assert literal(value, oid) == text


@pytest.mark.parametrize("value", ["plain", "it's", "back\\slash", "\\'; SELECT 2; --", "a\nb", "ünï"])
def test_a_server_reads_back_what_went_in(database: str, value: str) -> None:
    with psycopg.connect(database) as connection:
        for setting in ("on", "off"):
            connection.execute(f"SET standard_conforming_strings = {setting}")
            # Through the simple protocol, as psql sends it.
            found = connection.pgconn.exec_(f"SELECT {literal(value, 25)}::text".encode())
            assert found.get_value(0, 0) == value.encode()
