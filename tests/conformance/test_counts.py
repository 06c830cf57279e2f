"""What pgcoach counted is what PostgreSQL counted: every successful execution, to the last one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import asyncpg
import psycopg
import psycopg2
import pytest
from pglast.parser import fingerprint

from advisor.scratch import ScratchServer
from tests.conformance.place import Place

SESSIONS = 8


class Proxy(Protocol):
    host: str
    port: int
    store: Path

    def stop(self) -> None: ...


@pytest.fixture
def database(pg15: ScratchServer, make_database: Callable[[ScratchServer], str]) -> str:
    """With pg_stat_statements, a table, and the role ``app``, whose statements are counted."""
    dsn = make_database(pg15)
    with psycopg.connect(dsn, autocommit=True) as connection:
        loaded = connection.execute("SHOW shared_preload_libraries").fetchone()
        if loaded is None or "pg_stat_statements" not in str(loaded[0]):
            pytest.skip("needs pg_stat_statements: apt-get install postgresql-15")
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, name text, price numeric)")
        connection.execute("INSERT INTO item SELECT g, 'item ' || g, g FROM generate_series(1, 1000) AS g")
        connection.execute("DROP ROLE IF EXISTS app")
        connection.execute("CREATE ROLE app LOGIN SUPERUSER")
    return dsn


def counted_by_postgresql(dsn: str) -> Counter[str]:
    """Calls of the application's role, by pglast's fingerprint."""
    calls: Counter[str] = Counter()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT query, calls FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = current_database() AND s.userid = 'app'::regrole AND s.toplevel"
        )
        for query, count in rows:
            calls[fingerprint(query)] += count
    return calls


def counted_by_pgcoach(store: Path, database: str) -> Counter[str]:
    command = [sys.executable, "-m", "tui", "queries", "--json", "--limit=100000", "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    calls: Counter[str] = Counter()
    for query in json.loads(done.stdout):
        if query["database"] == database and query["calls"]:
            calls[query["fingerprint"]] += query["calls"]
    return calls


def simple_protocol(place: Place, number: int) -> None:
    connection = psycopg2.connect(place.dsn)
    try:
        for turn in range(100):
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT name FROM item WHERE id = %s", (turn + number,))
                cursor.execute("UPDATE item SET price = price + 1 WHERE id = %s; SELECT 1", (turn,))
            if turn % 10 == number % 10:
                try:
                    with connection, connection.cursor() as cursor:
                        cursor.execute("SELECT 1 AS before; SELECT 1/0; SELECT 2 AS never")
                except psycopg2.errors.DivisionByZero:
                    continue
    finally:
        connection.close()


def pipelines(place: Place, number: int) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        for turn in range(30):
            with connection.pipeline() as pipeline:
                for offset in range(10):
                    connection.execute("SELECT name, price FROM item WHERE id = %s", (turn + offset,))
                    connection.execute("SELECT count(*) FROM item WHERE price > %s", (offset,), prepare=True)
                pipeline.sync()
            if turn % 7 == number % 7:
                try:
                    with connection.pipeline():
                        connection.execute("SELECT id FROM item WHERE name = %s", ("ran",))
                        connection.execute("SELECT %s / 0", (turn,))
                        connection.execute("SELECT price FROM item WHERE name = %s", ("skipped",))
                except psycopg.errors.DivisionByZero:
                    pass
                # The named statements are gone, the next round parses them again.
                connection.execute("DEALLOCATE ALL")
        with connection.transaction(), connection.cursor("portal") as portal:
            portal.itersize = 100
            assert len(portal.execute("SELECT id FROM item ORDER BY id").fetchall()) >= 1000
        cursor = connection.cursor()
        with cursor.copy("COPY item (id, name) FROM STDIN") as copy:
            for offset in range(100):
                copy.write_row((100_000 * (number + 1) + offset, "copied"))
        with cursor.copy("COPY (SELECT id FROM item LIMIT 500) TO STDOUT") as copy:
            assert sum(bytes(block).count(b"\n") for block in copy) == 500


def binary_prepared(place: Place, number: int) -> None:
    asyncio.run(_binary_prepared(place, number))


async def _binary_prepared(place: Place, number: int) -> None:
    connection = await asyncpg.connect(
        host=place.host, port=place.port, user=place.user, database=place.database, timeout=30
    )
    for turn in range(60):
        await connection.fetch("SELECT id FROM item WHERE id = ANY($1::int[])", [turn, turn + 1])
        await connection.executemany(
            "UPDATE item SET name = $2 WHERE id = $1", [(turn + offset, f"n{number}") for offset in range(5)]
        )
        async with connection.transaction():
            cursor = await connection.cursor("SELECT id, name FROM item ORDER BY id")
            await cursor.fetch(10)
            await cursor.fetch(10)
        if turn % 9 == number % 9:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetch("SELECT $1::int / 0", turn)
            # A table of one's own that changes: the prepared statement is rejected and parsed again.
            await connection.execute(f"CREATE TEMP TABLE own_{number}_{turn} AS SELECT 1 AS a")
            await connection.fetch(f"SELECT * FROM own_{number}_{turn}")
            await connection.execute(f"ALTER TABLE own_{number}_{turn} ADD COLUMN b int")
            await connection.fetch(f"SELECT * FROM own_{number}_{turn}")
    await connection.close()


def test_eight_sessions_are_counted_exactly(
    database: str, pg15: ScratchServer, start_proxy: Callable[[ScratchServer], Proxy]
) -> None:
    proxy = start_proxy(pg15)
    name = database.rsplit("dbname=", 1)[1]
    place = Place(proxy.host, proxy.port, name, user="app")
    works = [simple_protocol, pipelines, binary_prepared]
    with ThreadPoolExecutor(SESSIONS) as pool:
        running = [pool.submit(works[number % len(works)], place, number) for number in range(SESSIONS)]
        for future in running:
            future.result()
    expected = counted_by_postgresql(database)
    assert expected.total() > 4000
    proxy.stop()
    assert counted_by_pgcoach(proxy.store, name) == expected
