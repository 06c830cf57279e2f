"""The proof of a batched statement: on one snapshot it says the same as the calls, and how long both take.

Everything happens in one ``READ ONLY REPEATABLE READ`` transaction that is rolled back, with timeouts that
keep a surprise short. Before anything runs, the catalog must show that the statement only reads.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psycopg
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from advisor.model import Advice, Proof, Rejection
from advisor.propose.batch import NO_SAMPLES, BatchPlan, propose_batch
from advisor.propose.child import ParameterType, ServerFacts
from advisor.propose.orm import guess_relation, orm_fix
from advisor.propose.sqltree import UnsupportedStatementError
from advisor.prove.compare import Call, Result, Verdict, compare
from advisor.prove.replay import TextParameter, array_text, run, widened_oids
from advisor.prove.statement_facts import foreign_key_direction, statement_facts
from proxy.dsn import Dsn
from workload.detect.orm import orm_of
from workload.model import Finding

_SETTINGS = """
    SET LOCAL statement_timeout = '2s';
    SET LOCAL lock_timeout = '1s';
    SET LOCAL idle_in_transaction_session_timeout = '60s'"""
_CONNECT_TIMEOUT = 10
"""Seconds."""
_ROUNDS = 7
"""Interleaved measurements of each side."""
_CALLS_BUDGET = 10.0
"""Seconds for the calls of the comparison; those that do not fit are not compared, nor said to be."""
_MEASURE_BUDGET = 5.0
"""Seconds after which no further round begins; the first always runs."""


@dataclass(frozen=True, slots=True)
class Timing:
    calls_ms: float
    batched_ms: float
    rounds: int


async def batch_advice(finding: Finding, query_text: str, target: str | Dsn) -> Advice | Rejection:
    """Propose the batched statement for ``finding`` and prove it on ``target``.

    ``query_text`` is the normalised text of the finding's query; ``target`` names the database that it runs
    in (a libpq connection string). What the target refuses becomes the Rejection's reason.
    """
    what = f"one statement for: {finding.title}"

    def rejected(reason: str) -> Rejection:
        return Rejection(what=what, reason=reason, database=finding.database)

    if not finding.sample_calls:
        return rejected(NO_SAMPLES)
    finding = replace(finding, sample_oids=widened_oids(finding.sample_calls, finding.sample_oids))
    conninfo = target if isinstance(target, str) else target.conninfo()
    try:
        connection = await AsyncConnection.connect(
            conninfo, autocommit=True, client_encoding="utf8", connect_timeout=_CONNECT_TIMEOUT
        )
    except psycopg.Error as error:
        return rejected(f"no connection to the database to prove it on: {_told(error)}")
    async with connection:
        try:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await connection.execute(_SETTINGS)
            facts = await statement_facts(connection, query_text, finding.sample_calls, finding.sample_oids)
            orm = str(finding.evidence.get("orm") or "") or orm_of(query_text)
            relation = await foreign_key_direction(connection, finding.parent, finding.child)
            fix = orm_fix(orm, finding, relation or guess_relation(finding.parent, finding.child))
            plan = propose_batch(finding, query_text, facts, orm=orm, orm_fix=fix)
            if isinstance(plan, Rejection):
                return plan
            return await prove_batch(connection, finding, plan, facts)
        except UnsupportedStatementError as error:
            return rejected(str(error))
        except psycopg.Error as error:
            return rejected(f"the target refused a statement: {_told(error)}")
        finally:
            if not connection.closed:
                await connection.execute("ROLLBACK")


async def prove_batch(
    connection: AsyncConnection[TupleRow], finding: Finding, plan: BatchPlan, facts: ServerFacts
) -> Advice | Rejection:
    """Compare and measure ``plan`` in the transaction that ``connection`` is in.

    Raises psycopg.Error when a statement fails or runs into the timeout.
    """
    what = f"one statement for: {finding.title}"
    calls = finding.sample_calls

    async def run_calls(count: int, seconds: float = math.inf) -> list[Result]:
        """The first calls one after the other, at most ``count``; stops early after ``seconds``."""
        started = time.perf_counter()
        results: list[Result] = []
        for call in calls[:count]:
            if len(results) > 1 and time.perf_counter() - started > seconds:
                break
            parameters = _parameters(call, plan.call_order, finding.sample_oids)
            results.append(await run(connection, plan.call_sql, parameters))
        return results

    results = await run_calls(len(calls), _CALLS_BUDGET)
    calls = calls[: len(results)]
    keys = await _canonical_keys(connection, calls, plan, facts.parameters)
    batch_parameters = _batch_parameters(finding, plan, keys)
    batched = await run(connection, plan.candidate.batched, batch_parameters)
    verdict = compare([Call(key, result) for key, result in zip(keys, results, strict=True)], batched, plan)
    if verdict.difference:
        reason = f"the batched statement does not say the same: {verdict.difference}"
        return Rejection(what=what, reason=reason, database=finding.database)
    timing = await _measure(
        lambda: run_calls(len(calls)), lambda: run(connection, plan.candidate.batched, batch_parameters)
    )
    if timing.batched_ms >= timing.calls_ms:
        reason = (
            f"it says the same but is not faster here: {len(calls)} calls took {timing.calls_ms:.2f} ms, "
            f"the batched statement {timing.batched_ms:.2f} ms"
        )
        return Rejection(what=what, reason=reason, database=finding.database)
    version = connection.info.parameter_status("server_version") or str(connection.info.server_version)
    return _advice(finding, plan, verdict, timing, version, time.time())


def _parameters(
    call: Sequence[str | None], order: Sequence[int], oids: Sequence[int]
) -> list[TextParameter | None]:
    return [_parameter(call[number - 1], number, oids) for number in order]


def _parameter(value: str | None, number: int, oids: Sequence[int]) -> TextParameter | None:
    if value is None:
        return None
    return TextParameter(value, oids[number - 1] if number <= len(oids) else 0)


async def _canonical_keys(
    connection: AsyncConnection[TupleRow],
    calls: Sequence[Sequence[str | None]],
    plan: BatchPlan,
    types: Sequence[ParameterType],
) -> list[tuple[bytes | None, ...]]:
    """Each call's key as the server writes it: ``007`` and ``7`` are one integer."""
    arrays = ", ".join(f"${n}::{types[number - 1].name}[]" for n, number in enumerate(plan.arrays, 1))
    names = ", ".join(f"k{n}" for n, _ in enumerate(plan.arrays, 1))
    parameters = [
        TextParameter(array_text([call[number - 1] for call in calls]), 0) for number in plan.arrays
    ]
    sql = f"SELECT {names} FROM unnest({arrays}) WITH ORDINALITY AS k ({names}, ord) ORDER BY ord"
    return list((await run(connection, sql, parameters)).rows)


def _batch_parameters(
    finding: Finding, plan: BatchPlan, keys: Sequence[tuple[bytes | None, ...]]
) -> list[TextParameter | None]:
    """One array of distinct keys for each varying parameter, then the constants."""
    distinct = [key for key in dict.fromkeys(keys) if not (plan.drop_null_keys and None in key)]
    arrays: list[TextParameter | None] = [
        TextParameter(array_text([None if value is None else value.decode() for value in values]), 0)
        for values in ([key[position] for key in distinct] for position in range(len(plan.arrays)))
    ]
    return arrays + _parameters(finding.sample_calls[0], plan.scalars, finding.sample_oids)


async def _measure(
    calls_once: Callable[[], Awaitable[object]], batch_once: Callable[[], Awaitable[object]]
) -> Timing:
    """Both sides in turn, so that drift of the machine meets both; caches are warm by then.

    The shortest time of each counts: whatever else the machine does can only add to it, and would decide
    between statements that take a millisecond.
    """
    calls: list[float] = []
    batches: list[float] = []
    started = time.perf_counter()
    while len(calls) < _ROUNDS and (not calls or time.perf_counter() - started < _MEASURE_BUDGET):
        before = time.perf_counter()
        await calls_once()
        between = time.perf_counter()
        await batch_once()
        calls.append(between - before)
        batches.append(time.perf_counter() - between)
    return Timing(min(calls) * 1e3, min(batches) * 1e3, len(calls))


def _advice(
    finding: Finding, plan: BatchPlan, verdict: Verdict, timing: Timing, version: str, now: float
) -> Advice:
    saved_here = finding.calls * (timing.calls_ms - timing.batched_ms) / verdict.calls
    where = ".".join(part for part in (finding.child.table, finding.child.column) if part)
    proof = Proof(
        method="snapshot",
        server_version=version,
        made_at=now,
        summary=(
            f"{verdict.calls} captured calls and the batched statement gave the same {verdict.rows} rows on "
            f"one snapshot; {timing.calls_ms:.2f} ms one after the other, {timing.batched_ms:.2f} ms at once"
        ),
        compared_calls=verdict.calls,
        compared_rows=verdict.rows,
        calls_ms=timing.calls_ms,
        batched_ms=timing.batched_ms,
        limits=(
            f"Compared for {verdict.calls} captured calls of one unit of work, on the data of that moment.",
            f"Times are the shortest of {timing.rounds} interleaved runs from here with warm caches; "
            "the application's own round trips differ.",
            *verdict.limits,
        ),
    )
    return Advice(
        id=hashlib.blake2b(f"batch\0{finding.database}\0{finding.id}".encode(), digest_size=8).hexdigest(),
        title=f"Read {where or plan.candidate.key_column} once for all keys instead of once each",
        database=finding.database,
        candidate=plan.candidate,
        proof=proof,
        # The observed waste is the application's own; without it, what the replay saved stands in.
        benefit_ms=finding.wasted_ms if finding.wasted_ms > 0 else saved_here,
    )


def _told(error: psycopg.Error) -> str:
    """The error for people, without the data that messages of most classes quote.

    Class 42 (syntax error or access rule violation) names objects only, 57 is about the server, 08 and
    a failure to connect about the network; others are told by the name of their condition.
    """
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "it ran into the proof's timeout of 2 s (57014)"
    code = error.sqlstate
    if code is None or code[:2] in ("08", "28", "3D", "42", "53", "57"):
        text = " ".join((error.diag.message_primary or str(error)).split())
        if code in ("42P01", "42883", "42704"):
            text += "; the application may connect with another search_path"
        return f"{text} ({code})" if code else text
    return f"{type(error).__name__} ({code})"
