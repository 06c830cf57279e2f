"""Advice on an index as a document: the candidate, its proof, what each query gains. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from advisor.catalog import Catalog, Relation
from advisor.choose.greedy import Chosen, Gain
from advisor.model import Advice, IndexCandidate, Proof, ProofMethod, QueryGain
from advisor.sql import drop_index_ddl, index_ddl
from workload.model import Query
from workload.tokens import SQUASHED

_WRITES = frozenset({"insert", "update", "delete", "merge"})

LOCK_NOTE = (
    "CREATE INDEX CONCURRENTLY reads the table twice while reads and writes go on; it waits for transactions "
    "that were open when it started, and cannot run inside a transaction block"
)


def advice_id(database: str, candidate: IndexCandidate) -> str:
    """16 hex digits over what is proposed where: the same in every run, whatever the proof says."""
    parts = ["index", database, candidate.schema, candidate.table, candidate.method]
    parts += [f"{key.column} {key.descending} {key.nulls_first}" for key in candidate.keys]
    parts += ["include", *candidate.include]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def index_advice(
    chosen: Chosen, catalog: Catalog, queries: Mapping[int, Query], method: ProofMethod, now: float
) -> Advice:
    """The advice for a chosen index; ``now`` is the time of the proof, epoch seconds."""
    candidate = chosen.proposal.candidate
    relation = catalog.relations[candidate.schema, candidate.table]
    gains = tuple(_gain(gain, queries[gain.query_id]) for gain in chosen.gains)
    return Advice(
        id=advice_id(catalog.database, candidate),
        title=_title(candidate),
        database=catalog.database,
        candidate=candidate,
        proof=Proof(
            method=method,
            server_version=catalog.version,
            made_at=now,
            summary=_summary(chosen, method),
            index_bytes=chosen.bytes,
            table_bytes=relation.bytes,
            table_rows=relation.rows if relation.rows >= 0 else None,
            limits=tuple(_limits(chosen, relation, queries, catalog, method)),
        ),
        gains=gains,
        ddl=index_ddl(candidate) + ";",
        rollback=drop_index_ddl(candidate) + ";",
        lock_note=LOCK_NOTE,
        benefit_ms=chosen.benefit_ms,
    )


def _title(candidate: IndexCandidate) -> str:
    keys = ", ".join(key.column + (" DESC" if key.descending else "") for key in candidate.keys)
    return f"Index {candidate.table} ({keys})"


def _gain(gain: Gain, query: Query) -> QueryGain:
    """Costs are means over the samples; the plans are those of the sample that gains most."""
    falls = [
        (before.total_cost - after.total_cost, -position)
        for position, (before, after) in enumerate(zip(gain.before.plans, gain.after.plans, strict=False))
    ]
    position = -max(falls)[1]
    return QueryGain(
        query_id=query.id,
        fingerprint=query.fingerprint,
        query=query.query,
        calls=query.calls,
        total_ms=query.total_ms,
        cost_before=gain.before.cost,
        cost_after=gain.after.cost,
        plan_before=gain.before.documents[position],
        plan_after=gain.after.documents[position],
    )


def _summary(chosen: Chosen, method: ProofMethod) -> str:
    how = "as a hypothetical index (HypoPG)" if method == "hypopg" else "by building it and rolling back"
    count = len(chosen.gains)
    plans = "one query gets a cheaper plan" if count == 1 else f"{count} queries get cheaper plans"
    top = max(chosen.gains, key=lambda gain: 1 - gain.after.cost / gain.before.cost)
    return (
        f"Judged {how}: {plans}, at best of cost {top.after.cost:,.0f} instead of {top.before.cost:,.0f} "
        "(planner's units)"
    )


def _limits(
    chosen: Chosen,
    relation: Relation,
    queries: Mapping[int, Query],
    catalog: Catalog,
    method: ProofMethod,
) -> list[str]:
    limits = ["saved time is an estimate: observed time in proportion to the planner's costs"]
    if any(gain.before.generic for gain in chosen.gains):
        limits.append("no captured values for some queries: planned generically, with average selectivities")
    if any(SQUASHED in queries[gain.query_id].query for gain in chosen.gains):
        limits.append("lists (IN, VALUES) are captured and planned with their first member only")
    if chosen.together_with:
        limits.append(f"judged together with {', '.join(chosen.together_with)}")
    if not relation.has_statistics:
        limits.append(f"{relation.label} has no statistics: run ANALYZE and advise again")
    if method == "hypopg":
        limits.append("the size is an estimate from the table's statistics")
    writes = sum(
        query.calls
        for query in queries.values()
        if query.kind in _WRITES and any(_same(name, relation, catalog) for name in query.tables)
    )
    if writes:
        limits.append(f"the cost of maintaining it on writes is not counted ({writes:,} writes captured)")
    return limits


def _same(name: str, relation: Relation, catalog: Catalog) -> bool:
    schema, _, table = name.rpartition(".")
    found = catalog.resolve(schema, table)
    return found is not None and found.oid == relation.oid
