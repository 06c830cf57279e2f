"""The query list: sorted by any column, narrowed by a filter, one enter away from the detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input

from tui.app.filtering import Filter, FilterError, parse
from tui.app.reading import QueryList
from tui.app.rows import FLAG_LEGEND, QUERY_COLUMNS, QueryColumn, QueryRow, column, sort_rows
from tui.app.screens.base import StoreScreen
from tui.app.widgets.table import Column, ListTable
from tui.format import counted

WIDE = 110
"""Cells from which on the columns marked wide have room."""


class QueriesScreen(StoreScreen[QueryList]):
    MODE = "queries"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="queries.filter"),
        Binding("s", "sort_next", "Sort by next", id="queries.sort"),
        Binding("S", "sort_reverse", "Reverse", show=False, id="queries.reverse"),
        Binding("escape", "clear_filter", "Clear filter", show=False, id="queries.clear"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.sort_key = "load"
        self.descending = True
        self.filter = Filter("", ())

    def body(self) -> ComposeResult:
        yield ListTable(id="queries")
        yield Input(id="filter", placeholder="text  p95>50ms  calls>1k  load>5%  table:orders  is:n+1  !not")

    def on_mount(self) -> None:
        self.query_one(Input).display = False

    def load(self) -> QueryList:
        return self.reader.queries()

    def show(self, data: QueryList) -> None:
        shown = sort_rows((row for row in data.rows if self.filter(row)), self.sort_key, self.descending)
        chosen = self._columns()
        now = self.now
        table = self.query_one(ListTable)
        table.set_columns([self._heading(each) for each in chosen])
        table.sync([(str(row.query.id), [each.cell(row, now) for each in chosen]) for row in shown])
        self._label(table, shown, data.rows)

    def _columns(self) -> list[QueryColumn]:
        wide = self.app.size.width >= WIDE
        return [each for each in QUERY_COLUMNS if wide or not each.wide]

    def _heading(self, each: QueryColumn) -> Column:
        arrow = ("▼" if self.descending else "▲") if each.key == self.sort_key else ""
        width = max(each.width, len(each.title) + 1) if each.width else 0
        return Column(each.key, each.title + arrow, width, each.numeric)

    def _label(self, table: ListTable, shown: Sequence[QueryRow], rows: Sequence[QueryRow]) -> None:
        if self.filter.text:
            table.border_title = f"{len(shown)} of {counted(len(rows), 'query', 'queries')}"
            table.border_subtitle = f"filter: {self.filter.text} · esc clears".replace("[", "\\[")
        else:
            table.border_title = counted(len(rows), "query", "queries")
            table.border_subtitle = FLAG_LEGEND

    def on_resize(self) -> None:
        self._again()

    def _again(self) -> None:
        """Show what was read last, with another order or filter."""
        if self.data is not None and self.data.rows:
            self.show(self.data)

    @on(DataTable.RowSelected)
    def open_query(self, _message: DataTable.RowSelected) -> None:
        from tui.app.screens.query import QueryScreen

        selected = self.query_one(ListTable).selected
        if selected is not None:
            self.app.push_screen(QueryScreen(int(selected)))

    @on(DataTable.HeaderSelected)
    def sort_by_header(self, message: DataTable.HeaderSelected) -> None:
        key = message.column_key.value or self.sort_key
        self._sort(key, not self.descending if key == self.sort_key else column(key).descending)

    def action_sort_next(self) -> None:
        keys = [each.key for each in self._columns()]
        key = keys[(keys.index(self.sort_key) + 1) % len(keys)] if self.sort_key in keys else keys[0]
        self._sort(key, column(key).descending)

    def action_sort_reverse(self) -> None:
        self._sort(self.sort_key, not self.descending)

    def _sort(self, key: str, descending: bool) -> None:
        self.sort_key, self.descending = key, descending
        self._again()

    def action_filter(self) -> None:
        line = self.query_one(Input)
        line.display = True
        line.focus()

    def action_clear_filter(self) -> None:
        line = self.query_one(Input)
        line.value = ""
        line.display = False
        self.query_one(ListTable).focus()

    @on(Input.Changed)
    def _refilter(self, message: Input.Changed) -> None:
        try:
            self.filter = parse(message.value)
        except FilterError as error:
            self.query_one(ListTable).border_subtitle = str(error).replace("[", "\\[")
        else:
            self._again()

    @on(Input.Submitted)
    def _close_filter(self, message: Input.Submitted) -> None:
        if not message.value.strip():
            self.query_one(Input).display = False
        self.query_one(ListTable).focus()
