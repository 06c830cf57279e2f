"""Calls and rows equal pg_stat_statements: pgbench's three modes, pipelines, errors, cancels, COPY."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pglast
import psycopg
import pytest

from advisor.scratch import ScratchServer
from tests.conformance.place import Place
from tests.conformance.test_tools import connection_arguments, program
from tests.kit.up import up
from workload.store.store import Store

LIBRARY = Path("/usr/lib/postgresql/15/lib/pg_stat_statements.so")
CANCELS = 100
PGBENCH_CLIENTS = 4
TRANSACTIONS = 200


@pytest.fixture(scope="module")
def server() -> Iterator[ScratchServer]:
    if not LIBRARY.exists():
        pytest.skip("needs pg_stat_statements: apt-get install postgresql-15")
    settings = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "150"}
    with ScratchServer.start(15, settings=settings) as started:
        yield started


def pgbench(mode: str) -> Callable[[Place], None]:
    def work(place: Place) -> None:
        arguments = [*connection_arguments(place), place.database]
        for script in ("tpcb-like", "select-only"):
            program(
                *("pgbench", f"--protocol={mode}", f"--builtin={script}", f"--client={PGBENCH_CLIENTS}"),
                *(f"--transactions={TRANSACTIONS // PGBENCH_CLIENTS}", "--no-vacuum", *arguments),
            )

    return work


def pipelines(place: Place) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        for turn in range(20):
            with connection.pipeline():
                for n in range(10):
                    connection.execute("SELECT generate_series(1, %s::int)", (n,))
                    connection.execute("UPDATE pgbench_tellers SET filler = 'x' WHERE tid <= %s", (n,))
            try:
                with connection.pipeline():
                    connection.execute("SELECT aid FROM pgbench_accounts WHERE aid <= %s", (turn,))
                    connection.execute("SELECT 1 / %s::int", (0,))
                    connection.execute("SELECT 'never', %s::int", (turn,))
            except psycopg.errors.DivisionByZero:
                continue
            raise AssertionError("this was meant to fail")


def executemany(place: Place) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(
            host=place.host, port=place.port, user=place.user, database=place.database, timeout=30
        )
        await connection.executemany(
            "UPDATE pgbench_accounts SET filler = $2 WHERE aid <= $1", [(n, str(n)) for n in range(200)]
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany(
                "INSERT INTO pgbench_branches (bid) VALUES ($1)", [(n,) for n in (7001, 7002, 7001, 7003)]
            )
        await connection.close()

    asyncio.run(work())


def errors(place: Place) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        for text in ("SELECT 1/0", "SELEC", "SELECT * FROM missing", "SELECT 1; SELECT 2 / 0; SELECT 3"):
            with pytest.raises(psycopg.Error):
                cursor.execute(text)
        # It fails after it has returned rows.
        with pytest.raises(psycopg.errors.DivisionByZero):
            cursor.execute("SELECT 1 / (3000 - g) FROM generate_series(1, 4000) AS g")
        with pytest.raises(psycopg.errors.UniqueViolation):
            cursor.execute("INSERT INTO pgbench_branches (bid) VALUES (8001), (8001)")


def cancels(place: Place) -> None:
    """A hundred sessions wait, and are all cancelled at the same moment."""
    ready = threading.Barrier(CANCELS)
    said: Counter[str] = Counter()

    def one() -> None:
        with psycopg.connect(place.dsn, autocommit=True) as connection:
            ready.wait(60)
            canceller = threading.Timer(0.5, connection.cancel_safe)
            canceller.start()
            try:
                connection.execute("SELECT pg_sleep(%s)", (60,))
            except psycopg.errors.QueryCanceled:
                canceller.join()
                connection.execute("SELECT 'alive'")
                said["cancelled"] += 1

    threads = [threading.Thread(target=one) for _ in range(CANCELS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said["cancelled"] == CANCELS


def copies(place: Place) -> None:
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        cursor = connection.cursor()
        for count in (0, 1, 3000):
            with cursor.copy("COPY pgbench_history (tid, bid) FROM STDIN") as copy:
                for n in range(count):
                    copy.write_row((n, n))
            with cursor.copy(f"COPY (SELECT aid FROM pgbench_accounts LIMIT {count}) TO STDOUT") as copy:
                assert sum(bytes(block).count(b"\n") for block in copy) == count
        with (
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
            cursor.copy("COPY pgbench_history (tid, bid) FROM STDIN") as copy,
        ):
            copy.write("1\t2\nno\tnumber\n")


WORKS: dict[str, Callable[[Place], None]] = {
    "pgbench simple": pgbench("simple"),
    "pgbench extended": pgbench("extended"),
    "pgbench prepared": pgbench("prepared"),
    "pipelines": pipelines,
    "executemany": executemany,
    "errors": errors,
    "cancels": cancels,
    "copies": copies,
}
COUNTED_ONCE = {"pgbench prepared": {"BEGIN": TRANSACTIONS, "END": TRANSACTIONS}}
"""Utility statements that were prepared and run again: PostgreSQL 15 counts the first run alone, because
pgss_ProcessUtility takes the query id out of the cached plan (contrib/pg_stat_statements)."""


@pytest.mark.parametrize("name", WORKS)
def test_c8_k4_q4_x1_x2_calls_and_rows_equal_pg_stat_statements(
    server: ScratchServer, make_database: Callable[[ScratchServer], str], tmp_path: Path, name: str
) -> None:
    dsn = make_database(server)
    database = dsn.rsplit("dbname=", 1)[1]
    straight = Place(server.socket_dir, server.port, database)
    program("pgbench", "--initialize", "--quiet", *connection_arguments(straight), database)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
        admin.execute("DROP ROLE IF EXISTS app")
        admin.execute("CREATE ROLE app LOGIN SUPERUSER")
        with up(server.url(database), tmp_path, "--workers", "2") as proxy:
            host, port = proxy.dsn.rsplit("@", 1)[1].split("/", 1)[0].rsplit(":", 1)
            WORKS[name](Place(host, int(port), database, user="app"))
            proxy.stop()
        theirs: Counter[tuple[str, str]] = Counter()
        for query, calls, rows in admin.execute(
            "SELECT query, calls, rows FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = current_database() AND s.userid = 'app'::regrole AND s.toplevel"
        ):
            theirs[pglast.fingerprint(query), "calls"] += calls
            theirs[pglast.fingerprint(query), "rows"] += rows
    ours: Counter[tuple[str, str]] = Counter()
    with Store.open(tmp_path / "store.db", create=False) as store:
        for seen in store.queries(limit=10_000):
            if seen.calls:
                ours[pglast.fingerprint(seen.query), "calls"] += seen.calls
                ours[pglast.fingerprint(seen.query), "rows"] += seen.rows
        counters = store.counters()
    assert theirs
    for text, runs in COUNTED_ONCE.get(name, {}).items():
        key = pglast.fingerprint(text), "calls"
        assert theirs[key] == PGBENCH_CLIENTS
        theirs[key] = runs
    assert ours == theirs
    assert not [counter for counter in counters if counter.startswith(("opaque.", "lost.statements"))]
