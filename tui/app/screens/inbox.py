"""The advice inbox: what was proved and waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from tui.app.reading import AdviceList
from tui.app.rows import state_label
from tui.app.screens.deciding import DecidingScreen
from tui.app.widgets.panel import Panel
from tui.app.widgets.table import Column, ListTable
from tui.format import counted, duration, one_line
from tui.location import display
from workload.model import AdviceRecord

COLUMNS = (
    Column("mark", " ", 1),
    Column("state", "state", 10),
    Column("kind", "kind", 7),
    Column("saves", "saves", 7, numeric=True),
    Column("title", "what", 0),
)


class InboxScreen(DecidingScreen[AdviceList]):
    MODE = "advice"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="advice.mark"),
        Binding("w", "app.switch_mode('export')", "Export", id="advice.export"),
        Binding("escape", "unmark", "Unmark all", show=False, id="advice.unmark"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.marked: set[str] = set()

    def body(self) -> ComposeResult:
        yield Panel("Advice", id="inbox-empty")
        yield ListTable(id="inbox")

    def on_mount(self) -> None:
        table = self.query_one(ListTable)
        table.set_columns(COLUMNS)

    def load(self) -> AdviceList:
        return self.reader.advice()

    def show(self, data: AdviceList) -> None:
        self.marked &= {record.id for record in data.records}
        empty = self.query_one("#inbox-empty", Panel)
        empty.display = not data.records
        empty.set_text(nothing_yet(data))
        table = self.query_one(ListTable)
        table.display = bool(data.records)
        table.sync([(record.id, _cells(record, record.id in self.marked)) for record in data.records])
        new = sum(record.state == "new" for record in data.records)
        pieces = counted(len(data.records), "piece of advice", "pieces of advice")
        table.border_title = f"{pieces}, {new} new"
        table.border_subtitle = f"{len(self.marked)} marked · esc unmarks" if self.marked else ""

    def subjects(self) -> Sequence[str]:
        """The marked ones in their order; without marks the one under the cursor."""
        table = self.query_one(ListTable)
        marked = [key for key in table.keys if key in self.marked]
        if marked:
            return marked
        return [table.selected] if table.selected is not None else []

    def decided(self) -> None:
        self.marked.clear()

    def action_mark(self) -> None:
        table = self.query_one(ListTable)
        if table.selected is not None:
            self.marked ^= {table.selected}
            table.action_cursor_down()
            self._again()

    def action_unmark(self) -> None:
        self.marked.clear()
        self._again()

    def _again(self) -> None:
        if self.data is not None:
            self.show(self.data)

    @on(DataTable.RowSelected)
    def open_advice(self, _message: DataTable.RowSelected) -> None:
        from tui.app.screens.advice import AdviceScreen

        selected = self.query_one(ListTable).selected
        if selected is not None:
            self.app.push_screen(AdviceScreen(selected))


def nothing_yet(data: AdviceList) -> str:
    """What to do while the inbox is empty."""
    waits = "waits" if data.findings == 1 else "wait"
    found = f"{counted(data.findings, 'finding')} {waits} for it. " if data.findings else ""
    target = "" if data.status.upstream else " --target URL"
    return (
        f"No advice yet. {found}Press A to look for indexes and batched statements now, or run\n\n"
        f"     pgcoach advise --store {display(data.status.location)}{target}\n\n"
        "Everything is proved on the database before it appears here: with plans before and after, or by "
        "running both ways on one snapshot. Nothing is changed."
    )


def _cells(record: AdviceRecord, marked: bool) -> list[str]:
    return [
        "◆" if marked else " ",
        state_label(record.state),
        record.kind,
        duration(record.benefit_ms),
        one_line(record.title),
    ]
