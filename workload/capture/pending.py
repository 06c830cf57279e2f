"""What the recorder has taken in and not yet written.

Counts are added up by query (``capture.known``) and by bucket of the store, so that an interval without a
writable store costs memory by distinct queries and minutes, not by traffic. Nothing here does input or
output; bounds are below, and what is over them is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workload.capture.known import KnownQuery, Origin
from workload.capture.messages import Delta, SampleMessage, StatementDef, Unit
from workload.fingerprint import identify
from workload.model import Finding
from workload.store.findings import combined
from workload.store.writing import Increment

MAX_INCREMENTS: Final = 50_000
"""Query-and-bucket pairs; beyond it a query's counts go to its newest bucket, and only those of queries
that are not among them are lost."""
MAX_SAMPLES: Final = 5_000
MAX_UNITS: Final = 1_000
MAX_FINDINGS: Final = 2_000
MAX_QUERIES: Final = 20_000
"""Queries remembered; one that is forgotten is looked up in the store when a worker defines it again."""
MAX_QUERY_CHARACTERS: Final = 64 * 1024 * 1024
"""Of the texts of the queries remembered, and of those that wait."""


@dataclass(slots=True)
class Pending:
    """Everything since the last successful write."""

    at: float = 0.0
    increments: dict[KnownQuery, dict[int, Increment]] = field(default_factory=dict)
    """By query and fine bucket; ``query_id`` is filled in when they are written."""
    increment_count: int = 0
    characters: int = 0
    """Of the texts of the queries in ``increments``."""
    samples: list[tuple[KnownQuery, str, SampleMessage]] = field(default_factory=list)
    units: list[tuple[Origin, Unit]] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def queries(self) -> list[KnownQuery]:
        """Those that something here is about, each once, in the order in which they came."""
        sampled = (query for query, _shape, _message in self.samples)
        return list(dict.fromkeys((*self.increments, *sampled)))

    def add_increment(self, query: KnownQuery, increment: Increment) -> None:
        full = self.increment_count >= MAX_INCREMENTS
        buckets = self.increments.get(query)
        if buckets is None:
            if full or self.characters > MAX_QUERY_CHARACTERS:
                self.count("lost.statements", increment.calls + increment.errors)
                return
            buckets = self.increments[query] = {}
            self.characters += len(query.text)
        bucket = increment.bucket
        present = buckets.get(bucket)
        if present is None and buckets and full:
            present = buckets[max(buckets)]
        if present is None:
            buckets[bucket] = increment
            self.increment_count += 1
        else:
            present.add(increment)

    def add_finding(self, finding: Finding) -> None:
        known = self.findings.get(finding.id)
        if known is None and len(self.findings) >= MAX_FINDINGS:
            self.count("lost.findings")
            return
        self.findings[finding.id] = finding if known is None else combined(known, finding)

    def add_units(self, units: list[tuple[Origin, Unit]]) -> None:
        room = max(0, MAX_UNITS - len(self.units))
        self.units.extend(units[:room])
        if len(units) > room:
            self.count("lost.units", len(units) - room)

    def add_samples(self, samples: list[tuple[KnownQuery, str, SampleMessage]]) -> None:
        self.samples.extend(samples)
        if len(self.samples) > MAX_SAMPLES:
            self.count("lost.samples", len(self.samples) - MAX_SAMPLES)
            del self.samples[:-MAX_SAMPLES]

    def add(self, later: Pending) -> None:
        """Merge what came after this."""
        self.at = max(self.at, later.at)
        for query, buckets in later.increments.items():
            for increment in buckets.values():
                self.add_increment(query, increment)
        self.add_samples(later.samples)
        self.add_units(later.units)
        for finding in later.findings.values():
            self.add_finding(finding)
        for name, amount in later.counters.items():
            self.count(name, amount)
        self.gauges.update(later.gauges)


class Intake:
    """Takes deltas in; the one place that knows which queries were met."""

    __slots__ = ("_characters", "pending", "queries", "worker_gauges")

    def __init__(self) -> None:
        self.queries: dict[tuple[str, str], KnownQuery] = {}
        self.pending = Pending()
        self._characters = 0
        self.worker_gauges: dict[int, dict[str, float]] = {}

    def receive(self, origin: Origin, delta: Delta) -> None:
        pending = self.pending
        for definition in delta.definitions:
            origin.define(definition.id, self._query(definition), definition.shape)
        if not delta.sequence:
            return
        if origin.sequence and delta.sequence > origin.sequence + 1:
            # What the sender dropped it counts itself (lost.deltas); this is the other end's view of it.
            pending.count("gaps.deltas", delta.sequence - origin.sequence - 1)
        origin.sequence = delta.sequence
        pending.at = max(pending.at, delta.at)
        for statement in delta.statements:
            query = origin.used(statement.id)
            if query is None:
                pending.count("lost.statements", statement.calls + statement.errors)
                continue
            query.first_seen = min(query.first_seen, delta.at)
            applications = query.untold(statement.applications)
            pending.add_increment(
                query,
                Increment(
                    query_id=0,
                    at=delta.at,
                    calls=statement.calls,
                    errors=statement.errors,
                    rows=statement.rows,
                    bytes=statement.bytes_out,
                    timed_calls=statement.timed_calls,
                    total_us=statement.total_us,
                    max_us=statement.max_us,
                    histogram=dict(statement.histogram),
                    sqlstates=dict(statement.sqlstates),
                    applications=applications,
                ),
            )
        samples = []
        for sample in delta.samples:
            known = origin.statements.get(sample.statement)
            if known is None:
                pending.count("lost.samples")
            else:
                samples.append((*known, sample))
        pending.add_samples(samples)
        pending.add_units([(origin, unit) for unit in delta.units])
        for name, amount in delta.counters.items():
            pending.count(name, amount)
        self.worker_gauges[delta.worker] = delta.gauges
        pending.gauges = self._gauges()

    def worker_left(self, worker: int) -> None:
        """Forget the gauges of a worker that is gone."""
        self.worker_gauges.pop(worker, None)
        self.pending.gauges = self._gauges()

    def take(self) -> Pending:
        """Everything since the last call; to be given back with ``give_back`` if it cannot be written."""
        taken = self.pending
        self.pending = Pending()
        return taken

    def give_back(self, taken: Pending) -> None:
        taken.add(self.pending)
        self.pending = taken

    def _query(self, definition: StatementDef) -> KnownQuery:
        identity = identify(definition.shape, definition.truncated)
        key = (definition.database, identity.fingerprint)
        query = self.queries.get(key)
        if query is None:
            if len(self.queries) >= MAX_QUERIES or self._characters > MAX_QUERY_CHARACTERS:
                # Whoever still counts one of them has it; met again it gets the same id from the store.
                self.queries.clear()
                self._characters = 0
            self._characters += len(definition.shape)
            query = self.queries[key] = KnownQuery(definition)
        return query

    def _gauges(self) -> dict[str, float]:
        """Gauges of all workers: added up, for they are numbers of things."""
        total: dict[str, float] = {"workers": float(len(self.worker_gauges))}
        for gauges in self.worker_gauges.values():
            for name, value in gauges.items():
                total[name] = total.get(name, 0.0) + value
        return total
