"""The catalog's queries as they stand, on real servers; what becomes of their rows is test_catalog's."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from pglast import parse_sql

from advisor import catalog_sql
from proxy.dsn import parse_dsn

_OBJECTS = """
    CREATE TABLE t (a int, b text, gone int, PRIMARY KEY (a));
    ALTER TABLE t DROP COLUMN gone;
    CREATE INDEX t_b ON t (b DESC, (a + 1)) INCLUDE (a) WHERE a > 0;
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TEMPORARY TABLE mine (a int);
    INSERT INTO t SELECT g, 'x' FROM generate_series(1, 1000) g;
    ANALYZE t;
"""


@pytest.fixture
async def connection(database: str) -> Any:
    opened = await asyncpg.connect(**parse_dsn(database).connect_kwargs(), statement_cache_size=0)
    await opened.execute(_OBJECTS)
    yield opened
    await opened.close()


@pytest.mark.parametrize("live", [True, False])
async def test_relations(connection: Any, live: bool) -> None:
    rows = await connection.fetch(catalog_sql.relations(live), None)
    assert [(row["name"], row["kind"]) for row in rows] == [("t", "r"), ("v", "v")]
    table, view = rows
    assert table["rows"] == 1000
    assert table["bytes"] == table["pages"] * 8192 > 0
    assert (view["bytes"], table["readable"]) == (0, True)
    assert await connection.fetch(catalog_sql.relations(live), ["other"]) == []


async def test_columns_indexes_and_views(connection: Any) -> None:
    oids = [row["oid"] for row in await connection.fetch(catalog_sql.relations(False), None)]
    columns = await connection.fetch(catalog_sql.COLUMNS, oids[:1])
    assert [(c["name"], c["type_name"], c["not_null"]) for c in columns] == [
        ("a", "integer", True),
        ("b", "text", False),
    ]
    assert [c["n_distinct"] for c in columns] == [-1.0, 1.0]
    assert all(c["default_btree"] for c in columns)
    index, primary = sorted(await connection.fetch(catalog_sql.INDEXES, oids[:1]), key=lambda i: i["primary"])
    assert (index["keys"], list(index["columns"]), index["predicate"]) == (2, ["b", "", "a"], "(a > 0)")
    assert index["options"][0] & 3 == 3  # INDOPTION_DESC and, its default, INDOPTION_NULLS_FIRST
    assert not index["constraint"]
    assert (primary["constraint"], primary["unique"], primary["valid"]) == (True, True, True)
    (view,) = await connection.fetch(catalog_sql.VIEWS, oids)
    assert view["definition"].replace("t.a", "a").split() == ["SELECT", "a", "FROM", "t;"]


async def test_server_and_extensions(connection: Any) -> None:
    server = await connection.fetchrow(catalog_sql.SERVER)
    assert (server["superuser"], server["in_recovery"]) == (True, False)
    assert "public" in server["search_path"]
    schemas = {row["name"]: row["schema"] for row in await connection.fetch(catalog_sql.EXTENSIONS)}
    assert schemas["plpgsql"] == "pg_catalog"


def test_names_are_qualified_so_that_a_search_path_cannot_change_them() -> None:
    """A table ``pg_class`` in a schema of the application must not be read instead of the catalog's."""
    queries = [catalog_sql.relations(True), catalog_sql.COLUMNS, catalog_sql.INDEXES, catalog_sql.VIEWS]
    for text in [*queries, catalog_sql.SERVER, catalog_sql.EXTENSIONS]:
        assert len(parse_sql(text)) == 1
        for word in text.replace("(", " ").split():
            assert not word.startswith("pg_") or word.startswith("pg_catalog."), word
