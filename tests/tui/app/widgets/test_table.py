"""The list that keeps the reader's place."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.coordinate import Coordinate

from tui.app.widgets.table import Column, ListTable

SPEC = (Column("n", "n", 4, numeric=True), Column("text", "text", 0))


class TableApp(App[None]):
    def compose(self) -> ComposeResult:
        yield ListTable(id="list")

    def on_mount(self) -> None:
        self.query_one(ListTable).set_columns(SPEC)


def items(*names: str) -> list[tuple[str, list[str]]]:
    return [(name, [str(place), f"{name} [b]x[/b]"]) for place, name in enumerate(names)]


def shown(table: ListTable) -> list[str]:
    return [str(table.get_row_at(row)[1]) for row in range(table.row_count)]


async def test_rows_come_go_and_change_places() -> None:
    async with TableApp().run_test(size=(60, 10)) as pilot:
        table = pilot.app.query_one(ListTable)
        table.sync(items("a", "b", "c"))
        assert shown(table) == ["a [b]x[/b]", "b [b]x[/b]", "c [b]x[/b]"]
        table.move_cursor(row=2)
        table.sync(items("c", "a"))
        assert list(table.keys) == ["c", "a"]
        assert table.row_count == 2
        assert table.selected == "c"
        table.sync(items("x"))
        assert list(table.keys) == ["x"]
        table.sync([])
        assert table.row_count == 0
        assert not table.selected


async def test_only_what_differs_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TableApp().run_test(size=(60, 10)) as pilot:
        table = pilot.app.query_one(ListTable)
        table.sync(items("a", "b"))
        written: list[Coordinate] = []
        monkeypatch.setattr(table, "update_cell_at", lambda at, value: written.append(at))
        table.sync([("a", ["0", "a [b]x[/b]"]), ("b", ["7", "b [b]x[/b]"])])
        assert written == [Coordinate(1, 0)]


async def test_the_cursor_survives_other_columns() -> None:
    async with TableApp().run_test(size=(60, 10)) as pilot:
        table = pilot.app.query_one(ListTable)
        table.sync(items("a", "b", "c"))
        table.move_cursor(row=1)
        table.set_columns(SPEC[1:])
        table.sync([(key, cells[1:]) for key, cells in items("c", "b", "a")])
        assert table.selected == "b"


async def test_the_flexible_column_takes_what_is_left() -> None:
    async with TableApp().run_test(size=(60, 10)) as pilot:
        table = pilot.app.query_one(ListTable)
        await pilot.pause()
        fixed, wide = (column.width for column in table.ordered_columns)
        assert fixed == 4
        assert 45 <= wide <= 52
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert table.ordered_columns[1].width == wide - 20
