"""Before and after, query by query: the same pages, read from the store by span of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workload.model import Query


@dataclass(frozen=True, slots=True)
class Change:
    """One query in two runs of the same traffic; times are ms."""

    query_id: int
    query: str
    calls_before: int
    calls_after: int
    mean_before: float
    mean_after: float

    @property
    def factor(self) -> float:
        """How many times faster a call became."""
        return self.mean_before / self.mean_after if self.mean_after else float("inf")

    @property
    def saved_ms(self) -> float:
        """Time saved over the calls of the run before."""
        return (self.mean_before - self.mean_after) * self.calls_before


@dataclass(frozen=True, slots=True)
class Run:
    """All statements of one run together."""

    name: str
    statements: int
    database_ms: float
    since: float
    until: float
    """Epoch seconds, as ``since``."""

    @property
    def seconds(self) -> float:
        """Wall time of the application."""
        return self.until - self.since


def changes(before: Iterable[Query], after: Iterable[Query]) -> list[Change]:
    """Queries that ran in both, the largest saving first."""
    later = {query.id: query for query in after}
    return sorted(
        (
            Change(
                query_id=query.id,
                query=query.query,
                calls_before=query.calls,
                calls_after=later[query.id].calls,
                mean_before=query.mean_ms,
                mean_after=later[query.id].mean_ms,
            )
            for query in before
            if query.id in later and query.timed_calls and later[query.id].timed_calls
        ),
        key=lambda change: (-change.saved_ms, change.query_id),
    )


def total(name: str, queries: Sequence[Query], since: float, until: float) -> Run:
    return Run(
        name=name,
        statements=sum(query.calls for query in queries),
        database_ms=sum(query.total_ms for query in queries),
        since=since,
        until=until,
    )
