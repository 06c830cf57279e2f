"""What the advisor needs to know of the target: tables with their statistics, and the indexes they have.

Read in one read-only transaction that waits for nobody (lock and statement timeouts), and plain data after
that. A role that may not read a table sees no column statistics of it (pg_stats hides them): the catalog
then says so in ``notes`` instead of failing, because candidates can still be made, only in a worse order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from advisor import catalog_sql

READ_SETTINGS = {
    "lock_timeout": "2s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
}
"""For every read of the target: give up rather than queue behind somebody's ALTER TABLE."""


class CatalogError(Exception):
    """The target's catalog could not be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    type_name: str
    not_null: bool
    n_distinct: float | None
    """As in pg_stats: a count, or negative the fraction of rows; None where there are no statistics."""
    null_frac: float | None
    avg_width: int | None
    """Bytes."""
    correlation: float | None
    default_btree: bool = True
    """The type has a default btree operator class, so a plain index on it is possible."""

    def distinct(self, rows: float) -> float | None:
        """Distinct values in a table of ``rows`` rows."""
        if self.n_distinct is None:
            return None
        return self.n_distinct if self.n_distinct >= 0 else -self.n_distinct * rows


@dataclass(frozen=True, slots=True)
class IndexColumn:
    column: str
    """Empty for an expression."""
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    name: str
    method: str
    keys: tuple[IndexColumn, ...]
    include: tuple[str, ...]
    unique: bool
    primary: bool
    predicate: str
    """The WHERE of a partial index; empty otherwise."""
    valid: bool
    bytes: int
    constraint: bool
    """Belongs to a constraint, so it cannot be dropped on its own."""


@dataclass(frozen=True, slots=True)
class Relation:
    oid: int
    schema: str
    name: str
    kind: str
    """relkind: r table, p partitioned, m materialized view, v view, f foreign."""
    rows: float
    """Estimated; -1 where it was never vacuumed or analyzed."""
    pages: int
    bytes: int
    readable: bool
    """This role may SELECT from it."""
    has_statistics: bool
    columns: dict[str, TableColumn] = field(hash=False)
    indexes: tuple[ExistingIndex, ...]
    definition: str = ""
    """The query of a view; empty for everything else, and where it could not be read."""

    @property
    def label(self) -> str:
        """For people; never for SQL."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    database: str
    version: str
    version_num: int
    user: str
    superuser: bool
    in_recovery: bool
    search_path: tuple[str, ...]
    """Schemas in which unqualified names are looked up, pg_catalog included."""
    relations: dict[tuple[str, str], Relation] = field(hash=False)
    extensions: dict[str, str] = field(hash=False)
    """Installed, with their schema."""
    available_extensions: frozenset[str]
    """Could be created on this server."""
    notes: tuple[str, ...] = ()
    """What could not be read, and what that costs."""

    @property
    def major(self) -> int:
        return self.version_num // 10_000

    def resolve(self, schema: str, name: str) -> Relation | None:
        """The relation that a statement means by ``name``; ``schema`` is empty for an unqualified name."""
        if schema:
            return self.relations.get((schema, name))
        for candidate in self.search_path:
            found = self.relations.get((candidate, name))
            if found is not None:
                return found
        return None


async def load_catalog(
    connection: asyncpg.Connection[asyncpg.Record], tables: Collection[str] | None = None
) -> Catalog:
    """The catalog of the connected database, limited to tables of these names (without schema) if given.

    Raises CatalogError when even the names of tables cannot be read.
    """
    names = None if tables is None else sorted(set(tables))
    notes: list[str] = []
    try:
        server = await connection.fetchrow(catalog_sql.SERVER)
        if server is None:
            raise CatalogError("the target did not say what server it is")
        async with read_only(connection):
            extensions = await connection.fetch(catalog_sql.EXTENSIONS)
        relations = await _relation_rows(connection, names, notes)
        oids = [row["oid"] for row in relations]
        async with read_only(connection):
            columns = await connection.fetch(catalog_sql.COLUMNS, oids)
            indexes = await connection.fetch(catalog_sql.INDEXES, oids)
        views = await _views(connection, oids, notes)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CatalogError(f"the target's catalog could not be read: {error}") from error
    by_relation = _group_columns(columns)
    index_rows = _group_indexes(indexes)
    found = [
        _relation(
            row,
            by_relation.get(row["oid"], {}),
            index_rows.get(row["oid"], ()),
            views.get(row["oid"], ""),
        )
        for row in relations
    ]
    notes += _statistics_notes(found, server["user"])
    return Catalog(
        database=server["database"],
        version=server["version"],
        version_num=server["version_num"],
        user=server["user"],
        superuser=server["superuser"],
        in_recovery=server["in_recovery"],
        search_path=tuple(server["search_path"]),
        relations={(relation.schema, relation.name): relation for relation in found},
        extensions={row["name"]: row["schema"] for row in extensions if row["schema"] is not None},
        available_extensions=frozenset(row["name"] for row in extensions),
        notes=tuple(notes),
    )


class read_only:  # noqa: N801 (used as a context manager, like a function)
    """A read-only transaction with the timeouts of ``READ_SETTINGS``, always rolled back."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._transaction = connection.transaction(readonly=True)

    async def __aenter__(self) -> None:
        await self._transaction.start()
        for name, value in READ_SETTINGS.items():
            await self._connection.execute(f"SET LOCAL {name} = '{value}'")

    async def __aexit__(self, *exc: object) -> None:
        await self._transaction.rollback()


async def _relation_rows(
    connection: asyncpg.Connection[asyncpg.Record], names: list[str] | None, notes: list[str]
) -> list[asyncpg.Record]:
    try:
        async with read_only(connection):
            return list(await connection.fetch(catalog_sql.relations(live_sizes=True), names))
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
        # pg_relation_size waits for whoever holds an ACCESS EXCLUSIVE lock; pg_class does not.
        notes.append("a table is locked exclusively: sizes are those of the last VACUUM or ANALYZE")
        async with read_only(connection):
            return list(await connection.fetch(catalog_sql.relations(live_sizes=False), names))


async def _views(
    connection: asyncpg.Connection[asyncpg.Record], oids: list[int], notes: list[str]
) -> dict[int, str]:
    try:
        async with read_only(connection):
            rows = await connection.fetch(catalog_sql.VIEWS, oids)
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
        # pg_get_viewdef locks what the view reads.
        notes.append("a table is locked exclusively: views are not looked through in this run")
        return {}
    return {row["relation"]: row["definition"] or "" for row in rows}


def _group_columns(rows: Iterable[asyncpg.Record]) -> dict[int, dict[str, TableColumn]]:
    grouped: dict[int, dict[str, TableColumn]] = {}
    for row in rows:
        grouped.setdefault(row["relation"], {})[row["name"]] = TableColumn(
            name=row["name"],
            type_name=row["type_name"],
            not_null=row["not_null"],
            n_distinct=row["n_distinct"],
            null_frac=row["null_frac"],
            avg_width=row["avg_width"],
            correlation=row["correlation"],
            default_btree=row["default_btree"],
        )
    return grouped


_DESC, _NULLS_FIRST = 1, 2  # INDOPTION_* in pg_index.h


def _group_indexes(rows: Iterable[asyncpg.Record]) -> dict[int, tuple[ExistingIndex, ...]]:
    grouped: dict[int, tuple[ExistingIndex, ...]] = {}
    for row in rows:
        count, columns, options = row["keys"], row["columns"], row["options"]
        keys = tuple(
            IndexColumn(
                column=columns[position],
                descending=bool(options[position] & _DESC),
                nulls_first=bool(options[position] & _NULLS_FIRST),
            )
            for position in range(count)
        )
        index = ExistingIndex(
            name=row["name"],
            method=row["method"],
            keys=keys,
            include=tuple(columns[count:]),
            unique=row["unique"],
            primary=row["primary"],
            predicate=row["predicate"],
            valid=row["valid"],
            bytes=row["bytes"],
            constraint=row["constraint"],
        )
        grouped[row["relation"]] = (*grouped.get(row["relation"], ()), index)
    return grouped


def _relation(
    row: Any, columns: dict[str, TableColumn], indexes: tuple[ExistingIndex, ...], definition: str
) -> Relation:
    return Relation(
        oid=row["oid"],
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        rows=row["rows"],
        pages=row["pages"],
        bytes=row["bytes"],
        readable=row["readable"],
        has_statistics=any(column.n_distinct is not None for column in columns.values()),
        columns=columns,
        indexes=indexes,
        definition=definition,
    )


def _statistics_notes(relations: list[Relation], user: str) -> list[str]:
    tables = [relation for relation in relations if relation.kind in ("r", "m")]
    notes = []
    hidden = [relation.label for relation in tables if not relation.readable]
    if hidden:
        notes.append(
            f"role {user} may not read {_list(hidden)}: their column statistics are hidden and "
            f"their queries cannot be explained. GRANT pg_read_all_data TO {user} (or SELECT) to include them"
        )
    never = [r.label for r in tables if r.readable and not r.has_statistics and r.bytes > 0]
    if never:
        notes.append(
            f"{_list(never)} never analyzed: the planner guesses there. Run ANALYZE to make estimates usable"
        )
    return notes


def _list(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
