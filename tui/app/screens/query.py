"""One query: its numbers, its text, how long it takes, when it runs, real executions, what was found."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from tui.app import query_text
from tui.app.reading import QueryDetail
from tui.app.screens.base import DetailScreen
from tui.app.widgets.panel import Chart, Panel
from tui.format import printable
from tui.sql_text import pretty, runnable


class QueryScreen(DetailScreen[QueryDetail]):
    MODE = "queries"
    NEEDS_TRAFFIC = False
    FOCUS = "#detail"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "toggle_pretty", "Pretty/raw", id="query.pretty"),
        Binding("y", "copy", "Copy SQL", id="query.copy"),
        Binding("Y", "copy_sample", "Copy sample", id="query.copy_sample"),
        Binding("j", "scroll('down')", "Down", show=False),
        Binding("k", "scroll('up')", "Up", show=False),
        Binding("g", "scroll('home')", "Top", show=False),
        Binding("G", "scroll('end')", "End", show=False),
    ]

    def __init__(self, query_id: int) -> None:
        super().__init__()
        self.query_id = query_id
        self.raw = False
        self._pretty = ("", "")

    def body(self) -> ComposeResult:
        with VerticalScroll(id="detail"):
            yield Panel("Query", id="numbers")
            with Container(classes="pair"):
                yield Panel("SQL", id="sql")
                with Container(id="query-charts"):
                    yield Chart("Latency", id="latency")
                    yield Chart("Calls per second", id="query-traffic")
            yield Panel("Findings and advice", id="related")
            yield Panel("Samples", id="samples")

    def load(self) -> QueryDetail:
        detail = self.reader.query(self.query_id)
        if self._pretty[0] != detail.query.query:
            self._pretty = (detail.query.query, pretty(detail.query.query))
        return detail

    def show(self, data: QueryDetail) -> None:
        now = self.now
        self.query_one("#numbers", Panel).set_lines(query_text.numbers(data, now))
        self.query_one("#sql", Panel).set_text(
            printable(data.query.query) if self.raw else self._pretty[1], "postgresql"
        )
        self.query_one("#latency", Chart).draw(
            lambda width, _height: query_text.histogram(data.latencies, width)
        )
        self.query_one("#query-traffic", Chart).draw(
            lambda width, _height: query_text.traffic(data.points, width, 3, now)
        )
        self.query_one("#samples", Panel).set_lines(
            query_text.sample_lines(data.query, data.samples), "postgresql" if data.samples else ""
        )
        self.query_one("#related", Panel).set_lines(query_text.related(data))

    def action_toggle_pretty(self) -> None:
        self.raw = not self.raw
        if self.data is not None:
            self.show(self.data)

    def action_copy(self) -> None:
        if self.data is not None:
            self.app.copy_to_clipboard(self._pretty[1])
            self.notify("The statement is on the clipboard.")

    def action_copy_sample(self) -> None:
        if self.data is None:
            return
        sample = next((each for each in self.data.samples if not each.masked), None)
        if sample is None:
            self.notify("No sample has its values.", severity="warning")
            return
        self.app.copy_to_clipboard(runnable(self.data.query.query, sample.params, sample.param_oids) + ";")
        self.notify("A runnable sample is on the clipboard.")

    def action_scroll(self, where: str) -> None:
        detail = self.query_one("#detail", VerticalScroll)
        getattr(detail, f"scroll_{where}")(animate=False)
