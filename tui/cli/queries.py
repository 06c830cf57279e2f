"""``pgcoach queries``: what ran, the most expensive first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tui.cli.options import Json, Store, existing_store

if TYPE_CHECKING:
    from workload.model import Query

Order = Literal["total", "calls", "mean", "p95", "rows"]

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
    limit: Annotated[int, Parameter(help="How many, at most.")] = 50,
) -> None:
    """The queries that ran, the most expensive first.

    Total time and percentiles are over the executions whose own time the proxy could tell.
    """
    from tui.cli.output import write_json
    from workload.store import Store as OpenStore

    begin = span_start(since, time.time())
    with OpenStore.open(existing_store(store), create=False) as opened:
        found = opened.queries(since=begin, order=STORE_ORDER[order], limit=limit)
    if json:
        write_json([document(query) for query in found])
    else:
        print_table(found)


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


def print_table(found: list[Query]) -> None:
    from tui.cli.errors import notice
    from tui.cli.output import console, table
    from tui.format import count, duration, one_line, percent

    if not found:
        notice("no queries in that span: is traffic going through the proxy?")
        return
    total = sum(query.total_ms for query in found) or 1.0
    numbers = ("total", "share", "calls", "mean", "p50", "p95", "p99", "rows", "errors")
    shown = table(*numbers, "database", "query", numeric=numbers, flexible=("query",))
    for query in found:
        shown.add_row(
            duration(query.total_ms),
            percent(query.total_ms / total),
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
    console().print(shown)
