"""The rows of the lists: what each cell says, how they sort, which flags they carry. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from tui.format import age, duration, one_line, percent, short_count
from workload.model import AdviceRecord, Finding, Query

SLOW_MS = 100.0
"""A query is flagged slow when its p95 is at least this: what a person starts to notice."""

FLAG_LEGEND = "N N+1  A advice  S slow  E errors"


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A query with what other parts of the store say about it."""

    query: Query
    load: float
    """Share of the total time of all queries shown, 0 to 1."""
    flags: str
    """Letters of FLAG_LEGEND."""
    text: str
    """The query on one line."""


def query_rows(
    queries: Sequence[Query], with_findings: Collection[int] = (), with_advice: Collection[int] = ()
) -> list[QueryRow]:
    """Rows for the queries, in their order. The two collections hold query ids."""
    total = sum(query.total_ms for query in queries)
    return [
        QueryRow(
            query=query,
            load=query.total_ms / total if total > 0 else 0.0,
            flags=flags(query, query.id in with_findings, query.id in with_advice),
            text=one_line(query.query),
        )
        for query in queries
    ]


def flags(query: Query, finding: bool, advice: bool) -> str:
    """Letters of FLAG_LEGEND, at most four."""
    marks = (
        ("N", finding),
        ("A", advice),
        ("S", query.timed_calls > 0 and query.p95_ms >= SLOW_MS),
        ("E", query.errors > 0),
    )
    return "".join(letter for letter, holds in marks if holds)


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """A column of the query list."""

    key: str
    title: str
    width: int
    cell: Callable[[QueryRow, float], str]
    """The text, for a row and the current time (epoch seconds)."""
    order: Callable[[QueryRow], float | str]
    descending: bool = True
    """What the first sort by this column does."""
    numeric: bool = True
    wide: bool = False
    """Only shown where there is room."""


QUERY_COLUMNS = (
    QueryColumn("load", "load", 6, lambda row, now: percent(row.load), lambda row: row.query.total_ms),
    QueryColumn(
        "calls", "calls", 5, lambda row, now: short_count(row.query.calls), lambda row: row.query.calls
    ),
    QueryColumn(
        "mean", "mean", 7, lambda row, now: _timed(row, row.query.mean_ms), lambda r: r.query.mean_ms
    ),
    QueryColumn(
        "p50", "p50", 7, lambda row, now: _timed(row, row.query.p50_ms), lambda r: r.query.p50_ms, wide=True
    ),
    QueryColumn("p95", "p95", 7, lambda row, now: _timed(row, row.query.p95_ms), lambda r: r.query.p95_ms),
    QueryColumn(
        "p99", "p99", 7, lambda row, now: _timed(row, row.query.p99_ms), lambda r: r.query.p99_ms, wide=True
    ),
    QueryColumn("rows", "rows", 5, lambda row, now: short_count(row.query.rows), lambda r: r.query.rows),
    QueryColumn(
        "errors",
        "errs",
        5,
        lambda row, now: short_count(row.query.errors),
        lambda r: r.query.errors,
        wide=True,
    ),
    QueryColumn(
        "seen",
        "seen",
        6,
        lambda row, now: age(now - row.query.last_seen),
        lambda row: row.query.last_seen,
        wide=True,
    ),
    QueryColumn("flags", "flag", 4, lambda row, now: row.flags, lambda row: len(row.flags), numeric=False),
    QueryColumn(
        "database",
        "database",
        12,
        lambda row, now: one_line(row.query.database),
        lambda row: row.query.database,
        descending=False,
        numeric=False,
        wide=True,
    ),
    QueryColumn(
        "query", "query", 0, lambda row, now: row.text, lambda row: row.text, descending=False, numeric=False
    ),
)
"""The last column takes the room that is left (width 0)."""


def _timed(row: QueryRow, ms: float) -> str:
    return duration(ms) if row.query.timed_calls else "–"


def column(key: str) -> QueryColumn:
    """The column with that key. Raises KeyError."""
    for each in QUERY_COLUMNS:
        if each.key == key:
            return each
    raise KeyError(key)


def sort_rows(rows: Iterable[QueryRow], key: str, descending: bool) -> list[QueryRow]:
    """Sorted by a column; equal rows keep the order of their ids, so that a refresh does not shuffle them."""
    order = column(key).order
    by_id = sorted(rows, key=lambda row: row.query.id)
    return sorted(by_id, key=order, reverse=descending)


STATE_MARKS = {
    "new": "●",
    "accepted": "✓",
    "rejected": "✗",
    "snoozed": "z",
    "exported": "→",
    "applied": "▶",
    "verified": "★",
    "regressed": "!",
}
"""A sign beside the word, so that a column of states can be skimmed."""


def state_label(state: str) -> str:
    return f"{STATE_MARKS.get(state, '?')} {state}"


_STATE_ORDER = {state: place for place, state in enumerate(STATE_MARKS)}
_OPEN = ("new", "accepted")


def inbox_order(records: Iterable[AdviceRecord]) -> list[AdviceRecord]:
    """What needs a decision first, then what waits for its export, then the settled; each by benefit."""
    return sorted(
        records,
        key=lambda record: (
            _OPEN.index(record.state) if record.state in _OPEN else len(_OPEN),
            -record.benefit_ms,
            _STATE_ORDER.get(record.state, len(_STATE_ORDER)),
            record.id,
        ),
    )


CLASS_LABELS = {
    "n_plus_one_read": "N+1 read",
    "n_plus_one_with_repeats": "N+1, repeating",
    "count_or_exists_per_row": "count per row",
    "top_k_per_row": "top k per row",
    "n_plus_one_write": "N+1 write",
    "duplicate_read": "duplicate read",
    "repeated_query": "repeated query",
}


def class_label(finding: Finding) -> str:
    return CLASS_LABELS.get(finding.cls, finding.cls)


def finding_order(found: Iterable[Finding]) -> list[Finding]:
    """The most wasteful first."""
    return sorted(found, key=lambda finding: (-finding.wasted_ms, finding.id))
