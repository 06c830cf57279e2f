"""From what the store remembers to advice that was proved on the target.

Orchestration only: the catalog and the workload go to the proposers, candidates to the judge, what survives
to the store. One query, candidate or finding that fails becomes a rejection with its reason; the run ends
early only when the target cannot be reached or the store cannot be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import asyncpg
import msgspec
import psycopg

from advisor.catalog import Catalog, CatalogError, load_catalog
from advisor.choose.greedy import WeightedQuery, choose
from advisor.index_advice import advice_id, index_advice
from advisor.model import Advice, BatchCandidate, IndexCandidate, Rejection
from advisor.propose.indexes import (
    IndexProposals,
    ProposedIndex,
    WorkloadStatement,
    covering_index,
    propose_indexes,
    query_label,
)
from advisor.prove.explain import Explained, ExplainError, connect, type_names
from advisor.prove.snapshot import batch_advice
from advisor.prove.statements import StatementError, make_explainable
from advisor.prove.whatif import WhatIf, WhatIfError, WhatIfMode, open_what_if
from proxy.dsn import Dsn, DsnError, parse_dsn
from workload.model import AdviceRecord, Column, Finding, Query, Sample
from workload.store import Store

MAX_CANDIDATES = 60
"""Candidates judged in one run, those of the heaviest queries first."""

CONNECT_TIMEOUT = 15.0
"""Seconds to reach the target, where its connection string sets no limit."""

_EXPLAINED_KINDS = frozenset({"select", "insert", "update", "delete", "merge"})
SUPERSEDED = "no longer advised: judged again, other indexes do the work now, or it saves too little"
"""Reason with which a run withdraws advice that nobody has looked at yet."""

GONE = "it was applied, but the target does not have the index any more"
"""Reason with which a run takes applied advice up again: it was proposed, so no index does its work."""

_OPEN_STATES = ("new", "accepted", "snoozed", "exported")
_SAMPLES = 20

Progress = Callable[[str], None]


class AdviseError(Exception):
    """No advice can be worked out; the message says what happened and what to do."""


class UnreachableError(AdviseError):
    """The target cannot be reached or does not let us in; trying again may help."""


@dataclass(frozen=True, slots=True)
class AdviseReport:
    advice: tuple[Advice, ...]
    """What was proved in this run, the greatest benefit first."""
    rejections: tuple[Rejection, ...]
    """Candidates that were not, each with its reason."""
    notes: tuple[str, ...]
    """What limits the run as a whole: missing rights, a missing extension, old statistics."""


async def advise(
    store: Store,
    target: str | Dsn,
    *,
    what_if: WhatIfMode = "auto",
    own_server: bool = False,
    limit: int = 50,
    progress: Progress | None = None,
) -> AdviseReport:
    """Work out advice for the target's database from what the store saw there, and save it.

    ``limit`` is the number of queries looked at, those with the most total time first. ``own_server`` says
    that nobody else uses the target, so indexes may be built for real (and rolled back) where HypoPG is not
    installed. Raises UnreachableError when there is no connection to the target or it is lost, AdviseError
    when the target cannot be read or judged on, StoreError from the store.
    """
    dsn = _parsed(target)
    say = progress or (lambda _: None)
    say(f"reading the catalog of {dsn.database}")
    try:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            **{"timeout": CONNECT_TIMEOUT} | replace(dsn, application_name="pgcoach").connect_kwargs(),
            statement_cache_size=0,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UnreachableError(_unreachable(dsn, error)) from error
    try:
        catalog = await load_catalog(connection)
    except CatalogError as error:
        raise AdviseError(str(error)) from error
    finally:
        await connection.close()

    queries = store.queries(order="total_ms", limit=limit, database=catalog.database)
    run = _Run(store, dsn, catalog, queries, say)
    if not queries:
        run.notes.append(_nothing_captured(store, catalog.database))
    try:
        await run.indexes(what_if, own_server)
        await run.batches()
    except psycopg.Error as error:
        raise UnreachableError(_unreachable(dsn, error)) from error
    return run.save()


def load_advice(record: AdviceRecord) -> Advice:
    """The advice that a record of the store holds. Raises msgspec.ValidationError for a foreign document."""
    return msgspec.json.decode(record.document, type=Advice)


class _Run:
    """One call of ``advise``: what it knows, and what it has found so far."""

    def __init__(
        self, store: Store, dsn: Dsn, catalog: Catalog, queries: Sequence[Query], say: Progress
    ) -> None:
        self.store = store
        self.dsn = dsn
        self.catalog = catalog
        self.queries = {query.id: query for query in queries}
        self.say = say
        self.advice: list[Advice] = []
        self.rejections: list[tuple[str, str]] = []
        self.notes: list[str] = list(catalog.notes)
        self.judged: set[str] = set()
        """Ids that advice on the candidates judged in this run has, or would have had."""

    # Indexes ------------------------------------------------------------------------------------------

    async def indexes(self, mode: WhatIfMode, own_server: bool) -> None:
        proposals = self._propose()
        candidates = proposals.candidates[:MAX_CANDIDATES]
        self.rejections += [
            (proposal.label, f"not judged: {MAX_CANDIDATES} candidates of heavier queries came first")
            for proposal in proposals.candidates[MAX_CANDIDATES:]
        ]
        if not candidates:
            return
        try:
            async with open_what_if(self.dsn, self.catalog, mode, own_server) as judge:
                await self._judge(judge, candidates, proposals)
        except WhatIfError as error:
            if mode != "auto":
                raise AdviseError(str(error)) from error
            self.notes.append(str(error))
            self.rejections += [(proposal.label, "not judged: see the note") for proposal in candidates]

    def _propose(self) -> IndexProposals:
        statements = []
        for query in self.queries.values():
            if query.parse_error:
                self.rejections.append(
                    (query_label(query.id, query.query), "PostgreSQL's parser rejects its text")
                )
            elif query.kind in _EXPLAINED_KINDS:
                statements.append(WorkloadStatement(query.id, query.query, query.total_ms))
        self.say(f"reading {len(statements)} statements")
        proposals = propose_indexes(statements, self.catalog)
        self.rejections += proposals.rejections
        return proposals

    async def _judge(
        self, judge: WhatIf, candidates: Sequence[ProposedIndex], proposals: IndexProposals
    ) -> None:
        queries = await self._weighted(proposals)
        failures = await judge.prepare([proposal.candidate for proposal in candidates], self.say)
        possible = []
        for proposal in candidates:
            failure = failures.get(proposal.candidate)
            if failure is None:
                possible.append(proposal)
            else:
                self.rejections.append((proposal.label, failure))
        self.say("explaining today's plans")
        baseline: dict[int, Explained] = {}
        for id, answer in (await judge.costs(query.query for query in queries)).items():
            if isinstance(answer, ExplainError):
                self.rejections.append((query_label(id, self.queries[id].query), str(answer)))
            else:
                baseline[id] = answer
        choice = await choose(judge, possible, queries, baseline, self.say)
        self.rejections += choice.rejections
        self.judged = {advice_id(self.catalog.database, proposal.candidate) for proposal in possible}
        self.advice += [
            index_advice(chosen, self.catalog, self.queries, judge.method, time.time())
            for chosen in choice.chosen
        ]

    async def _weighted(self, proposals: IndexProposals) -> list[WeightedQuery]:
        samples: dict[int, list[Sample]] = {id: self.store.samples(id, _SAMPLES) for id in proposals.tables}
        oids = {oid for kept in samples.values() for sample in kept for oid in sample.param_oids}
        async with connect(self.dsn) as connection:
            types = await type_names(connection, oids)
        weighted = []
        for id, tables in proposals.tables.items():
            query = self.queries[id]
            try:
                explainable = make_explainable(id, query.query, samples[id], types)
            except StatementError as error:
                self.rejections.append((query_label(id, query.query), str(error)))
                continue
            except Exception as error:
                # Too deep for Python's stack, or a node that the deparser does not know: its own rejection.
                reason = f"the statement could not be written back: {type(error).__name__}"
                self.rejections.append((query_label(id, query.query), reason))
                continue
            weighted.append(WeightedQuery(explainable, query.total_ms, tables))
        return weighted

    # N+1 ----------------------------------------------------------------------------------------------

    async def batches(self) -> None:
        advised: set[tuple[int, Column]] = set()
        for finding in sorted(self.store.findings(self.catalog.database), key=_most_certain_first):
            loop = (finding.query_id, finding.child)
            if finding.confidence == "low":
                self.rejections.append((finding.title, "repetition alone does not show that it is a loop"))
                continue
            if loop in advised:
                self.rejections.append((finding.title, "the same statement for another finding covers it"))
                continue
            query = self.queries.get(finding.query_id) or self.store.query(finding.query_id)
            if query is None:
                self.rejections.append((finding.title, "its query is no longer in the store"))
                continue
            self.say(f"proving one statement for: {finding.title}")
            try:
                result = await batch_advice(finding, query.query, self.dsn)
            except Exception as error:
                # A finding stands for itself: whatever goes wrong with its proof is its own rejection. The
                # message stays out, because a server's messages quote values.
                state = getattr(error, "sqlstate", None)
                reason = f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__
                self.rejections.append((finding.title, f"the proof failed: {reason}"))
                continue
            if isinstance(result, Rejection):
                self.rejections.append((result.what, result.reason))
            else:
                advised.add(loop)
                self.advice.append(result)

    # The store ----------------------------------------------------------------------------------------

    def save(self) -> AdviseReport:
        now = time.time()
        advice = sorted(self.advice, key=lambda item: (-item.benefit_ms, item.id))
        for item in advice:
            self.store.save_advice(_record(item, now))
        self._settle_earlier({item.id for item in advice})
        rejections = sorted(set(self.rejections))
        self.store.replace_rejections(self.catalog.database, rejections)
        database = self.catalog.database
        return AdviseReport(
            advice=tuple(advice),
            rejections=tuple(Rejection(what=w, reason=r, database=database) for w, r in rejections),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _settle_earlier(self, current: set[str]) -> None:
        """Bring index advice of earlier runs up to date with the target and with this run's judgement."""
        for record in self.store.advice():
            if record.kind != "index" or record.database != self.catalog.database:
                continue
            if record.id in current:
                if record.state == "rejected" and record.reason == SUPERSEDED:
                    self.store.set_advice_state(record.id, "new")
                elif record.state == "applied":
                    self.store.set_advice_state(record.id, "new", GONE)
                continue
            if record.state not in _OPEN_STATES:
                continue
            try:
                candidate = load_advice(record).candidate
            except msgspec.DecodeError:
                continue  # another version's document: it is shown as such, and nothing is known to settle
            if not isinstance(candidate, IndexCandidate):
                continue
            relation = self.catalog.relations.get((candidate.schema, candidate.table))
            index = covering_index(relation, candidate.keys, 0) if relation is not None else None
            if index is not None:
                self.store.set_advice_state(record.id, "applied", f"the target has {index.name}")
            elif record.state == "new" and record.id in self.judged:
                self.store.set_advice_state(record.id, "rejected", SUPERSEDED)


def _nothing_captured(store: Store, database: str) -> str:
    others = sorted({query.database for query in store.queries(order="total_ms", limit=500)})
    seen = f"; this store has queries of {', '.join(others)}" if others else ""
    return f"nothing was captured for database {database}{seen}: send its traffic through the proxy"


def _most_certain_first(finding: Finding) -> tuple[int, float, str]:
    return (("high", "medium", "low").index(finding.confidence), -finding.wasted_ms, finding.id)


def _record(advice: Advice, now: float) -> AdviceRecord:
    return AdviceRecord(
        id=advice.id,
        kind="batch" if isinstance(advice.candidate, BatchCandidate) else "index",
        state="new",
        title=advice.title,
        database=advice.database,
        benefit_ms=advice.benefit_ms,
        created_at=now,
        updated_at=now,
        reason="",
        document=msgspec.json.encode(advice),
    )


def _parsed(target: str | Dsn) -> Dsn:
    try:
        return parse_dsn(target) if isinstance(target, str) else target
    except DsnError as error:
        raise AdviseError(f"the target cannot be understood: {error}") from error


def _unreachable(dsn: Dsn, error: BaseException) -> str:
    return (
        f"database {dsn.database} on {dsn.addresses[0]} cannot be used as {dsn.user}: {error}. "
        "Check that the server runs and that psql can connect with the same string"
    )
