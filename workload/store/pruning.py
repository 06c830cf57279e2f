"""What is deleted with time: statistics, findings and queries past their retention.

Without it a file would grow for ever: with time by its buckets, and with a schema that mints fingerprints (a
table for each day, a schema for each tenant) by its queries. What somebody may still come back to stays:
everything that advice is about, and the queries of a finding for as long as the finding. Sums over all
queries together are kept, so a query that goes is still counted there.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, select

from workload.model import Finding
from workload.store import schema
from workload.store.findings import listed as listed_findings
from workload.store.schema import COARSE_RETENTION, COARSE_SPAN, FINE_RETENTION, FINE_SPAN
from workload.store.writing import parts, put_meta

FINE_HORIZON = "fine_horizon"
"""Meta key: epoch seconds before which only coarse buckets are left."""
QUERIES_AT_ONCE = 1_000
"""Deleted in one transaction, so that the recorder's writes need not wait long."""


class _Gain(msgspec.Struct):
    query_id: int


class _Candidate(msgspec.Struct):
    finding_id: str = ""


class _Advice(msgspec.Struct):
    """The parts of the advisor's document that say what it is about."""

    gains: tuple[_Gain, ...] = ()
    candidate: _Candidate = msgspec.field(default_factory=_Candidate)


_read_advice = msgspec.json.Decoder(_Advice).decode


def prune_statistics(connection: Connection, now: float) -> int:
    """Delete buckets past their retention; gives the rows deleted. ``now`` is epoch seconds."""
    table = schema.statistics.c
    deleted = 0
    for span, retention in ((FINE_SPAN, FINE_RETENTION), (COARSE_SPAN, COARSE_RETENTION)):
        horizon = _horizon(now, retention)
        old = delete(schema.statistics).where(table.span == span, table.bucket < horizon)
        deleted += connection.execute(old).rowcount
        if span == FINE_SPAN:
            put_meta(connection, FINE_HORIZON, str(horizon))
    return deleted


def prune_queries(connection: Connection, now: float) -> int:
    """Delete findings and queries that were not seen for ``COARSE_RETENTION`` seconds; gives their number.

    At most ``QUERIES_AT_ONCE`` queries; fewer say that there are no more. Everything else that is about
    them (samples, errors, statistics) goes with them.
    """
    advised_queries, advised_findings = _advised(connection)
    horizon = _horizon(now, COARSE_RETENTION)
    kept: list[Finding] = []
    gone: list[str] = []
    for finding in listed_findings(connection, None):
        if finding.last_seen < horizon and finding.id not in advised_findings:
            gone.append(finding.id)
        else:
            kept.append(finding)
    for ids in parts(gone):
        connection.execute(delete(schema.finding).where(schema.finding.c.id.in_(ids)))
    wanted = advised_queries.union(finding.query_id for finding in kept)
    wanted.update(finding.parent_query_id for finding in kept if finding.parent_query_id is not None)
    table = schema.query.c
    # SQLite gives the next row the greatest id plus one. While that row stays no id is ever used again, and
    # what still has the id of a query that went cannot speak of another one.
    newest = select(func.max(table.id)).scalar_subquery()
    unseen = connection.execute(
        select(table.id).where(table.last_seen < horizon, table.id < newest).order_by(table.id)
    ).scalars()
    old = [id for id in unseen if id not in wanted][:QUERIES_AT_ONCE]
    for part in parts(old):
        connection.execute(delete(schema.statistics).where(schema.statistics.c.query_id.in_(part)))
        connection.execute(delete(schema.query).where(table.id.in_(part)))
    return len(gone) + len(old)


def _advised(connection: Connection) -> tuple[set[int], set[str]]:
    """Queries and findings that advice of any state is about."""
    queries: set[int] = set()
    findings: set[str] = set()
    for document in connection.execute(select(schema.advice.c.document)).scalars():
        try:
            advice = _read_advice(document)
        except msgspec.DecodeError:
            # Of another version of the advisor: nobody can read it, so nobody misses what it is about.
            continue
        queries.update(gain.query_id for gain in advice.gains)
        findings.add(advice.candidate.finding_id)
    return queries, findings


def _horizon(now: float, retention: int) -> int:
    """Epoch seconds, a whole coarse bucket: what begins before it is past its retention."""
    return (int(now) - retention) // COARSE_SPAN * COARSE_SPAN
