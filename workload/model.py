"""The nouns of this room, as they are read from the store. Times are epoch seconds (UTC), durations ms."""

from __future__ import annotations

from typing import Literal

import msgspec

FindingClass = Literal[
    "n_plus_one_read",
    "n_plus_one_with_repeats",
    "count_or_exists_per_row",
    "top_k_per_row",
    "n_plus_one_write",
    "duplicate_read",
    "repeated_query",
]
Confidence = Literal["high", "medium", "low"]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """All executions with one fingerprint in one database, over the asked-for span of time."""

    id: int
    fingerprint: str
    """16 hex digits from pglast, or ``x`` + 15 hex digits for a text that the parser rejects."""
    database: str
    query: str
    """Normalised text: literals replaced by $n, comments removed."""
    first_seen: float
    last_seen: float
    calls: int
    """Successful executions; equals pg_stat_statements' calls."""
    errors: int
    rows: int
    bytes: int
    timed_calls: int
    """Executions whose own time is known; percentiles and total_ms are over these."""
    total_ms: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    kind: str
    """select, insert, update, delete, merge, copy, utility or unknown."""
    tables: tuple[str, ...]
    """Relations named in the statement, as written (``schema.table`` where qualified)."""
    applications: tuple[str, ...]
    parse_error: bool


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One real execution of a query, kept for EXPLAIN, proofs and people. Production data."""

    query_id: int
    params: tuple[str | None, ...]
    """Canonical text of each parameter in the order of the normalised query's $n; None is NULL."""
    param_oids: tuple[int, ...]
    """Type OIDs, 0 where unknown (literals of the simple protocol)."""
    duration_ms: float | None
    rows: int
    taken_at: float
    masked: bool
    """True when params hold descriptions instead of values; such a sample cannot be replayed."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column named by a finding; schema and table are empty where the catalog was not readable."""

    schema: str = ""
    table: str = ""
    column: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something observed to be wasteful. ``id`` is stable over restarts, routes and drivers."""

    id: str
    cls: FindingClass
    confidence: Confidence
    title: str
    database: str
    query_id: int
    """The repeated (child) or slow query."""
    fingerprint: str
    parent_query_id: int | None
    parent_fingerprint: str | None
    child: Column
    """The predicate column that varies."""
    parent: Column
    """The result column whose values flow into it."""
    first_seen: float
    last_seen: float
    units: int
    """Units of work in which it was seen."""
    calls: int
    """Calls of the child in those units."""
    wasted_ms: float
    """Time spent in the repeated calls, minus an estimate for one batched call."""
    evidence: dict[str, object]
    """What was measured: calls_per_unit, distinct, coverage, order, boundary, orm, round_trips …"""
    sample_calls: tuple[tuple[str | None, ...], ...]
    """Parameters of up to 50 consecutive child calls of one unit; empty unless samples are full."""
    sample_oids: tuple[int, ...]


class AdviceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Advice as the store keeps it: what lists need, and the advisor's own document beside it."""

    id: str
    kind: str
    """index, batch, rewrite, matview, statistics."""
    state: str
    """new, accepted, rejected, snoozed, exported, applied, verified, regressed."""
    title: str
    database: str
    benefit_ms: float
    """Predicted time saved over the observed span, ms; the sort key of the inbox."""
    created_at: float
    updated_at: float
    reason: str
    """What the person said when accepting or rejecting."""
    document: bytes
    """JSON of advisor.model.Advice."""
