"""What the database says about its tables: columns, keys and foreign keys, by OID and by name.

Read once and looked up often; pure after ``load_catalog``. Tables, partitioned tables, views, materialized
views and foreign tables are known, the server's own schemas are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from proxy.dsn import Dsn, parse_dsn

CONNECT_TIMEOUT: Final = 10.0
STATEMENT_TIMEOUT_MS: Final = 10_000
LOCK_TIMEOUT_MS: Final = 1_000
APPLICATION_NAME: Final = "pgcoach"

_COLUMNS: Final = """
    SELECT c.oid::int8 AS table_oid, n.nspname AS schema, c.relname AS table,
           a.attnum::int4 AS attnum, a.attname AS column,
           a.atttypid::int8 AS type_oid, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS not_null
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND n.nspname !~ '^pg_(toast_)?temp_'
    ORDER BY c.oid, a.attnum
"""

_KEYS: Final = """
    SELECT i.indrelid::int8 AS table_oid, i.indisprimary AS is_primary, i.indkey::int2[]::int4[] AS attnums,
           i.indnkeyatts::int4 AS key_columns
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY i.indexrelid
"""

_FOREIGN_KEYS: Final = """
    SELECT conname AS name, conrelid::int8 AS table_oid, conkey::int4[] AS attnums,
           confrelid::int8 AS target_oid, confkey::int4[] AS target_attnums
    FROM pg_constraint
    WHERE contype = 'f'
    ORDER BY oid
"""


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    attnum: int
    name: str
    type_oid: int
    type_name: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """``attnums`` of ``table_oid`` refer to ``target_attnums`` of ``target_oid``, in this order."""

    name: str
    table_oid: int
    attnums: tuple[int, ...]
    target_oid: int
    target_attnums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    oid: int
    schema: str
    name: str
    columns: tuple[CatalogColumn, ...]
    primary_key: tuple[int, ...] = ()
    """attnums in key order; empty without a primary key."""
    unique_keys: tuple[tuple[int, ...], ...] = ()
    """Every unique index without predicate or expression, the primary key's included."""

    def column(self, name: str) -> CatalogColumn | None:
        return next((column for column in self.columns if column.name == name), None)

    def column_at(self, attnum: int) -> CatalogColumn | None:
        return next((column for column in self.columns if column.attnum == attnum), None)

    def is_unique(self, attnums: Iterable[int]) -> bool:
        """Whether equality on these columns leaves at most one row."""
        given = set(attnums)
        return any(given.issuperset(key) for key in self.unique_keys)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables of one database at one moment."""

    tables: dict[int, Table] = field(default_factory=dict)
    """By OID."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    search_path: tuple[str, ...] = ("public",)
    """Schemas in which an unqualified name is looked for, as the reading role has them."""
    _by_name: dict[str, list[Table]] = field(default_factory=dict, repr=False)
    _outgoing: dict[int, list[ForeignKey]] = field(default_factory=dict, repr=False)
    _incoming: dict[int, list[ForeignKey]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        tables: Iterable[Table],
        foreign_keys: Sequence[ForeignKey] = (),
        search_path: Sequence[str] = ("public",),
    ) -> Catalog:
        """A catalog with its lookups built."""
        by_oid = {table.oid: table for table in tables}
        by_name: dict[str, list[Table]] = defaultdict(list)
        for table in by_oid.values():
            by_name[table.name].append(table)
        outgoing: dict[int, list[ForeignKey]] = defaultdict(list)
        incoming: dict[int, list[ForeignKey]] = defaultdict(list)
        for key in foreign_keys:
            outgoing[key.table_oid].append(key)
            incoming[key.target_oid].append(key)
        return cls(
            by_oid, tuple(foreign_keys), tuple(search_path), dict(by_name), dict(outgoing), dict(incoming)
        )

    def table(self, oid: int) -> Table | None:
        return self.tables.get(oid)

    def resolve(
        self, schema: str | None, name: str, search_path: Sequence[str] | None = None
    ) -> Table | None:
        """The table that a name means: qualified, else by the search path, else the only one so called."""
        named = self._by_name.get(name, [])
        if schema:
            return next((table for table in named if table.schema == schema), None)
        for candidate in self.search_path if search_path is None else search_path:
            for table in named:
                if table.schema == candidate:
                    return table
        return named[0] if len(named) == 1 else None

    def references(self, table_oid: int, attnum: int) -> tuple[tuple[int, int], ...]:
        """(table OID, attnum) of every column that this one refers to by a foreign key."""
        return tuple(
            (key.target_oid, target)
            for key in self._outgoing.get(table_oid, ())
            for source, target in zip(key.attnums, key.target_attnums, strict=True)
            if source == attnum
        )

    def referenced_by(self, table_oid: int, attnum: int) -> tuple[tuple[int, int], ...]:
        """(table OID, attnum) of every column that refers to this one by a foreign key."""
        return tuple(
            (key.table_oid, source)
            for key in self._incoming.get(table_oid, ())
            for source, target in zip(key.attnums, key.target_attnums, strict=True)
            if target == attnum
        )


async def load_catalog(dsn: Dsn | str) -> Catalog:
    """Read the catalog of the database that ``dsn`` names, in one read-only transaction.

    Raises:
        proxy.dsn.DsnError: ``dsn`` is a string that cannot be read.
        OSError, TimeoutError: the server could not be reached.
        asyncpg.PostgresError: it refused, or a statement took longer than STATEMENT_TIMEOUT_MS.
    """
    target = parse_dsn(dsn) if isinstance(dsn, str) else dsn
    kwargs = {"timeout": CONNECT_TIMEOUT, **target.connect_kwargs()}
    kwargs["server_settings"] = {**kwargs.get("server_settings", {}), "application_name": APPLICATION_NAME}
    connection = await asyncpg.connect(**kwargs)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(
                f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};"
                f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"
            )
            columns = await connection.fetch(_COLUMNS)
            keys = await connection.fetch(_KEYS)
            foreign_keys = await connection.fetch(_FOREIGN_KEYS)
            search_path = await connection.fetchval("SELECT current_schemas(false)::text[]")
    finally:
        await connection.close()
    return Catalog.of(_tables(columns, keys), [_foreign_key(row) for row in foreign_keys], search_path)


def _tables(columns: Iterable[Any], keys: Iterable[Any]) -> list[Table]:
    grouped: dict[int, tuple[str, str, list[CatalogColumn]]] = {}
    for row in columns:
        entry = grouped.setdefault(row["table_oid"], (row["schema"], row["table"], []))
        if row["attnum"] is not None:
            column = CatalogColumn(
                row["attnum"], row["column"], row["type_oid"], row["type"], row["not_null"]
            )
            entry[2].append(column)
    primary: dict[int, tuple[int, ...]] = {}
    unique: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for row in keys:
        # indkey also names the columns that are only INCLUDEd: they are no part of the key.
        attnums = tuple(row["attnums"])[: row["key_columns"]]
        unique[row["table_oid"]].append(attnums)
        if row["is_primary"]:
            primary[row["table_oid"]] = attnums
    return [
        Table(oid, schema, name, tuple(found), primary.get(oid, ()), tuple(unique.get(oid, ())))
        for oid, (schema, name, found) in grouped.items()
    ]


def _foreign_key(row: Any) -> ForeignKey:
    return ForeignKey(
        row["name"], row["table_oid"], tuple(row["attnums"]), row["target_oid"], tuple(row["target_attnums"])
    )
