"""What the screens ask of the store. Every method is called in a worker thread, never in the event loop.

A store that is not there yet is a state, not an error: the application may be started before the proxy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.model import Advice, BatchCandidate
from tui.advice_view import AdviceView, UnreadableAdviceError, advice_view, read_advice
from tui.app.rows import QueryRow, finding_order, inbox_order, query_rows
from tui.app.status import Status, judge, missing, server_name
from workload.capture.histogram import value_of
from workload.model import AdviceRecord, Finding, Query, Sample
from workload.store import Point, Store
from workload.store.advice import Transition

CHART_SECONDS = 600
"""Span of the traffic chart."""
MOST_QUERIES = 500
"""Rows of the query list: what a screen can repaint each second without a pause."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over a span, ms."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Overview:
    status: Status
    points: tuple[Point, ...]
    """The last CHART_SECONDS, oldest first, without gaps."""
    recent: Latency
    """Over the same span."""
    rows: tuple[QueryRow, ...]
    findings: tuple[Finding, ...]
    advice: tuple[AdviceRecord, ...]


@dataclass(frozen=True, slots=True)
class QueryList:
    status: Status
    rows: tuple[QueryRow, ...]


@dataclass(frozen=True, slots=True)
class QueryDetail:
    status: Status
    query: Query
    errors: dict[str, int]
    """SQLSTATE to how often."""
    points: tuple[Point, ...]
    latencies: dict[float, int]
    """Milliseconds to calls, over all time."""
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]
    advice: tuple[AdviceRecord, ...]


@dataclass(frozen=True, slots=True)
class FindingList:
    status: Status
    findings: tuple[Finding, ...]
    texts: dict[int, str]
    """Statements of the queries involved, by id."""


@dataclass(frozen=True, slots=True)
class AdviceList:
    status: Status
    records: tuple[AdviceRecord, ...]
    findings: int
    """How many findings there are: an empty inbox says different things with and without."""


@dataclass(frozen=True, slots=True)
class AdviceDetail:
    status: Status
    record: AdviceRecord
    view: AdviceView
    history: tuple[Transition, ...]


class NotThereError(Exception):
    """What a screen was opened on is no longer, or not yet, in the store."""


class Reader:
    """The store behind the screens, opened when it is there. Threads may share it."""

    def __init__(self, location: str, now: Callable[[], float]) -> None:
        """``now`` gives epoch seconds."""
        self.location = str(Path(location).expanduser())
        self._now = now
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._identity: tuple[int, int] | None = None
        """Device and inode of the open file: another one may take its place."""

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def store(self) -> Store | None:
        """The open store; None while there is no file. Raises StoreError for a file that is no store."""
        with self._lock:
            identity = _identity(self.location)
            if identity != self._identity and self._store is not None:
                self._store.close()
                self._store = None
            if self._store is None and identity is not None:
                self._store = Store.open(self.location, create=False)
            self._identity = identity
            return self._store

    def required(self) -> Store:
        """The open store. Raises NotThereError while there is no file."""
        store = self.store()
        if store is None:
            raise NotThereError(f"there is no store at {self.location} any more")
        return store

    def overview(self) -> Overview:
        store = self.store()
        if store is None:
            nothing = Latency(0.0, 0.0, 0.0)
            return Overview(self._missing(), (), nothing, (), (), ())
        queries = store.queries(limit=MOST_QUERIES)
        findings = finding_order(store.findings())
        advice = inbox_order(store.advice())
        now = self._now()
        recent = store.histogram(None, now - CHART_SECONDS, now)
        return Overview(
            status=self._status(store, bool(queries)),
            points=tuple(without_gaps(store.series(None, now - CHART_SECONDS, now), now)),
            recent=Latency(*(us / 1000 for us in recent.percentiles((0.5, 0.95, 0.99)))),
            rows=tuple(self._rows(queries, findings, advice)),
            findings=tuple(findings),
            advice=tuple(advice),
        )

    def queries(self) -> QueryList:
        store = self.store()
        if store is None:
            return QueryList(self._missing(), ())
        queries = store.queries(limit=MOST_QUERIES)
        rows = self._rows(queries, store.findings(), store.advice())
        return QueryList(self._status(store, bool(queries)), tuple(rows))

    def query(self, query_id: int) -> QueryDetail:
        """Raises NotThereError."""
        store = self.required()
        query = store.query(query_id)
        if query is None:
            raise NotThereError(f"query {query_id} is not in the store")
        now = self._now()
        histogram = store.histogram(query_id)
        findings = [each for each in store.findings() if query_id in (each.query_id, each.parent_query_id)]
        ids = {each.id for each in findings}
        advice = [
            record
            for record in store.advice()
            if query_id in queries_of(record, dict.fromkeys(ids, query_id))
        ]
        return QueryDetail(
            status=self._status(store, True),
            query=query,
            errors=store.errors(query_id),
            points=tuple(without_gaps(store.series(query_id, now - CHART_SECONDS, now), now)),
            latencies={value_of(index) / 1000: n for index, n in histogram.counts.items()},
            samples=tuple(store.samples(query_id)),
            findings=tuple(finding_order(findings)),
            advice=tuple(inbox_order(advice)),
        )

    def findings(self) -> FindingList:
        store = self.store()
        if store is None:
            return FindingList(self._missing(), (), {})
        status = self._status(store, bool(store.queries(limit=1)))
        found = finding_order(store.findings())
        ends = [(each.query_id, each.parent_query_id) for each in found]
        involved = {end for pair in ends for end in pair if end is not None}
        queries = [store.query(end) for end in sorted(involved)]
        texts = {query.id: query.query for query in queries if query is not None}
        return FindingList(status, tuple(found), texts)

    def advice(self) -> AdviceList:
        store = self.store()
        if store is None:
            return AdviceList(self._missing(), (), 0)
        status = self._status(store, bool(store.queries(limit=1)))
        return AdviceList(status, tuple(inbox_order(store.advice())), len(store.findings()))

    def advice_detail(self, advice_id: str) -> AdviceDetail:
        """Raises NotThereError, UnreadableAdviceError."""
        store = self.required()
        record = store.advice_record(advice_id)
        if record is None:
            raise NotThereError(f"advice {advice_id} is not in the store")
        history = tuple(store.advice_history(advice_id))
        return AdviceDetail(self._status(store, True), record, advice_view(record), history)

    def decide(self, ids: Iterable[str], state: str, reason: str) -> None:
        """Writes a decision on each of the advice. Raises StoreError."""
        store = self.required()
        for advice_id in ids:
            store.set_advice_state(advice_id, state, reason)

    def _missing(self) -> Status:
        return missing(self.location)

    def _status(self, store: Store, traffic: bool) -> Status:
        return judge(
            self.location,
            traffic=traffic,
            last_write=store.last_write(),
            listen=store.meta("listen") or "",
            upstream=server_name(store.meta("upstream") or ""),
            counters=store.counters(),
            now=self._now(),
        )

    @staticmethod
    def _rows(
        queries: Sequence[Query], findings: Sequence[Finding], advice: Sequence[AdviceRecord]
    ) -> list[QueryRow]:
        by_finding = {finding.id: finding.query_id for finding in findings}
        advised: set[int] = set()
        for record in advice:
            if record.state != "rejected":
                advised |= queries_of(record, by_finding)
        return query_rows(queries, set(by_finding.values()), advised)


def _identity(location: str) -> tuple[int, int] | None:
    try:
        found = Path(location).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def queries_of(record: AdviceRecord, by_finding: dict[str, int]) -> set[int]:
    """Ids of the queries that the advice is about; ``by_finding`` maps findings to queries."""
    try:
        advice: Advice = read_advice(record)
    except UnreadableAdviceError:
        return set()
    found = {gain.query_id for gain in advice.gains}
    if isinstance(advice.candidate, BatchCandidate) and advice.candidate.finding_id in by_finding:
        found.add(by_finding[advice.candidate.finding_id])
    return found


def without_gaps(points: Sequence[Point], now: float) -> list[Point]:
    """Buckets from the first one with traffic to now; those in which nothing ran are zero.

    The store only has buckets in which something happened; a chart that left out the others would lie.
    """
    if not points:
        return []
    width = points[0].seconds
    known = {int(point.start): point for point in points}
    first = int(points[0].start)
    last = max(int(points[-1].start), int(now) // width * width)
    return [known.get(start) or _idle(start, width) for start in range(first, last + 1, width)]


def _idle(start: int, width: int) -> Point:
    return Point(start=float(start), seconds=width, calls=0, errors=0, total_ms=0.0, p50_ms=0.0, p95_ms=0.0)
