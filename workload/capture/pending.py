"""What the recorder has taken in and not yet written.

Statements of workers are joined to queries (a fingerprint in a database); counts are added up by query and
by bucket of the store, so that an interval without a writable store costs memory by distinct queries and
minutes, not by traffic. Nothing here does input or output; bounds are below, and what is over them is
counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from workload.capture.messages import Delta, SampleMessage, StatementDef, Unit
from workload.detect.statement import Statement
from workload.fingerprint import identify
from workload.model import Finding, Sample
from workload.parameters import permutation
from workload.store.findings import combined
from workload.store.writing import Increment, NewQuery

MAX_INCREMENTS: Final = 50_000
"""Query-and-bucket pairs; beyond it a query's counts go to its newest bucket, and none are lost."""
MAX_SAMPLES: Final = 5_000
MAX_UNITS: Final = 1_000
MAX_FINDINGS: Final = 2_000
MAX_QUERIES: Final = 20_000
"""Queries remembered; one that is forgotten is looked up in the store when a worker defines it again."""
MAX_QUERY_CHARACTERS: Final = 64 * 1024 * 1024
MAX_NUMBERS: Final = 50_000
"""Statement numbers remembered of one worker, who counts a tenth of that at the same time."""


class KnownQuery:
    """A query of the store, or one that will be: ``id`` and ``text`` are the store's as soon as it told."""

    __slots__ = ("applications", "id", "identity", "new", "text")

    def __init__(self, shape: StatementDef, seen_at: float) -> None:
        self.identity = identify(shape.shape, shape.truncated)
        self.id: int | None = None
        self.text = shape.shape
        self.applications: set[str] = set()
        """Those that the store was told."""
        self.new = NewQuery(
            database=shape.database,
            fingerprint=self.identity.fingerprint,
            text=shape.shape,
            kind=self.identity.kind,
            tables=self.identity.tables,
            parse_error=self.identity.parse_error,
            seen_at=seen_at,
        )


class Origin:
    """One connection of a worker: its statement numbers, and which delta came last."""

    __slots__ = ("sequence", "statements")

    def __init__(self) -> None:
        self.statements: dict[int, tuple[KnownQuery, str]] = {}
        """Number to (query, the shape that this worker saw)."""
        self.sequence = 0

    def described(self, unit: Unit) -> dict[int, Statement]:
        """What the detectors need to know of the statements in a unit; queries without an id are left out."""
        found = {}
        for number in {step.statement for step in unit.steps}:
            query, shape = self.statements.get(number, (None, ""))
            if query is not None and query.id is not None:
                found[number] = Statement(query.id, query.identity.fingerprint, shape, query.new.database)
        return found


@dataclass(slots=True)
class Pending:
    """Everything since the last successful write."""

    at: float = 0.0
    increments: dict[KnownQuery, dict[int, Increment]] = field(default_factory=dict)
    """By query and fine bucket; ``query_id`` is filled in when they are written."""
    increment_count: int = 0
    samples: list[tuple[KnownQuery, str, SampleMessage]] = field(default_factory=list)
    units: list[tuple[Origin, Unit]] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def add_increment(self, query: KnownQuery, increment: Increment) -> None:
        buckets = self.increments.setdefault(query, {})
        bucket = increment.bucket
        present = buckets.get(bucket)
        if present is None and buckets and self.increment_count >= MAX_INCREMENTS:
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
            origin.statements[definition.id] = (self._query(definition, delta.at), definition.shape)
        if len(origin.statements) > MAX_NUMBERS:
            for number in list(origin.statements)[: MAX_NUMBERS // 2]:
                del origin.statements[number]
        if not delta.sequence:
            return
        if origin.sequence and delta.sequence > origin.sequence + 1:
            # What the sender dropped it counts itself (lost.deltas); this is the other end's view of it.
            pending.count("gaps.deltas", delta.sequence - origin.sequence - 1)
        origin.sequence = delta.sequence
        pending.at = max(pending.at, delta.at)
        for statement in delta.statements:
            query, _shape = origin.statements.get(statement.id, (None, ""))
            if query is None:
                pending.count("lost.statements", statement.calls + statement.errors)
                continue
            applications = set(statement.applications) - query.applications
            query.applications |= applications
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
            query, shape = origin.statements.get(sample.statement, (None, ""))
            if query is not None:
                samples.append((query, shape, sample))
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

    def _query(self, definition: StatementDef, seen_at: float) -> KnownQuery:
        identity = identify(definition.shape, definition.truncated)
        key = (definition.database, identity.fingerprint)
        query = self.queries.get(key)
        if query is None:
            if len(self.queries) >= MAX_QUERIES or self._characters > MAX_QUERY_CHARACTERS:
                self.queries = {known: other for known, other in self.queries.items() if other.id is None}
                self._characters = sum(len(other.text) for other in self.queries.values())
            self._characters += len(definition.shape)
            query = self.queries[key] = KnownQuery(definition, seen_at)
        return query

    def _gauges(self) -> dict[str, float]:
        """Gauges of all workers: added up, for they are numbers of things."""
        total: dict[str, float] = {"workers": float(len(self.worker_gauges))}
        for gauges in self.worker_gauges.values():
            for name, value in gauges.items():
                total[name] = total.get(name, 0.0) + value
        return total


def sample_of(query: KnownQuery, shape: str, message: SampleMessage) -> Sample | None:
    """The sample in the order of the query's text; None when it does not fit that text."""
    order = permutation(query.text, shape)
    if query.id is None or order is None or len(message.params) != len(order):
        return None
    return Sample(
        query_id=query.id,
        params=tuple(message.params[position] for position in order),
        param_oids=tuple(message.oids[position] for position in order),
        duration_ms=None if message.duration_us < 0 else message.duration_us / 1000,
        rows=message.rows,
        taken_at=message.taken_at,
        masked=message.masked,
    )
