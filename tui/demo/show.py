"""What the demo prints: short tables from real figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from advisor.model import Advice, BatchCandidate
from tui.demo.measure import Change, Run
from tui.format import clip, counted, one_line
from workload.model import Finding, Query

_TOP = 6
_PROSE = {"what", "proof", "run"}
_WORDS = {"kind", "class", "confidence"}
_FIGURES = 42
"""Columns that the figures beside a query take."""


def queries(console: Console, found: Sequence[Query]) -> None:
    everything = sum(query.total_ms for query in found) or 1.0
    table = _table("Most expensive queries", "load", "calls", "mean", "p95", "query")
    for query in found[:_TOP]:
        table.add_row(
            f"{100 * query.total_ms / everything:.0f} %",
            f"{query.calls:,}",
            _ms(query.mean_ms),
            _ms(query.p95_ms),
            Text(_line(console, query.query)),
        )
    console.print(table)


def findings(console: Console, found: Sequence[Finding]) -> None:
    table = _table("Findings", "class", "confidence", "calls", "units", "what")
    for finding in found[:_TOP]:
        table.add_row(
            finding.cls, finding.confidence, f"{finding.calls:,}", f"{finding.units:,}", Text(finding.title)
        )
    console.print(table)


def advice(console: Console, found: Sequence[Advice], rejected: int) -> None:
    table = _table("Advice, proved", "kind", "what", "proof")
    for item in found:
        kind = "batch" if isinstance(item.candidate, BatchCandidate) else "index"
        table.add_row(kind, Text(item.title), Text(item.proof.summary))
    console.print(table)
    if rejected:
        console.print(
            f"  {counted(rejected, 'other candidate')} did not hold. On a database of your own, "
            "`pgcoach advise --why-not` gives the reasons."
        )


def files(console: Console, written: Sequence[Path]) -> None:
    console.print("[green]✓[/green] Exported")
    for path in written:
        console.print(f"  {path}", soft_wrap=True, highlight=False, markup=False)


def changes(console: Console, found: Sequence[Change]) -> None:
    table = _table("The same pages before and after", "before", "after", "faster", "calls", "query")
    for change in found[:_TOP]:
        table.add_row(
            _ms(change.mean_before),
            _ms(change.mean_after),
            f"{change.factor:.1f} ×",
            f"{change.calls_after:,}",
            Text(_line(console, change.query)),
        )
    console.print(table)


def runs(console: Console, found: Sequence[Run]) -> None:
    table = _table("All pages", "run", "statements", "database time", "wall time")
    for run in found:
        table.add_row(
            run.name, f"{run.statements:,}", f"{run.database_ms / 1000:.2f} s", f"{run.seconds:.1f} s"
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        if column in _PROSE:
            table.add_column(column, overflow="fold")
        elif column == "query":
            table.add_column(column, no_wrap=True)
        else:
            table.add_column(column, justify="right" if column not in _WORDS else "left", no_wrap=True)
    return table


def _line(console: Console, sql: str) -> str:
    """The statement's head in what the figures leave of the line."""
    room = max(20, console.width - _FIGURES)
    return clip(one_line(sql), room)


def _ms(value: float) -> str:
    return f"{value:,.2f} ms" if value < 100 else f"{value:,.0f} ms"
