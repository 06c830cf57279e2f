from __future__ import annotations

import asyncpg
import psycopg
import pytest

from advisor.scratch import ScratchServer
from workload.catalog import Catalog, CatalogColumn, ForeignKey, Table, load_catalog

SCHEMA = """
    CREATE TABLE customers (id int PRIMARY KEY, dropped int, email text NOT NULL UNIQUE, name varchar(50));
    ALTER TABLE customers DROP COLUMN dropped;
    CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, parent bigint REFERENCES orders
    );
    CREATE TABLE lines (order_id bigint REFERENCES orders, n int, sku text, PRIMARY KEY (order_id, n));
    CREATE TABLE notes (order_id bigint, n int, body text,
                        FOREIGN KEY (order_id, n) REFERENCES lines (order_id, n));
    CREATE UNIQUE INDEX ON notes (n) INCLUDE (body);
    CREATE UNIQUE INDEX ON notes (body) WHERE n > 5;
    CREATE UNIQUE INDEX ON notes (lower(body));
    CREATE SCHEMA other;
    CREATE TABLE other.customers (id int);
    CREATE TABLE other."Odd ""name" ("Col umn" int);
    CREATE VIEW big AS SELECT id FROM orders WHERE id > 100;
    CREATE TABLE nothing ();
    CREATE TABLE events (id int, day date) PARTITION BY RANGE (day);
"""


async def test_everything_is_read_from_a_real_server(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SCHEMA)
    catalog = await load_catalog(database)
    customers, orders = catalog.resolve(None, "customers"), catalog.resolve("public", "orders")
    lines, notes = catalog.resolve(None, "lines"), catalog.resolve(None, "notes")
    assert customers is not None
    assert orders is not None
    assert lines is not None
    assert notes is not None
    assert customers.schema == "public"
    assert [(c.attnum, c.name, c.type_name) for c in customers.columns] == [
        (1, "id", "integer"),
        (3, "email", "text"),
        (4, "name", "character varying(50)"),
    ]
    assert customers.primary_key == (1,)
    assert set(customers.unique_keys) == {(1,), (3,)}
    assert lines.primary_key == (1, 2)
    assert notes.unique_keys == ((2,),)
    assert catalog.references(orders.oid, 2) == ((customers.oid, 1),)
    assert catalog.references(orders.oid, 3) == ((orders.oid, 1),)
    assert set(catalog.referenced_by(orders.oid, 1)) == {(orders.oid, 3), (lines.oid, 1)}
    assert catalog.references(notes.oid, 2) == ((lines.oid, 2),)
    odd = catalog.resolve("other", 'Odd "name')
    assert odd is not None
    assert odd.column("Col umn") == CatalogColumn(1, "Col umn", 23, "integer", False)
    nothing = catalog.resolve(None, "nothing")
    assert nothing is not None
    assert nothing.columns == ()
    assert catalog.resolve(None, "big") is not None
    assert catalog.resolve(None, "events") is not None
    assert catalog.resolve(None, "pg_class") is None
    assert catalog.search_path == ("public",)


async def test_an_unknown_database_raises_what_is_documented(pg16: ScratchServer) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await load_catalog(pg16.dsn("no_such_database"))


def table(oid: int, schema: str, name: str) -> Table:
    return Table(oid, schema, name, (CatalogColumn(1, "id", 23, "integer", True),), (1,), ((1,), (2, 3)))


def test_names_are_resolved_by_the_search_path() -> None:
    catalog = Catalog.of([table(1, "a", "t"), table(2, "b", "t"), table(3, "c", "only")], (), ("b", "a"))
    assert catalog.resolve(None, "t") is catalog.table(2)
    assert catalog.resolve("a", "t") is catalog.table(1)
    assert catalog.resolve(None, "t", ("a",)) is catalog.table(1)
    assert catalog.resolve(None, "only") is catalog.table(3)
    assert catalog.resolve(None, "t", ()) is None
    assert catalog.resolve("c", "t") is None


def test_equality_on_a_whole_key_is_unique() -> None:
    one = table(1, "public", "t")
    assert one.is_unique([1])
    assert one.is_unique([2, 3, 4])
    assert not one.is_unique([2])
    assert not one.is_unique([])


def test_composite_foreign_keys_map_column_by_column() -> None:
    key = ForeignKey("fk", 1, (4, 5), 2, (1, 2))
    catalog = Catalog.of([table(1, "public", "t"), table(2, "public", "u")], [key])
    assert catalog.references(1, 5) == ((2, 2),)
    assert catalog.referenced_by(2, 1) == ((1, 4),)
    assert catalog.references(1, 1) == ()
