"""The catalog as the target tells it, also to a role that may see little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest

from advisor.catalog import READ_SETTINGS, Catalog, CatalogError, load_catalog
from advisor.scratch import ScratchServer
from proxy.dsn import parse_dsn

_TABLES = """
    CREATE SCHEMA "Odd Schema";
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE t (
        id int PRIMARY KEY, a text NOT NULL, b numeric(10, 2), j json, m mood, tags text[], p point);
    CREATE TABLE "Odd Schema"."T" ("Id" int);
    CREATE TABLE part (id int) PARTITION BY RANGE (id);
    CREATE VIEW v AS SELECT id FROM t;
    INSERT INTO t SELECT g, 'a' || g % 10, g FROM generate_series(1, 1000) g;
    CREATE INDEX t_a_b ON t (a DESC, b NULLS FIRST) INCLUDE (id);
    CREATE INDEX t_expr ON t (lower(a), b);
    CREATE UNIQUE INDEX t_part ON t (b) WHERE id > 5;
    CREATE INDEX t_tags ON t USING gin (tags);
    ANALYZE t;
    ALTER TABLE t DROP COLUMN p;
    CREATE TABLE fresh (id int);
    INSERT INTO fresh SELECT generate_series(1, 5000);
    ALTER TABLE fresh SET (autovacuum_enabled = off);
"""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(**parse_dsn(dsn).connect_kwargs())
    try:
        yield connection
    finally:
        await connection.close()


async def load(dsn: str, tables: list[str] | None = None) -> Catalog:
    async with connected(dsn) as connection:
        return await load_catalog(connection, tables)


@pytest.fixture
def tables(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_TABLES)
    return database


async def test_tables_columns_and_statistics(tables: str, pg: ScratchServer) -> None:
    catalog = await load(tables)
    assert (catalog.major, catalog.user, catalog.superuser) == (pg.major, "postgres", True)
    assert catalog.search_path[-1] == "public"
    relation = catalog.resolve("", "t")
    assert relation is not None
    assert (relation.label, relation.kind, relation.rows) == ("public.t", "r", 1000.0)
    assert relation.bytes == relation.pages * 8192 > 0
    assert list(relation.columns) == ["id", "a", "b", "j", "m", "tags"]
    a = relation.columns["a"]
    assert (a.type_name, a.not_null, a.n_distinct, a.distinct(1000)) == ("text", True, 10.0, 10.0)
    assert relation.columns["id"].distinct(1000) == 1000.0
    ordered = {name: column.default_btree for name, column in relation.columns.items()}
    assert ordered == {"id": True, "a": True, "b": True, "j": False, "m": True, "tags": True}
    assert {r.kind for r in catalog.relations.values()} == {"r", "p", "v"}
    view = catalog.resolve("", "v")
    assert view is not None
    assert "FROM t" in view.definition
    assert relation.definition == ""


async def test_indexes(tables: str) -> None:
    relation = (await load(tables, ["t"])).resolve("public", "t")
    assert relation is not None
    indexes = {index.name: index for index in relation.indexes}
    assert [(k.column, k.descending, k.nulls_first) for k in indexes["t_a_b"].keys] == [
        ("a", True, True),
        ("b", False, True),
    ]
    assert indexes["t_a_b"].include == ("id",)
    assert [k.column for k in indexes["t_expr"].keys] == ["", "b"]
    assert indexes["t_part"].predicate == "(id > 5)"
    assert indexes["t_part"].unique
    assert indexes["t_tags"].method == "gin"
    primary = indexes["t_pkey"]
    assert primary.primary
    assert primary.constraint
    assert primary.unique
    assert primary.valid
    assert primary.bytes > 0


async def test_names_are_looked_up_as_the_server_does(tables: str) -> None:
    catalog = await load(tables)
    odd = catalog.resolve("Odd Schema", "T")
    assert odd is not None
    assert list(odd.columns) == ["Id"]
    assert catalog.resolve("", "T") is None
    assert catalog.resolve("", "gone") is None
    assert set((await load(tables, ["T"])).relations) == {("Odd Schema", "T")}


async def test_a_table_never_analyzed_is_noted(tables: str) -> None:
    catalog = await load(tables)
    fresh = catalog.resolve("", "fresh")
    assert fresh is not None
    assert not fresh.has_statistics
    assert fresh.bytes > 0
    [note] = catalog.notes
    assert "public.fresh never analyzed" in note


async def test_a_role_without_rights_gets_a_catalog_and_a_note(tables: str) -> None:
    with psycopg.connect(tables, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS onlooker")
        admin.execute("CREATE ROLE onlooker LOGIN")
    catalog = await load(f"{tables} user=onlooker", ["t"])
    relation = catalog.resolve("", "t")
    assert relation is not None
    assert (relation.readable, relation.has_statistics, relation.rows) == (False, False, 1000.0)
    assert relation.columns["a"].n_distinct is None
    assert len(relation.indexes) == 5
    [note] = catalog.notes
    assert "onlooker may not read public.t" in note
    assert "GRANT" in note


async def test_an_exclusive_lock_costs_a_note_not_the_catalog(
    pg18: ScratchServer, make_database: Callable[[ScratchServer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READ_SETTINGS, "lock_timeout", "10ms")
    dsn = make_database(pg18)
    with psycopg.connect(dsn) as other:
        other.execute("CREATE TABLE t (id int)")
        other.commit()
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        catalog = await load(dsn)
    assert ("public", "t") in catalog.relations
    assert any("locked exclusively" in note for note in catalog.notes)


async def test_a_lost_connection_is_a_catalog_error(tables: str) -> None:
    async with connected(tables) as connection:
        await connection.close()
        with pytest.raises(CatalogError, match="could not be read"):
            await load_catalog(connection)
