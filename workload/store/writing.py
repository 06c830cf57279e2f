"""What the recorder writes once a second: everything that happened. (New queries: ``store.definitions``.)

Counters are added to what is there, so that the order of batches does not matter and a batch that failed
can be merged with the next one. Histograms cannot be added by SQL: the rows to change are read, merged in
Python and written back inside one BEGIN IMMEDIATE transaction, which nobody can get between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from workload.capture.histogram import Histogram
from workload.model import Finding, Sample
from workload.store import schema
from workload.store.findings import merge_into
from workload.store.schema import ALL_QUERIES, COARSE_SPAN, FINE_SPAN, TOTAL_SPAN

_COUNTERS = ("calls", "errors", "rows", "bytes", "timed_calls", "total_us")
KEYS_A_SELECT = 300
"""Keys in one IN: SQLite takes no more than 32,766 parameters a statement, and plans short lists faster."""
MAX_APPLICATIONS = 20
"""application_name values kept of one query."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NewQuery:
    """A query that may not be in the store yet."""

    database: str
    fingerprint: str
    text: str
    kind: str
    tables: tuple[str, ...]
    parse_error: bool
    seen_at: float


@dataclass(slots=True)
class Increment:
    """What one query did in one fine bucket; ``at`` is epoch seconds within it."""

    query_id: int
    at: float
    calls: int = 0
    errors: int = 0
    rows: int = 0
    bytes: int = 0
    timed_calls: int = 0
    total_us: int = 0
    max_us: int = 0
    histogram: dict[int, int] = field(default_factory=dict)
    sqlstates: dict[str, int] = field(default_factory=dict)
    applications: set[str] = field(default_factory=set)
    """application_name values that the store may not have with this query yet."""

    @property
    def bucket(self) -> int:
        return int(self.at) // FINE_SPAN * FINE_SPAN

    def add(self, other: Increment) -> None:
        """Merge another increment of the same query and bucket into this one."""
        self.at = max(self.at, other.at)
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.max_us = max(self.max_us, other.max_us)
        _add(self.histogram, other.histogram)
        _add(self.sqlstates, other.sqlstates)
        self.applications |= other.applications


@dataclass(slots=True)
class Batch:
    """Everything that one transaction of the recorder writes."""

    at: float = 0.0
    increments: dict[tuple[int, int], Increment] = field(default_factory=dict)
    """By query and fine bucket."""
    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def add(self, increment: Increment) -> None:
        key = (increment.query_id, increment.bucket)
        present = self.increments.get(key)
        if present is None:
            self.increments[key] = increment
        else:
            # Neither is changed: they must be good for another batch if this one cannot be written.
            both = Increment(increment.query_id, present.at)
            both.add(present)
            both.add(increment)
            self.increments[key] = both


def write_batch(connection: Connection, batch: Batch) -> None:
    """Write everything in the batch; the caller's transaction makes it all or nothing."""
    increments = list(batch.increments.values())
    _write_statistics(connection, increments)
    _write_seen(connection, increments)
    _write_errors(connection, increments)
    _write_samples(connection, batch.samples)
    for finding in batch.findings:
        merge_into(connection, finding)
    add_counters(connection, batch.counters)
    _write_gauges(connection, batch.gauges, batch.at)
    put_meta(connection, "last_write", repr(batch.at))


def _write_statistics(connection: Connection, increments: Iterable[Increment]) -> None:
    merged: dict[tuple[int, int, int], Increment] = {}
    for increment in increments:
        for span in (FINE_SPAN, COARSE_SPAN, TOTAL_SPAN):
            bucket = int(increment.at) // span * span if span else 0
            for query_id in (increment.query_id, ALL_QUERIES):
                key = (span, bucket, query_id)
                present = merged.get(key)
                if present is None:
                    present = merged[key] = Increment(query_id, increment.at)
                present.add(increment)
    if not merged:
        return
    table = schema.statistics.c
    known: dict[tuple[int, int, int], bytes] = {}
    for part in parts(list(merged)):
        # One IN a span and bucket: SQLite plans that as key look-ups, and row values not always.
        groups: dict[tuple[int, int], list[int]] = {}
        for span, bucket, query_id in part:
            groups.setdefault((span, bucket), []).append(query_id)
        for (span, bucket), ids in groups.items():
            rows = select(table.query_id, table.histogram).where(
                table.span == span, table.bucket == bucket, table.query_id.in_(ids)
            )
            known.update({(span, bucket, row.query_id): row.histogram for row in connection.execute(rows)})
    statement = insert(schema.statistics)
    new = statement.excluded
    changes: dict[str, Any] = {name: table[name] + new[name] for name in _COUNTERS}
    changes["max_us"] = func.max(table.max_us, new.max_us)
    changes["histogram"] = new.histogram
    rows_to_write = []
    for key, increment in merged.items():
        histogram = Histogram.from_bytes(known.get(key, b""))
        histogram.merge(increment.histogram)
        row = {name: getattr(increment, name) for name in (*_COUNTERS, "max_us", "query_id")}
        rows_to_write.append(row | {"span": key[0], "bucket": key[1], "histogram": histogram.to_bytes()})
    connection.execute(
        statement.on_conflict_do_update(index_elements=["span", "bucket", "query_id"], set_=changes),
        rows_to_write,
    )


def _write_seen(connection: Connection, increments: Iterable[Increment]) -> None:
    """first_seen and last_seen of the queries, and the applications that ran them."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    applications: dict[int, set[str]] = {}
    for increment in increments:
        id = increment.query_id
        first[id] = min(first.get(id, increment.at), increment.at)
        last[id] = max(last.get(id, 0.0), increment.at)
        if increment.applications:
            applications.setdefault(id, set()).update(increment.applications)
    if not last:
        return
    table = schema.query.c
    connection.execute(
        update(schema.query)
        .where(table.id == bindparam("of"))
        .values(
            first_seen=func.min(table.first_seen, bindparam("first")),
            last_seen=func.max(table.last_seen, bindparam("last")),
        ),
        [{"of": id, "first": first[id], "last": last[id]} for id in last],
    )
    for id, names in applications.items():
        known = connection.execute(select(table.applications).where(table.id == id)).scalar()
        if known is not None:
            together = sorted(names.union(json.loads(known)))[:MAX_APPLICATIONS]
            connection.execute(
                update(schema.query).where(table.id == id).values(applications=json.dumps(together))
            )


def _write_errors(connection: Connection, increments: Iterable[Increment]) -> None:
    rows = [
        {"query_id": increment.query_id, "sqlstate": sqlstate, "count": count}
        for increment in increments
        for sqlstate, count in increment.sqlstates.items()
    ]
    if rows:
        statement = insert(schema.query_error)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["query_id", "sqlstate"],
                set_={"count": schema.query_error.c["count"] + statement.excluded["count"]},
            ),
            rows,
        )


def _write_samples(connection: Connection, samples: Sequence[Sample]) -> None:
    """Add samples; each query keeps the newest ``SAMPLES_PER_QUERY``."""
    if not samples:
        return
    connection.execute(
        insert(schema.sample),
        [
            {
                "query_id": sample.query_id,
                "params": json.dumps(sample.params),
                "param_oids": json.dumps(sample.param_oids),
                "duration_us": None if sample.duration_ms is None else round(sample.duration_ms * 1000),
                "rows": sample.rows,
                "taken_at": sample.taken_at,
                "masked": sample.masked,
            }
            for sample in samples
        ],
    )
    table = schema.sample.c
    for query_id in {sample.query_id for sample in samples}:
        oldest_kept = (
            select(table.id)
            .where(table.query_id == query_id)
            .order_by(table.id.desc())
            .limit(1)
            .offset(schema.SAMPLES_PER_QUERY - 1)
            .scalar_subquery()
        )
        connection.execute(delete(schema.sample).where(table.query_id == query_id, table.id < oldest_kept))


def add_counters(connection: Connection, counters: dict[str, int]) -> None:
    rows = [{"name": name, "value": amount} for name, amount in counters.items() if amount]
    if rows:
        statement = insert(schema.counter)
        total = schema.counter.c.value + statement.excluded.value
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": total}), rows
        )


def _write_gauges(connection: Connection, gauges: dict[str, float], at: float) -> None:
    rows = [{"name": name, "value": value, "updated_at": at} for name, value in gauges.items()]
    if rows:
        statement = insert(schema.gauge)
        new = {"value": statement.excluded.value, "updated_at": statement.excluded.updated_at}
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=new), rows)


def put_meta(connection: Connection, key: str, value: str) -> None:
    statement = insert(schema.meta).values(key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
    )


def _add(counts: dict[_T, int], more: dict[_T, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


def parts(items: Sequence[_T]) -> Iterable[Sequence[_T]]:
    """The items in slices that fit an IN."""
    for start in range(0, len(items), KEYS_A_SELECT):
        yield items[start : start + KEYS_A_SELECT]
