"""Reading queries: ranked over all time or a span, one in detail, as a series.

A span of time is covered by as few rows as possible: coarse buckets in the middle, fine ones at its edges.
What is older than the fine buckets' retention is rounded outwards to coarse buckets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import inf
from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from workload.capture.histogram import Histogram, merged
from workload.model import Query, Sample
from workload.store import schema
from workload.store.errors import StoreError
from workload.store.pruning import FINE_HORIZON
from workload.store.schema import ALL_QUERIES, COARSE_SPAN, FINE_SPAN, TOTAL_SPAN

Order = Literal[
    "total_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "calls", "errors", "rows", "bytes",
    "first_seen", "last_seen",
]  # fmt: skip
FINE_SERIES = 3600.0
"""The longest span, in seconds, whose series comes in fine buckets."""
_IDS_A_SELECT = 500


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one bucket of a series. ``start`` is epoch seconds, ``seconds`` the bucket's width."""

    start: float
    seconds: int
    calls: int
    errors: int
    total_ms: float
    p50_ms: float
    p95_ms: float


_statistics = schema.statistics.c
_SUMS = (
    func.sum(_statistics.calls).label("calls"),
    func.sum(_statistics.errors).label("errors"),
    func.sum(_statistics.rows).label("rows"),
    func.sum(_statistics.bytes).label("bytes"),
    func.sum(_statistics.timed_calls).label("timed_calls"),
    func.sum(_statistics.total_us).label("total_us"),
    func.max(_statistics.max_us).label("max_us"),
)


def listed(
    connection: Connection,
    *,
    since: float | None = None,
    until: float | None = None,
    order: str = "total_ms",
    limit: int = 500,
    database: str | None = None,
    search: str | None = None,
) -> list[Query]:
    """Queries that ran in the span, the largest of ``order`` first. ``search`` is found in text or id.

    Raises StoreError for an unknown order.
    """
    if order not in get_args(Order):
        raise StoreError(f"{order!r} is no order of queries; there are {', '.join(get_args(Order))}.")
    conditions: list[ColumnElement[bool]] = []
    if database is not None:
        conditions.append(schema.query.c.database == database)
    if search:
        conditions.append(
            or_(
                schema.query.c.text.icontains(search, autoescape=True),
                schema.query.c.fingerprint == search.lower(),
            )
        )
    return _read(connection, covering(connection, since, until), conditions, order, limit)


def find(
    connection: Connection, id: int, *, since: float | None = None, until: float | None = None
) -> Query | None:
    """One query over the span; None when there is no such query, or it did not run then."""
    found = _read(
        connection, covering(connection, since, until), [schema.query.c.id == id], "total_ms", limit=1
    )
    return found[0] if found else None


def _read(
    connection: Connection,
    span: ColumnElement[bool],
    conditions: list[ColumnElement[bool]],
    order: str,
    limit: int,
) -> list[Query]:
    by_percentile = order in ("p50_ms", "p95_ms", "p99_ms")
    columns: dict[str, Any] = {
        "total_ms": _SUMS[5],
        "mean_ms": _SUMS[5] * 1.0 / func.max(func.sum(_statistics.timed_calls), 1),
        "max_ms": _SUMS[6],
    }
    for sums in _SUMS[:4]:
        columns[sums.name] = sums
    columns |= {name: schema.query.c[name] for name in ("first_seen", "last_seen")}
    statement = (
        select(schema.query, *_SUMS)
        .join(schema.statistics, _statistics.query_id == schema.query.c.id)
        .where(span, *conditions)
        .group_by(schema.query.c.id)
    )
    if not by_percentile:
        # limit rows in SQL, so that only their histograms are read
        statement = statement.order_by(columns[order].desc(), schema.query.c.id).limit(limit)
    rows = connection.execute(statement).all()
    histograms = _histograms(connection, span, [row.id for row in rows])
    queries = [_query(row, histograms.get(row.id, Histogram())) for row in rows]
    if by_percentile:
        queries.sort(key=lambda query: (-getattr(query, order), query.id))
    return queries[:limit]


def _histograms(connection: Connection, span: ColumnElement[bool], ids: list[int]) -> dict[int, Histogram]:
    found: dict[int, list[bytes]] = {}
    for start in range(0, len(ids), _IDS_A_SELECT):
        rows = connection.execute(
            select(_statistics.query_id, _statistics.histogram).where(
                span, _statistics.query_id.in_(ids[start : start + _IDS_A_SELECT])
            )
        )
        for query_id, blob in rows:
            found.setdefault(query_id, []).append(blob)
    return {query_id: merged(blobs) for query_id, blobs in found.items()}


def _query(row: Row[Any], histogram: Histogram) -> Query:
    max_ms = row.max_us / 1000
    # The estimate for a bucket may lie above everything that was in it.
    p50, p95, p99 = (min(us / 1000, max_ms) for us in histogram.percentiles((0.5, 0.95, 0.99)))
    total_ms = row.total_us / 1000
    return Query(
        id=row.id,
        fingerprint=row.fingerprint,
        database=row.database,
        query=row.text,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        calls=row.calls,
        errors=row.errors,
        rows=row.rows,
        bytes=row.bytes,
        timed_calls=row.timed_calls,
        total_ms=total_ms,
        mean_ms=total_ms / row.timed_calls if row.timed_calls else 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=max_ms,
        kind=row.kind,
        tables=tuple(json.loads(row.tables)),
        applications=tuple(json.loads(row.applications)),
        parse_error=row.parse_error,
    )


def covering(connection: Connection, since: float | None, until: float | None) -> ColumnElement[bool]:
    """The condition on ``statistics`` that selects a span of time without counting anything twice."""
    if since is None and until is None:
        return _statistics.span == TOTAL_SPAN
    pieces = segments(since, until, _fine_horizon(connection))
    return or_(
        *(
            and_(
                _statistics.span == span,
                _statistics.bucket >= low,
                *([] if high == inf else [_statistics.bucket < high]),
            )
            for span, low, high in pieces
        )
    )


def _fine_horizon(connection: Connection) -> float:
    """Epoch seconds before which fine buckets were deleted."""
    meta = schema.meta.c
    return float(connection.execute(select(meta.value).where(meta.key == FINE_HORIZON)).scalar() or 0)


def segments(since: float | None, until: float | None, horizon: float) -> list[tuple[int, float, float]]:
    """(bucket width, from, up to) that cover [since, until), fine buckets only at the edges."""
    low = _down(max(0.0, since or 0.0), FINE_SPAN)
    high = inf if until is None else _up(until, FINE_SPAN)
    coarse_low = _down(low, COARSE_SPAN) if low < horizon else _up(low, COARSE_SPAN)
    if high == inf:
        coarse_high = inf
    else:
        coarse_high = _up(high, COARSE_SPAN) if high <= horizon else _down(high, COARSE_SPAN)
    if coarse_low >= coarse_high:
        return [(FINE_SPAN, low, high)]
    pieces = [
        (FINE_SPAN, low, coarse_low),
        (COARSE_SPAN, coarse_low, coarse_high),
        (FINE_SPAN, coarse_high, high),
    ]
    return [piece for piece in pieces if piece[1] < piece[2]]


def _down(at: float, span: int) -> float:
    return at // span * span


def _up(at: float, span: int) -> float:
    return -(-at // span) * span


def series(connection: Connection, query_id: int | None, since: float, until: float) -> list[Point]:
    """The buckets of the span in which anything ran, oldest first; None for all queries together.

    They are fine ones for a span of at most ``FINE_SERIES`` seconds of which all fine buckets are kept.
    """
    fine = until - since <= FINE_SERIES and since >= _fine_horizon(connection)
    width = FINE_SPAN if fine else COARSE_SPAN
    rows = connection.execute(
        select(schema.statistics)
        .where(
            _statistics.query_id == (ALL_QUERIES if query_id is None else query_id),
            _statistics.span == width,
            _statistics.bucket >= _down(since, width),
            _statistics.bucket < until,
        )
        .order_by(_statistics.bucket)
    )
    points = []
    for row in rows:
        p50, p95 = Histogram.from_bytes(row.histogram).percentiles((0.5, 0.95))
        points.append(
            Point(
                start=float(row.bucket),
                seconds=width,
                calls=row.calls,
                errors=row.errors,
                total_ms=row.total_us / 1000,
                p50_ms=min(p50, row.max_us) / 1000,
                p95_ms=min(p95, row.max_us) / 1000,
            )
        )
    return points


def histogram(
    connection: Connection, query_id: int | None, since: float | None, until: float | None
) -> Histogram:
    """The latency histogram over the span; None for all queries together."""
    id = ALL_QUERIES if query_id is None else query_id
    return _histograms(connection, covering(connection, since, until), [id]).get(id, Histogram())


def errors(connection: Connection, query_id: int) -> dict[str, int]:
    """How often each SQLSTATE came, over all time."""
    table = schema.query_error.c
    rows = connection.execute(
        select(table.sqlstate, table["count"])
        .where(table.query_id == query_id)
        .order_by(table["count"].desc())
    )
    return {row[0]: row[1] for row in rows}


def samples(connection: Connection, query_id: int, limit: int) -> list[Sample]:
    """Executions that were kept, the newest first."""
    table = schema.sample.c
    rows: Iterable[Any] = connection.execute(
        select(schema.sample).where(table.query_id == query_id).order_by(table.id.desc()).limit(limit)
    )
    return [
        Sample(
            query_id=row.query_id,
            params=tuple(json.loads(row.params)),
            param_oids=tuple(json.loads(row.param_oids)),
            duration_ms=None if row.duration_us is None else row.duration_us / 1000,
            rows=row.rows,
            taken_at=row.taken_at,
            masked=row.masked,
        )
        for row in rows
    ]
