"""Tables on a terminal and in a pipe, and JSON."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tui.cli import output
from tui.cli.output import Column, layout

COLUMNS = (
    Column("total", numeric=True),
    Column("rows", numeric=True, goes=1),
    Column("db", goes=2),
    Column("query"),
)
ROWS = [("1.50 s", "12,000", "shop", "SELECT " + "x" * 40), ("2 ms", "3", "shop", "COMMIT")]


def test_a_pipe_gets_everything() -> None:
    assert layout(COLUMNS, ROWS, None) == [
        " total    rows  db    query",
        "1.50 s  12,000  shop  SELECT " + "x" * 40,
        "  2 ms       3  shop  COMMIT",
    ]


def test_a_terminal_is_not_overrun_and_loses_the_least_first() -> None:
    lines = layout(COLUMNS, ROWS, 40)
    assert lines[0] == " total    rows  query"
    assert lines[1].endswith("x…")
    assert all(len(line) <= 40 for line in lines)
    assert layout(COLUMNS, ROWS, 34)[0] == " total  query"


def test_short_tables_keep_all_columns_on_a_narrow_terminal() -> None:
    assert layout(COLUMNS, ROWS[1:], 30)[0] == "total  rows  db    query"


@pytest.mark.parametrize("width", [1, 5, 12, 20, 200])
def test_no_width_is_too_small(width: int) -> None:
    assert len(layout(COLUMNS, ROWS, width)) == 3


def test_json_is_an_array_with_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_json([{"a": 1, "b": Decimal("1.5")}, {"a": "ü"}])
    text = capsys.readouterr().out
    assert text == '[{"a":1,"b":"1.5"},\n {"a":"ü"}]\n'
    assert len(json.loads(text)) == 2
    output.write_json([])
    assert json.loads(capsys.readouterr().out) == []
