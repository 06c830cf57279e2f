"""EXPLAIN on the target, without ever running a statement.

Every statement is explained in a transaction (or savepoint) of its own that is rolled back: read-only, with
timeouts, never with ANALYZE. The simple query protocol is used throughout: under the extended one, EXPLAIN
(GENERIC_PLAN) would ask for the values of the parameters that it is there to do without.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from advisor.catalog import READ_SETTINGS
from advisor.prove.statements import Explainable, Replay
from proxy.dsn import Dsn
from workload.plans.model import Plan, PlanError, parse_plan

_OPTIONS = "FORMAT JSON, SETTINGS"
_GENERIC_FROM = 160000  # EXPLAIN (GENERIC_PLAN) came with PostgreSQL 16
_PREPARED = "pgcoach_generic"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class ExplainError(Exception):
    """The statement could not be explained; the message says why, without its literals."""


@dataclass(frozen=True, slots=True)
class Explained:
    """The plans of one query, one for each set of values, and their mean cost."""

    documents: tuple[dict[str, Any], ...]
    plans: tuple[Plan, ...]
    generic: bool
    """Planned without values: the planner assumed average selectivities."""

    @property
    def cost(self) -> float:
        return sum(plan.total_cost for plan in self.plans) / len(self.plans)

    @property
    def shape(self) -> tuple[str, ...]:
        return tuple(plan.hash for plan in self.plans)


@asynccontextmanager
async def connect(dsn: Dsn, read_only: bool = True) -> AsyncIterator[Connection]:
    """A connection for explaining. Raises psycopg.OperationalError when the target cannot be reached."""
    named = replace(dsn, application_name="pgcoach")
    connection = await psycopg.AsyncConnection.connect(
        named.conninfo(), autocommit=True, prepare_threshold=None
    )
    try:
        for name, value in READ_SETTINGS.items():
            await run(connection, f"SET {name} = '{value}'")
        await run(connection, "SET standard_conforming_strings = on")
        if read_only:
            await run(connection, "SET default_transaction_read_only = on")
        yield connection
    finally:
        await connection.close()


async def run(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement by the simple query protocol and return its rows.

    The text was written by pglast's deparser or built with ``advisor.sql``, never put together from values.
    """
    cursor = await connection.execute(statement)
    return await cursor.fetchall() if cursor.description is not None else []


async def type_names(connection: Connection, oids: Collection[int]) -> dict[int, tuple[str, str]]:
    """(schema, name) of these types; OIDs that the target does not know are left out."""
    wanted = sorted({int(oid) for oid in oids if oid > 0})
    if not wanted:
        return {}
    rows = await run(
        connection,
        "SELECT t.oid::int8, n.nspname::text, t.typname::text FROM pg_catalog.pg_type t "
        "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace "
        f"WHERE t.oid::int8 = ANY ('{{{','.join(map(str, wanted))}}}'::int8[])",
    )
    return {oid: (schema, name) for oid, schema, name in rows}


async def explain(connection: Connection, query: Explainable) -> Explained:
    """The query's plans as the target would make them now.

    Raises ExplainError when none of its samples, and no generic plan, can be had; psycopg.Error only when
    the connection is lost.
    """
    documents: list[dict[str, Any]] = []
    last: psycopg.Error | None = None
    for replay in query.replays:
        try:
            documents.append(await _replay(connection, replay))
        except psycopg.Error as error:
            if connection.closed:
                raise
            last = error
    generic = not documents
    if generic and query.parameters:
        try:
            documents.append(await _generic(connection, query))
        except psycopg.Error as error:
            if connection.closed:
                raise
            last = last or error
    if not documents:
        raise ExplainError(_reason(last)) from last
    try:
        plans = tuple(parse_plan(document) for document in documents)
    except PlanError as error:
        raise ExplainError(str(error)) from error
    return Explained(tuple(documents), plans, generic and query.parameters > 0)


async def _replay(connection: Connection, replay: Replay) -> dict[str, Any]:
    try:
        return await _one(connection, f"EXPLAIN ({_OPTIONS}) {replay.text}")
    except (psycopg.ProgrammingError, psycopg.DataError):
        if replay.numeric == replay.text:
            raise
        return await _one(connection, f"EXPLAIN ({_OPTIONS}) {replay.numeric}")


async def _generic(connection: Connection, query: Explainable) -> dict[str, Any]:
    if connection.info.server_version >= _GENERIC_FROM:
        return await _one(connection, f"EXPLAIN (GENERIC_PLAN, {_OPTIONS}) {query.text}")
    async with connection.transaction(force_rollback=True):
        await run(connection, "SET LOCAL plan_cache_mode = force_generic_plan")
        await run(connection, f"PREPARE {_PREPARED} AS {query.text}")
        try:
            nulls = ", ".join(["NULL"] * query.parameters)
            return await _one(connection, f"EXPLAIN ({_OPTIONS}) EXECUTE {_PREPARED}({nulls})")
        finally:
            await run(connection, f"DEALLOCATE {_PREPARED}")


async def _one(connection: Connection, statement: str) -> dict[str, Any]:
    async with connection.transaction(force_rollback=True):
        rows = await run(connection, statement)
    document = rows[0][0]
    if isinstance(document, (str, bytes)):
        document = json.loads(document)
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        raise ExplainError("EXPLAIN answered with no plan: a rule rewrites the statement to nothing")
    return document[0]


def _reason(error: psycopg.Error | None) -> str:
    """The server's words, except where they would repeat a literal (class 22 quotes the bad value)."""
    if error is None:
        return "no plan could be had"
    state = error.sqlstate or ""
    if state == "42501":
        return f"this role may not read what the query reads: {error.diag.message_primary}"
    if state.startswith("22"):
        return f"the captured values do not fit the statement's types (SQLSTATE {state})"
    return f"EXPLAIN failed: {error.diag.message_primary or type(error).__name__} (SQLSTATE {state})"
