"""A warehouse with enough rows for plans to matter, and a store filled as the recorder would fill it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pglast import fingerprint

from advisor.scratch import ScratchServer
from workload.model import Sample
from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery

_WAREHOUSE = """
    CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, country text, created_at timestamptz);
    CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text, total numeric(10, 2),
        created_at timestamptz NOT NULL, note text);
    CREATE TABLE lines (
        order_id bigint NOT NULL, no int NOT NULL, product_id int, quantity int, PRIMARY KEY (order_id, no));
    CREATE TABLE settings (name text, value text);
    CREATE INDEX orders_created ON orders (created_at);
    INSERT INTO customers
    SELECT g, 'c' || g || '@example.org', 'country ' || g % 50,
           timestamptz '2026-01-01' + g * interval '1 min'
      FROM generate_series(1, 5000) g;
    INSERT INTO orders
    SELECT g, g % 5000, (ARRAY['open', 'paid', 'sent', 'done'])[g % 4 + 1], g % 997,
           timestamptz '2026-01-01' + g * interval '1 min', repeat('x', 40)
      FROM generate_series(1, 40000) g;
    INSERT INTO lines
    SELECT o, n, (o * 7 + n) % 2000, n FROM generate_series(1, 30000) o, generate_series(1, 2) n;
    INSERT INTO settings SELECT 's' || g, 'v' FROM generate_series(1, 100) g;
    ANALYZE;
"""

AddQuery = Callable[..., int]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "pgcoach.db") as opened:
        yield opened


@pytest.fixture
def add_query(store: Store) -> AddQuery:
    """Call it with a database, a normalised text and the values of its samples; returns the query's id."""

    def add(
        database: str,
        text: str,
        *values: tuple[str | None, ...],
        oids: tuple[int, ...] = (),
        ms: float = 1000.0,
        calls: int = 100,
        kind: str = "select",
        tables: tuple[str, ...] = (),
        masked: bool = False,
        parse_error: bool = False,
    ) -> int:
        at = 1_800_000_000.0
        print_of = "x" + f"{abs(len(text)):015x}" if parse_error else fingerprint(text)
        [id] = store.define_queries([NewQuery(database, print_of, text, kind, tables, parse_error, at)])
        batch = Batch(at=at)
        batch.add(Increment(id, at, calls=calls, timed_calls=calls, total_us=round(ms * 1000), max_us=1000))
        batch.samples += [
            Sample(
                query_id=id,
                params=params,
                param_oids=oids or (0,) * len(params),
                duration_ms=float(position),
                rows=1,
                taken_at=at + position,
                masked=masked,
            )
            for position, params in enumerate(values)
        ]
        store.write(batch)
        return id

    return add


@pytest.fixture(scope="session")
def warehouse_template() -> Callable[[ScratchServer], str]:
    """Call it with a server for the name of a database there that holds the warehouse, to be copied."""
    filled: set[str] = set()

    def template(server: ScratchServer) -> str:
        name = "warehouse_template"
        if server.dsn() not in filled:
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            with psycopg.connect(server.dsn(name), autocommit=True) as connection:
                connection.execute(_WAREHOUSE)
            filled.add(server.dsn())
        return name

    return template


@pytest.fixture
def make_warehouse(
    warehouse_template: Callable[[ScratchServer], str],
) -> Iterator[Callable[[ScratchServer], str]]:
    """Call it with a server for the connection string of a fresh database with the warehouse in it."""
    made: list[tuple[ScratchServer, str]] = []

    def make(server: ScratchServer) -> str:
        name = f"warehouse_{len(made)}"
        template = warehouse_template(server)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        made.append((server, name))
        return server.dsn(name)

    yield make
    for server, name in made:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def warehouse(pg: ScratchServer, make_warehouse: Callable[[ScratchServer], str]) -> str:
    """The warehouse on each of the servers in turn."""
    return make_warehouse(pg)
