"""The store: one SQLite file, the interface between the recorder, the advisor and the people.

Every method is one short transaction. Threads and processes may use the same file at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from sqlalchemy import select

from workload.capture.histogram import Histogram
from workload.model import AdviceRecord, Finding, Query, Sample
from workload.store import advice, definitions, findings, pruning, queries, schema, writing
from workload.store.advice import Transition
from workload.store.connection import Database, open_database
from workload.store.errors import StoreError
from workload.store.queries import Point
from workload.store.writing import Batch, NewQuery


def default_location() -> Path:
    """Where the store lives when nobody says so, for instance ``~/.local/state/pgcoach/pgcoach.db``."""
    from platformdirs import user_state_path

    return user_state_path("pgcoach") / "pgcoach.db"


class Store:
    """An open store. All methods raise StoreError, and StoreBusyError where trying again later may help."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, location: str | Path, *, create: bool = True) -> Store:
        """Open the file, make it (mode 0600) if it is not there, and bring its schema up to date.

        Raises StoreError: missing with ``create=False``, not a store, unreadable, made by a newer pgcoach.
        """
        if isinstance(location, str) and "://" in location:
            scheme = location.partition("://")[0]
            raise StoreError(f"The store is a file; {scheme}:// is not supported. Give --store a path.")
        return cls(open_database(Path(location).expanduser().absolute(), create=create))

    @property
    def path(self) -> Path:
        return self._database.path

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Queries

    def queries(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        order: str = "total_ms",
        limit: int = 500,
        database: str | None = None,
        search: str | None = None,
    ) -> list[Query]:
        """Queries that ran in the span (epoch seconds; None: open), the largest of ``order`` first."""
        with self._database.read() as connection:
            return queries.listed(
                connection,
                since=since,
                until=until,
                order=order,
                limit=limit,
                database=database,
                search=search,
            )

    def query(self, id: int, since: float | None = None, until: float | None = None) -> Query | None:
        """One query over the span; None when it is unknown or did not run then."""
        with self._database.read() as connection:
            return queries.find(connection, id, since=since, until=until)

    def series(self, query_id: int | None, since: float, until: float) -> list[Point]:
        """The buckets in which anything ran, oldest first; of all queries together for None."""
        with self._database.read() as connection:
            return queries.series(connection, query_id, since, until)

    def histogram(
        self, query_id: int | None, since: float | None = None, until: float | None = None
    ) -> Histogram:
        """Latencies over the span, in µs; of all queries together for None."""
        with self._database.read() as connection:
            return queries.histogram(connection, query_id, since, until)

    def errors(self, query_id: int) -> dict[str, int]:
        """SQLSTATE to how often it came, the most frequent first."""
        with self._database.read() as connection:
            return queries.errors(connection, query_id)

    def samples(self, query_id: int, limit: int = 20) -> list[Sample]:
        """Executions that were kept, the newest first."""
        with self._database.read() as connection:
            return queries.samples(connection, query_id, limit)

    # Findings

    def findings(self, database: str | None = None) -> list[Finding]:
        """All findings, the most wasteful first."""
        with self._database.read() as connection:
            return findings.listed(connection, database)

    def finding(self, id: str) -> Finding | None:
        with self._database.read() as connection:
            return findings.find(connection, id)

    def merge_finding(self, finding: Finding) -> None:
        """Add a sighting: with a known id units, calls and wasted time add up."""
        with self._database.write() as connection:
            findings.merge_into(connection, finding)

    # Advice

    def advice(self, states: Iterable[str] | None = None) -> list[AdviceRecord]:
        """Advice in these states (None: all), the greatest benefit first."""
        with self._database.read() as connection:
            return advice.listed(connection, states)

    def advice_record(self, id: str) -> AdviceRecord | None:
        with self._database.read() as connection:
            return advice.find(connection, id)

    def save_advice(self, record: AdviceRecord) -> None:
        """Add advice or renew its document; a state other than new, and its reason, stay."""
        with self._database.write() as connection:
            advice.save(connection, record)

    def set_advice_state(self, id: str, state: str, reason: str = "") -> AdviceRecord:
        """Change the state and remember the change.

        Raises StoreError for an unknown advice or state.
        """
        with self._database.write() as connection:
            return advice.set_state(connection, id, state, reason, time.time())

    def advice_history(self, id: str) -> list[Transition]:
        """The states that an advice went through, oldest first."""
        with self._database.read() as connection:
            return advice.history(connection, id)

    def replace_rejections(self, database: str, items: Sequence[tuple[str, str]]) -> None:
        """Make these (what, reason) the database's candidates that did not become advice."""
        with self._database.write() as connection:
            advice.replace_rejections(connection, database, items)

    def rejections(self) -> list[tuple[str, str, str]]:
        """(database, what, reason) of the candidates that did not become advice."""
        with self._database.read() as connection:
            return advice.rejections(connection)

    # What the proxy says about itself

    def counters(self) -> dict[str, int]:
        """Events counted over the life of the store: ``opaque.<reason>``, ``lost.<what>``, …"""
        with self._database.read() as connection:
            table = schema.counter.c
            return {row[0]: row[1] for row in connection.execute(select(table.name, table.value))}

    def gauges(self) -> dict[str, float]:
        """Values as of the last write; they describe a running proxy only."""
        with self._database.read() as connection:
            table = schema.gauge.c
            return {row[0]: row[1] for row in connection.execute(select(table.name, table.value))}

    def meta(self, key: str) -> str | None:
        with self._database.read() as connection:
            table = schema.meta.c
            return connection.execute(select(table.value).where(table.key == key)).scalar()

    def set_meta(self, key: str, value: str) -> None:
        with self._database.write() as connection:
            writing.put_meta(connection, key, value)

    def last_write(self) -> float | None:
        """Epoch seconds of the recorder's last batch; None before the first."""
        value = self.meta("last_write")
        return None if value is None else float(value)

    # The recorder

    def define_queries(self, items: Sequence[NewQuery]) -> list[int]:
        """The ids of the queries, in their order; unknown ones are added."""
        with self._database.write() as connection:
            return definitions.define_queries(connection, items)

    def texts(self, ids: Sequence[int]) -> dict[int, str]:
        """The texts that the store has for these queries, which may be spelled unlike later shapes."""
        with self._database.read() as connection:
            return definitions.texts_of(connection, ids)

    def present(self, ids: Sequence[int]) -> set[int]:
        """Those of the query ids that the store (still) has."""
        with self._database.read() as connection:
            return definitions.present(connection, ids)

    def write(self, batch: Batch) -> None:
        """Write a batch, all or nothing."""
        with self._database.write() as connection:
            writing.write_batch(connection, batch)

    def prune(self, now: float) -> int:
        """Delete what is past its retention and give the space back; gives the rows deleted.

        ``now`` is epoch seconds. Ids of deleted queries are never given to others.
        """
        with self._database.write() as connection:
            deleted = pruning.prune_statistics(connection, now)
        while True:
            with self._database.write() as connection:
                more = pruning.prune_queries(connection, now)
            deleted += more
            if more < pruning.QUERIES_AT_ONCE:
                break
        if deleted:
            self._database.vacuum()
        return deleted
