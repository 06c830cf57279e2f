"""A small shop with what makes comparisons hard: NULLs, ties, composite and odd keys, several types."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from advisor.scratch import ScratchServer
from workload.model import Column, Finding, FindingClass

_SCHEMA = """
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE customer (id integer PRIMARY KEY, name text, email varchar(80), code char(5), token uuid);
    CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id integer REFERENCES customer, status text, total numeric(10, 2),
        weight double precision, mood mood, placed timestamptz, tenant text);
    CREATE TABLE "Line Items" ("order" bigint REFERENCES orders, "No" integer, "Qty" integer,
        PRIMARY KEY ("order", "No"));
    INSERT INTO customer
    SELECT g, 'name ' || g, 'c' || g || '@example.org', 'k' || g, md5(g::text)::uuid
      FROM generate_series(1, 40) g;
    INSERT INTO orders
    SELECT g, nullif(g % 30, 0), (ARRAY['open', 'paid', NULL])[g % 3 + 1], (g % 7) * 1.50, g / 3.0,
           (ARRAY['sad', 'ok'])[g % 2 + 1]::mood, timestamptz '2026-01-01' + g % 5 * interval '1 day',
           't' || g % 2
      FROM generate_series(1, 600) g;
    INSERT INTO "Line Items" SELECT o, n, o % 5 FROM generate_series(1, 60) o, generate_series(1, 4) n;
    CREATE FUNCTION guarded() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT 1';
    ANALYZE;
"""


@pytest.fixture(scope="session")
def shop(pg: ScratchServer) -> Iterator[str]:
    """One for all tests: proofs change nothing."""
    with psycopg.connect(pg.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE proof_shop")
    with psycopg.connect(pg.dsn("proof_shop"), autocommit=True) as connection:
        connection.execute(_SCHEMA)
    yield pg.dsn("proof_shop")
    with psycopg.connect(pg.dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE proof_shop WITH (FORCE)")


@pytest.fixture
def make_finding() -> Callable[..., Finding]:
    def make(
        *calls: tuple[str | None, ...],
        oids: tuple[int, ...] = (),
        cls: FindingClass = "n_plus_one_read",
        parent: Column | None = None,
        child: Column | None = None,
        evidence: dict[str, object] | None = None,
    ) -> Finding:
        return Finding(
            id="f" * 16,
            cls=cls,
            confidence="high",
            title="rows read one by one",
            database="shop",
            query_id=7,
            fingerprint="0" * 16,
            parent_query_id=None,
            parent_fingerprint=None,
            child=child or Column(),
            parent=parent or Column(),
            first_seen=0.0,
            last_seen=1.0,
            units=3,
            calls=len(calls) * 3,
            wasted_ms=0.0,
            evidence=evidence or {},
            sample_calls=calls,
            sample_oids=oids,
        )

    return make
