"""What would the planner do with this index? Two ways to ask, one interface.

HypoPG invents the index for one session: nothing is built or locked, sizes are estimates. Without it, where
pgcoach owns the server, the index is really built inside a transaction that is always rolled back: plans and
sizes are true, but the table is locked against writes meanwhile, so nobody else may live on that server.

A built index is hidden again by marking it invalid (``pg_index.indisvalid``), which the planner skips in
``get_relation_info`` (plancat.c); building it anew for every combination would take minutes. For the same
reason ``indcheckxmin`` is cleared: it forbids an index over broken HOT chains to snapshots as old as the
building transaction, which matters to whoever executes a plan, and here nothing is executed. Both edits
vanish with the transaction. What stays is what VACUUM would leave as well: CREATE INDEX refreshes the
table's page and row counts in pg_class in place. Plans must therefore be compared after ``prepare``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any, Literal, Protocol

import psycopg

from advisor.catalog import Catalog
from advisor.model import IndexCandidate, ProofMethod
from advisor.prove.explain import Connection, Explained, ExplainError, connect, explain, run
from advisor.prove.size import estimated_index_bytes
from advisor.prove.statements import Explainable
from advisor.sql import (
    candidate_name,
    index_ddl,
    index_definition,
    qualified,
    quote_identifier,
    quote_literal,
)
from proxy.dsn import Dsn
from workload.plans.model import parse_plan

WhatIfMode = Literal["auto", "hypopg", "build"]
Progress = Callable[[str], None]

BUILD_TIMEOUT = "10min"
"""statement_timeout for one real build, on a server that is ours."""


class WhatIfError(Exception):
    """Candidates cannot be judged on this target; the message says what to install or which flag to give."""


class WhatIf(Protocol):
    """The judge's view of the target."""

    @property
    def method(self) -> ProofMethod: ...

    async def prepare(
        self, candidates: Sequence[IndexCandidate], progress: Progress | None = None
    ) -> dict[IndexCandidate, str]:
        """Get ready for these, none of them visible yet. Returns why some of them are impossible.

        Costs before and after must both be asked for after this.
        """
        ...

    async def create(self, candidate: IndexCandidate) -> None:
        """Let the planner see the index. Raises WhatIfError when it was not prepared."""
        ...

    async def drop(self, candidate: IndexCandidate) -> None:
        """Hide it from the planner again."""
        ...

    async def size(self, candidate: IndexCandidate) -> int | None:
        """Bytes of the index; None where it cannot be told."""
        ...

    async def costs(self, queries: Iterable[Explainable]) -> dict[int, Explained | ExplainError]:
        """Query id to its plans with the indexes now visible, which carry their candidates' names."""
        ...


@asynccontextmanager
async def open_what_if(
    dsn: Dsn, catalog: Catalog, mode: WhatIfMode = "auto", own_server: bool = False
) -> AsyncIterator[WhatIf]:
    """The way to judge indexes on this target; whatever it did there is undone at the end.

    ``auto`` takes HypoPG where the extension is installed, else real builds where ``own_server`` says that
    the server is pgcoach's own. No extension is ever created. Raises WhatIfError when neither is possible.
    """
    installed = "hypopg" in catalog.extensions
    if mode == "hypopg" or (mode == "auto" and installed):
        if not installed:
            raise WhatIfError(_no_hypopg(catalog))
        async with connect(dsn) as connection:
            yield HypoWhatIf(connection, catalog)
        return
    if not own_server:
        raise WhatIfError(
            _no_hypopg(catalog)
            if mode == "auto"
            else "real indexes are built only on a server that is pgcoach's own, because tables are locked "
            "meanwhile: say so with --own-server if this one is yours to lock"
        )
    if not catalog.superuser:
        raise WhatIfError(
            f"building indexes inside a rolled-back transaction needs a superuser, and {catalog.user} is "
            "none: connect as one, or install the hypopg extension"
        )
    if catalog.in_recovery:
        raise WhatIfError("the target is a standby: indexes cannot be built there, install hypopg instead")
    async with connect(dsn, read_only=False) as connection, connection.transaction(force_rollback=True):
        yield BuildWhatIf(connection)


def _no_hypopg(catalog: Catalog) -> str:
    if "hypopg" in catalog.available_extensions:
        how = f"it is available on the server: run CREATE EXTENSION hypopg in database {catalog.database}"
    else:
        how = (
            f"install it on the server (Debian: postgresql-{catalog.major}-hypopg; most managed services "
            f"have it) and run CREATE EXTENSION hypopg in database {catalog.database}"
        )
    return (
        f"indexes cannot be judged without the extension hypopg: {how}. On a server that nobody else uses, "
        "--own-server builds them for real in a transaction that is rolled back"
    )


class _Session:
    """What both ways share: explaining, and giving the indexes their candidates' names."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}
        """Name in the plan to the candidate's name."""

    async def costs(self, queries: Iterable[Explainable]) -> dict[int, Explained | ExplainError]:
        answers: dict[int, Explained | ExplainError] = {}
        for query in queries:
            try:
                answers[query.query_id] = self._renamed(await explain(self._connection, query))
            except ExplainError as error:
                answers[query.query_id] = error
        return answers

    def _renamed(self, explained: Explained) -> Explained:
        if not any(plan.indexes & self._names.keys() for plan in explained.plans):
            return explained
        documents = deepcopy(explained.documents)
        for document in documents:
            _rename(document, self._names)
        return Explained(documents, tuple(parse_plan(document) for document in documents), explained.generic)


class HypoWhatIf(_Session):
    """Hypothetical indexes. They live in one backend, hence one connection and no pool."""

    def __init__(self, connection: Connection, catalog: Catalog) -> None:
        super().__init__(connection)
        self._catalog = catalog
        self._schema = catalog.extensions["hypopg"]
        self._oids: dict[IndexCandidate, int] = {}
        self._sizes: dict[IndexCandidate, int] = {}

    @property
    def method(self) -> ProofMethod:
        return "hypopg"

    async def prepare(
        self, candidates: Sequence[IndexCandidate], progress: Progress | None = None
    ) -> dict[IndexCandidate, str]:
        failures: dict[IndexCandidate, str] = {}
        for candidate in candidates:
            try:
                await self.create(candidate)
                await self.drop(candidate)
            except psycopg.Error as error:
                if self._connection.closed:
                    raise
                failures[candidate] = f"HypoPG refuses it: {error.diag.message_primary or error}"
        return failures

    async def create(self, candidate: IndexCandidate) -> None:
        if candidate in self._oids:
            return
        ddl = index_ddl(candidate, concurrently=False, if_not_exists=False)
        rows = await self._call(
            "SELECT indexrelid::int8, indexname::text FROM {}", "hypopg_create_index", quote_literal(ddl)
        )
        oid, name = rows[0]
        self._oids[candidate] = oid
        self._names[name] = candidate_name(candidate)
        if candidate not in self._sizes:
            size = await self._call("SELECT {}", "hypopg_relation_size", str(oid))
            self._sizes[candidate] = int(size[0][0])

    async def drop(self, candidate: IndexCandidate) -> None:
        oid = self._oids.pop(candidate, None)
        if oid is not None:
            await self._call("SELECT {}", "hypopg_drop_index", str(oid))

    async def size(self, candidate: IndexCandidate) -> int | None:
        relation = self._catalog.relations.get((candidate.schema, candidate.table))
        estimate = estimated_index_bytes(candidate, relation) if relation is not None else None
        return self._sizes.get(candidate) if estimate is None else estimate

    async def _call(self, statement: str, function: str, argument: str) -> list[tuple[Any, ...]]:
        call = f"{qualified(self._schema, function)}({argument})"
        return await run(self._connection, statement.format(call))


class BuildWhatIf(_Session):
    """Real indexes inside the caller's transaction, which must be rolled back. See the module's essay."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._oids: dict[IndexCandidate, int] = {}

    @property
    def method(self) -> ProofMethod:
        return "build"

    async def prepare(
        self, candidates: Sequence[IndexCandidate], progress: Progress | None = None
    ) -> dict[IndexCandidate, str]:
        failures: dict[IndexCandidate, str] = {}
        await run(self._connection, f"SET LOCAL statement_timeout = '{BUILD_TIMEOUT}'")
        await run(self._connection, "SET LOCAL maintenance_work_mem = '256MB'")
        for position, candidate in enumerate(candidates, 1):
            if progress is not None:
                progress(
                    f"building {candidate_name(candidate)} to see what it does ({position}/{len(candidates)})"
                )
            try:
                async with self._connection.transaction():
                    await self._build(candidate)
            except psycopg.Error as error:
                if self._connection.closed:
                    raise
                failures[candidate] = f"it cannot be built: {error.diag.message_primary or error}"
        return failures

    async def create(self, candidate: IndexCandidate) -> None:
        await self._show(candidate, True)

    async def drop(self, candidate: IndexCandidate) -> None:
        await self._show(candidate, False)

    async def size(self, candidate: IndexCandidate) -> int | None:
        oid = self._oids.get(candidate)
        if oid is None:
            return None
        rows = await run(self._connection, f"SELECT pg_catalog.pg_relation_size({oid})")
        return int(rows[0][0])

    async def _build(self, candidate: IndexCandidate) -> None:
        # A name of its own: the candidate's may belong to an INVALID left-over of an earlier attempt.
        name = f"pgcoach_what_if_{len(self._oids)}"
        await run(self._connection, f"CREATE INDEX {quote_identifier(name)} ON {index_definition(candidate)}")
        rows = await run(
            self._connection,
            f"SELECT {quote_literal(qualified(candidate.schema, name))}::pg_catalog.regclass::oid::int8",
        )
        self._oids[candidate] = rows[0][0]
        self._names[name] = candidate_name(candidate)
        await self._show(candidate, False)

    async def _show(self, candidate: IndexCandidate, visible: bool) -> None:
        oid = self._oids.get(candidate)
        if oid is None:
            raise WhatIfError(f"{candidate_name(candidate)} was not prepared")
        await run(
            self._connection,
            f"UPDATE pg_catalog.pg_index SET indisvalid = {visible}, indcheckxmin = false "
            f"WHERE indexrelid = {oid}",
        )


def _rename(node: Any, names: dict[str, str]) -> None:
    if isinstance(node, dict):
        name = node.get("Index Name")
        if name in names:
            node["Index Name"] = names[name]
        for value in node.values():
            _rename(value, names)
    elif isinstance(node, list):
        for value in node:
            _rename(value, names)
