"""``pgcoach queries``: what ran, the most expensive first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tui.cli.options import AT_LEAST_ONE, Json, Store, existing_store

if TYPE_CHECKING:
    from workload.model import Query

Order = Literal["total", "calls", "mean", "p95", "rows"]

MOST_COUNTED = 2000
"""Queries whose total time makes the whole that shares are of."""

TABLE_ROWS = 50
EVERYTHING = 1_000_000_000

STORE_ORDER: dict[Order, str] = {
    "total": "total_ms",
    "calls": "calls",
    "mean": "mean_ms",
    "p95": "p95_ms",
    "rows": "rows",
}


def queries(
    *,
    store: Store = None,
    json: Json = False,
    since: Annotated[
        str | None, Parameter(help="Only the last 90s, 15m, 2h, 1d … Default: all that the store has.")
    ] = None,
    order: Annotated[Order, Parameter(help="What comes first.")] = "total",
    limit: Annotated[
        int | None,
        Parameter(
            help=f"How many, at most. Default: {TABLE_ROWS} in the table, all as JSON.",
            validator=AT_LEAST_ONE,
        ),
    ] = None,
) -> None:
    """The queries that ran, the most expensive first.

    Total time and percentiles are over the executions whose own time the proxy could tell.
    """
    from tui.cli.output import write_json
    from workload.store import Store as OpenStore

    begin = span_start(since, time.time())
    with OpenStore.open(existing_store(store), create=False) as opened:
        most = (EVERYTHING if json else TABLE_ROWS) if limit is None else limit
        found = opened.queries(since=begin, order=STORE_ORDER[order], limit=most)
        total_ms = sum(query.total_ms for query in opened.queries(since=begin, limit=MOST_COUNTED))
    if json:
        write_json([document(query) for query in found])
    else:
        print_table(found, total_ms)


def span_start(since: str | None, now: float) -> float | None:
    """Epoch seconds at which the asked-for span begins. Raises CommandError on what is no span."""
    from tui.cli.errors import CommandError
    from tui.format import parse_span

    if since is None:
        return None
    try:
        return now - parse_span(since)
    except ValueError as error:
        raise CommandError(f"--since: {error}") from None


def document(query: Query) -> dict[str, Any]:
    """One query as JSON: the model's fields; instants are ISO 8601, durations milliseconds."""
    import msgspec

    from tui.format import timestamp

    fields = msgspec.structs.asdict(query)
    for name in ("total_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"):
        fields[name] = round(fields[name], 3)
    for name in ("first_seen", "last_seen"):
        fields[name] = timestamp(fields[name])
    return fields


def print_table(found: list[Query], total_ms: float) -> None:
    """A line a query, its share being of ``total_ms``; says so on stderr where there is none."""
    from tui.cli import output
    from tui.cli.errors import notice
    from tui.format import count, duration, one_line, percent

    if not found:
        notice("no queries in that span: is traffic going through the proxy?")
        return
    columns = (
        output.Column("total", numeric=True),
        output.Column("share", numeric=True, goes=2),
        output.Column("calls", numeric=True),
        output.Column("mean", numeric=True),
        output.Column("p50", numeric=True, goes=4),
        output.Column("p95", numeric=True),
        output.Column("p99", numeric=True, goes=3),
        output.Column("rows", numeric=True, goes=1),
        output.Column("errors", numeric=True, goes=5),
        output.Column("database", goes=6),
        output.Column("query"),
    )
    rows = [
        (
            duration(query.total_ms),
            percent(query.total_ms / total_ms if total_ms else 0.0),
            count(query.calls),
            duration(query.mean_ms),
            duration(query.p50_ms),
            duration(query.p95_ms),
            duration(query.p99_ms),
            count(query.rows),
            count(query.errors),
            one_line(query.database),
            one_line(query.query),
        )
        for query in found
    ]
    output.print_table(columns, rows)
