"""A list that is refreshed each second without flicker and without losing the reader's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.widgets import DataTable
from textual.widgets.data_table import RowKey


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``width`` in cells without padding; 0 takes what is left."""

    key: str
    title: str
    width: int
    numeric: bool = False


LEAST_FLEXIBLE = 12
"""Cells that the column of width 0 gets at least; the table scrolls sideways below that."""


class ListTable(DataTable[Text]):
    """Rows are addressed by place; which item stands there is kept beside.

    When the order changes, cells are rewritten in place and the cursor follows its item: that touches only
    the cells that differ, where removing and adding rows would paint everything again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g", "scroll_top", "First", show=False),
        Binding("G", "scroll_bottom", "Last", show=False),
        Binding("ctrl+d", "page_down", "Page down", show=False),
        Binding("ctrl+u", "page_up", "Page up", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True, cell_padding=1)
        self._spec: tuple[Column, ...] = ()
        self._keys: list[str] = []
        self._texts: list[tuple[str, ...]] = []
        self._restore: str | None = None
        """Where the cursor was before the columns changed."""

    @property
    def selected(self) -> str | None:
        """The key of the item under the cursor; None when the list is empty."""
        row = self.cursor_row
        return self._keys[row] if 0 <= row < len(self._keys) else None

    @property
    def keys(self) -> tuple[str, ...]:
        """The items' keys in the order shown."""
        return tuple(self._keys)

    def set_columns(self, spec: Sequence[Column]) -> None:
        """Other columns, or other titles; the list is empty until the next ``sync``."""
        if tuple(spec) == self._spec:
            return
        self._restore = self.selected
        self._keys, self._texts = [], []
        self.clear(columns=True)
        self._spec = tuple(spec)
        widths = self._widths()
        for column, width in zip(self._spec, widths, strict=True):
            title = Text(column.title, justify="right" if column.numeric else "left")
            self.add_column(title, key=column.key, width=width)

    def sync(self, items: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Show these items: (key, a text for each column), changing only what differs."""
        keep = self.selected or self._restore
        self._restore = None
        keys = [key for key, _ in items]
        texts = [tuple(cells) for _, cells in items]
        for row in range(min(len(texts), len(self._texts))):
            if texts[row] != self._texts[row]:
                self._rewrite(row, self._texts[row], texts[row])
        for row in range(len(self._texts), len(texts)):
            self.add_row(
                *(self._cell(column, text) for column, text in zip(self._spec, texts[row], strict=True))
            )
        for row in range(len(self._texts) - 1, len(texts) - 1, -1):
            self.remove_row(self._row_key(row))
        self._keys, self._texts = keys, texts
        if keep is not None and keep in keys and keys.index(keep) != self.cursor_row:
            self.move_cursor(row=keys.index(keep), animate=False)

    def _rewrite(self, row: int, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        for place, column in enumerate(self._spec):
            if old[place] != new[place]:
                self.update_cell_at(Coordinate(row, place), self._cell(column, new[place]))

    def _row_key(self, row: int) -> RowKey:
        return self.coordinate_to_cell_key(Coordinate(row, 0)).row_key

    def _cell(self, column: Column, text: str) -> Text:
        # Text, never markup: the query `SELECT a[1]` is data.
        return Text(text, justify="right" if column.numeric else "left", no_wrap=True, overflow="ellipsis")

    def _widths(self) -> list[int]:
        padding = 2 * self.cell_padding * len(self._spec)
        fixed = sum(column.width for column in self._spec) + padding
        scrollbar = self.scrollbar_size_vertical
        rest = max(LEAST_FLEXIBLE, self.size.width - fixed - scrollbar)
        return [column.width or rest for column in self._spec]

    def on_resize(self, _event: events.Resize) -> None:
        for column, width in zip(self.ordered_columns, self._widths(), strict=True):
            if column.width != width:
                column.width = width
                self._require_update_dimensions = True
        self.refresh(layout=True)
