"""Overview: how much traffic, how fast, what costs most, what was found, and what capture missed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable

from tui.app.charts import axis, columns
from tui.app.reading import Overview
from tui.app.rows import QUERY_COLUMNS, class_label
from tui.app.screens.base import StoreScreen
from tui.app.widgets.panel import Chart, Panel
from tui.app.widgets.table import Column, ListTable
from tui.format import age, clip, counted, duration, one_line, rate
from tui.location import display
from workload.model import AdviceRecord, Finding
from workload.store import Point

TOP_COLUMNS = ("load", "calls", "mean", "p95", "flags", "query")
TOP_QUERIES = 30


class OverviewScreen(StoreScreen[Overview]):
    MODE = "overview"

    def body(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Chart("Traffic", id="traffic")
            with Vertical(id="side"):
                yield Chart("Inbox", id="inbox-summary")
                yield Panel("Capture", id="capture")
        yield ListTable(id="top-queries")

    def on_mount(self) -> None:
        table = self.query_one(ListTable)
        table.border_title = "Top queries by total time"
        table.set_columns(
            [
                Column(each.key, each.title, each.width, each.numeric)
                for each in QUERY_COLUMNS
                if each.key in TOP_COLUMNS
            ]
        )

    def load(self) -> Overview:
        return self.reader.overview()

    def show(self, data: Overview) -> None:
        now = self.now
        self.query_one("#traffic", Chart).draw(lambda width, height: traffic_lines(data, width, height, now))
        self.query_one("#inbox-summary", Chart).draw(
            lambda width, height: inbox_lines(data.findings, data.advice, width, height)
        )
        self.query_one("#capture", Panel).set_lines(capture_lines(data))
        table = self.query_one(ListTable)
        chosen = [each for each in QUERY_COLUMNS if each.key in TOP_COLUMNS]
        table.sync(
            [(str(row.query.id), [each.cell(row, now) for each in chosen]) for row in data.rows[:TOP_QUERIES]]
        )

    @on(DataTable.RowSelected)
    def open_query(self, _message: DataTable.RowSelected) -> None:
        from tui.app.screens.query import QueryScreen

        selected = self.query_one(ListTable).selected
        if selected is not None:
            self.app.push_screen(QueryScreen(int(selected)))


def traffic_lines(data: Overview, width: int, height: int, now: float) -> list[str]:
    """Numbers on the first line, a column chart of calls per second below."""
    points = data.points
    if not points:
        return ["no traffic in the last minutes"]
    recent = data.recent
    head = (
        f"{rate(current_rate(points, now))}  p50 {duration(recent.p50_ms)}  "
        f"p95 {duration(recent.p95_ms)}  p99 {duration(recent.p99_ms)}"
    )
    rates = [point.calls / point.seconds for point in points]
    calls = sum(point.calls for point in points)
    errors = sum(point.errors for point in points)
    begin = f"-{age(now - points[0].start)}"
    totals = [counted(calls, "call"), counted(errors, "error"), f"peak {rate(max(rates))}"]
    foot = axis(begin, totals, width)
    return [clip(head, width), *columns(rates, width, max(1, height - 2)), foot]


def current_rate(points: Sequence[Point], now: float) -> float:
    """Calls a second in the last bucket that is over; in the one under way while there is no other."""
    last = points[-1]
    if last.start + last.seconds <= now:
        return last.calls / last.seconds
    if len(points) > 1:
        return points[-2].calls / points[-2].seconds
    return last.calls / max(1.0, now - last.start)


def inbox_lines(
    findings: Sequence[Finding], advice: Sequence[AdviceRecord], width: int, height: int
) -> list[str]:
    """What waits for a person: a count, and the heads of as many as there is room for."""
    new = [record for record in advice if record.state == "new"]
    accepted = sum(record.state == "accepted" for record in advice)
    if new:
        saves = duration(sum(record.benefit_ms for record in new))
        upper = [f"{len(new)} new advice, saves {saves}"]
    elif advice:
        upper = [f"No new advice; {len(advice)} decided"]
    else:
        upper = ["No advice yet: press A" if findings else "No advice yet"]
    if accepted:
        upper.append(f"{accepted} accepted, to be exported")
    wasted = duration(sum(finding.wasted_ms for finding in findings))
    lower = f"{counted(len(findings), 'finding')}, {wasted} wasted" if findings else "No findings so far"
    room = max(0, height - len(upper) - 1)
    advised = [clip("▸ " + one_line(record.title), width) for record in new[: (room + 1) // 2]]
    found = [
        clip(f"▸ {class_label(finding)}: {one_line(finding.title)}", width)
        for finding in findings[: room - len(advised)]
    ]
    return [*upper, *advised, lower, *found]


def capture_lines(data: Overview) -> list[str]:
    """What capture missed, how old the data is, and where it comes from."""
    status = data.status
    lines = list(status.health.lines)
    if status.age is not None:
        lines.append(f"written {age(status.age)} ago to {display(status.location)}")
    if status.listen:
        lines.append(f"listens on {one_line(status.listen)}")
    return [*lines, *status.health.details]
