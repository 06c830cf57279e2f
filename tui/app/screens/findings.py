"""The findings: a list, and below it what is known about the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable

from tui.app.finding_text import finding_lines
from tui.app.reading import FindingList
from tui.app.rows import class_label
from tui.app.screens.base import StoreScreen
from tui.app.widgets.panel import Panel
from tui.app.widgets.table import Column, ListTable
from tui.format import counted, duration, one_line, short_count
from workload.model import Finding

COLUMNS = (
    Column("class", "class", 15),
    Column("confidence", "sure", 6),
    Column("wasted", "wasted", 7, numeric=True),
    Column("calls", "calls", 5, numeric=True),
    Column("units", "units", 5, numeric=True),
    Column("title", "what", 0),
)
NOTHING_FOUND = (
    "No findings so far: nothing in the recorded traffic repeats itself wastefully.\n\n"
    "N+1 and repeated reads are looked for in every unit of work as it comes through the proxy. Use "
    "the application for a while, or run its tests against the proxy; pages that list things come first."
)


class FindingsScreen(StoreScreen[FindingList]):
    MODE = "findings"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False, id="findings.copy"),
    ]

    def body(self) -> ComposeResult:
        yield Panel("Findings", id="findings-empty")
        yield ListTable(id="findings")
        with VerticalScroll(id="finding-scroll", can_focus=False):
            yield Panel("Finding", id="finding")

    def on_mount(self) -> None:
        table = self.query_one(ListTable)
        table.set_columns(COLUMNS)

    def load(self) -> FindingList:
        return self.reader.findings()

    def show(self, data: FindingList) -> None:
        empty = self.query_one("#findings-empty", Panel)
        empty.set_text(NOTHING_FOUND)
        empty.display = not data.findings
        table = self.query_one(ListTable)
        table.display = bool(data.findings)
        self.query_one("#finding-scroll").display = bool(data.findings)
        table.border_title = counted(len(data.findings), "finding")
        table.sync([(each.id, _cells(each)) for each in data.findings])
        self._describe()

    @property
    def selected(self) -> Finding | None:
        key = self.query_one(ListTable).selected
        if self.data is None:
            return None
        return next((each for each in self.data.findings if each.id == key), None)

    @on(DataTable.RowHighlighted)
    def _describe(self) -> None:
        finding = self.selected
        if finding is None or self.data is None:
            return
        texts = self.data.texts
        self.query_one("#finding", Panel).set_lines(
            finding_lines(
                finding,
                texts.get(finding.query_id, ""),
                texts.get(finding.parent_query_id, "") if finding.parent_query_id is not None else "",
                self.now,
            )
        )

    @on(DataTable.RowSelected)
    def open_query(self, _message: DataTable.RowSelected) -> None:
        from tui.app.screens.query import QueryScreen

        finding = self.selected
        if finding is not None:
            self.app.push_screen(QueryScreen(finding.query_id))

    def action_copy(self) -> None:
        finding = self.selected
        if finding is not None and self.data is not None:
            self.app.copy_to_clipboard(self.data.texts.get(finding.query_id, finding.title))
            self.notify("The repeated statement is on the clipboard.")


def _cells(finding: Finding) -> list[str]:
    return [
        class_label(finding),
        finding.confidence,
        duration(finding.wasted_ms),
        short_count(finding.calls),
        short_count(finding.units),
        one_line(finding.title),
    ]
