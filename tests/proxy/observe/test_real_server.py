"""The observer against real servers and real drivers: it sits in a plain test relay and must agree."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql

from advisor.scratch import ScratchServer
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.tap import SessionTap, TapLimits
from proxy.wire.messages import row_description
from proxy.wire.rows import read_rows
from proxy.wire.startup import StartupMessage, read_startup
from tests.kit.relay import Link, Relay
from tests.proxy.wirekit import Recorder

PGBENCH = Path("/usr/lib/postgresql/15/bin/pgbench")


def has_pgbench() -> bool:
    return PGBENCH.exists()


class TappedLink(Link):
    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, tap: SessionTap, session: Session
    ) -> None:
        super().__init__(client, server)
        self.tap = tap
        self.session = session
        self.startup = bytearray()
        self.started = False


class Noticing(Recorder):
    """Tells when the server gave a reason for ending a session."""

    def __init__(self) -> None:
        super().__init__()
        self.noticed = asyncio.Event()

    def count(self, counter: str, amount: int = 1) -> None:
        super().count(counter, amount)
        if counter.startswith("session_notice."):
            self.noticed.set()


class TappedRelay(Relay):
    """Shows every connection to an observer."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.observer = Noticing()

    def make_link(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> Link:
        session = Session(len(self.links), "test", time.monotonic())
        return TappedLink(client, server, SessionTap(session, self.observer, TapLimits()), session)

    async def forward(self, link: Link, chunk: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        assert isinstance(link, TappedLink)
        now = time.monotonic()
        if not upwards:
            link.tap.feed_server(chunk, now)
        elif link.started:
            link.tap.feed_client(chunk, now)
        else:
            link.startup += chunk
            packet = read_startup(link.startup)
            if isinstance(packet, StartupMessage):
                link.started = True
                link.tap.started(packet.raw, packet.parameters, now)
                link.tap.feed_client(bytes(link.startup[packet.size :]), now)
        await super().forward(link, chunk, writer, upwards=upwards)

    def ran(self) -> list[Execution]:
        """Every execution so far; no session may have turned opaque."""
        for link in self.links:
            assert isinstance(link, TappedLink)
            link.tap.closed(time.monotonic())
            assert link.session.opaque_reason == ""
        assert not [c for c in self.observer.counters if c.startswith("opaque")]
        return self.observer.executions


@asynccontextmanager
async def tapped(server: ScratchServer) -> AsyncIterator[TappedRelay]:
    async with TappedRelay(f"{server.socket_dir}/.s.PGSQL.{server.port}") as relay:
        yield relay


async def connect(relay: TappedRelay, **options: Any) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        relay.dsn() + " sslmode=disable gssencmode=disable", autocommit=True, **options
    )


async def connect_asyncpg(relay: TappedRelay) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=relay.port, user="postgres", database="postgres", ssl=False
    )


def summary(executions: list[Execution]) -> list[tuple[str, Outcome, int]]:
    return [(e.sql.decode(), e.outcome, e.rows) for e in executions]


async def test_simple_and_extended_statements_of_psycopg(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        async with await connect(relay) as conn:
            await conn.execute("create temp table t (id int primary key, name text)")
            await conn.execute("insert into t select g, 'n' || g from generate_series(1, 10) g")
            cursor = await conn.execute("select id, name from t where id > %s order by id", (7,))
            assert len(await cursor.fetchall()) == 3
            await conn.execute("select 1; select 2, 3; update t set name = 'x'", prepare=False)
            with pytest.raises(psycopg.errors.DivisionByZero):
                await conn.execute("select 1/(id-id) from t")
            with pytest.raises(psycopg.errors.UndefinedTable):
                await conn.execute("select * from missing where a = %s", (1,))
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                await conn.execute("select %s::int", ("x",))
            await conn.execute("")
        await relay.settled()
        session = relay.observer.opened[0]
        got = relay.ran()
    batch = "select 1; select 2, 3; update t set name = 'x'"
    assert summary(got) == [
        ("create temp table t (id int primary key, name text)", Outcome.OK, 0),
        ("insert into t select g, 'n' || g from generate_series(1, 10) g", Outcome.OK, 10),
        ("select id, name from t where id > $1 order by id", Outcome.OK, 3),
        (batch, Outcome.OK, 1),
        (batch, Outcome.OK, 1),
        (batch, Outcome.OK, 10),
        ("select 1/(id-id) from t", Outcome.ERROR, 0),
        ("select * from missing where a = $1", Outcome.ERROR, 0),
        ("select $1::int", Outcome.ERROR, 0),
        ("", Outcome.EMPTY, 0),
    ]
    assert session.backend_pid > 0
    assert int(session.server_version.split(".")[0]) == pg.major
    select = got[2]
    assert select.columns is not None
    columns = row_description(select.columns)
    assert [c.name for c in columns] == [b"id", b"name"]
    assert columns[0].table_oid == columns[1].table_oid > 0
    assert [c.attnum for c in columns] == [1, 2]
    assert select.params is not None
    assert len(select.params) == 1
    assert select.row_data is not None
    assert [row[1] for row in read_rows(select.row_data)] == [b"n8", b"n9", b"n10"]
    assert [e.quality for e in got[:4]] == [Quality.EXACT] * 3 + [Quality.SHARED]
    assert [e.sqlstate for e in got[6:9]] == [b"22012", b"42P01", b"22P02"]
    assert len(relay.observer.closed) == 1


async def test_pipelines_of_psycopg_with_errors(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        async with await connect(relay, prepare_threshold=1) as conn:
            await conn.execute("create temp table t (id int primary key)")
            async with conn.pipeline() as pipe:
                for i in range(20):
                    await conn.execute("insert into t values (%s)", (i,))
                await pipe.sync()
                await conn.execute("select id from t where id = %s", (3,))
                await pipe.sync()
                await conn.execute("insert into t values (%s)", (3,))
                await conn.execute("select count(*) from t")
                with pytest.raises(psycopg.errors.UniqueViolation):
                    await pipe.sync()
            await conn.execute("select count(*) from t")
            cursor = conn.cursor()
            await cursor.executemany("insert into t values (%s)", [(i,) for i in range(100, 400)])
        await relay.settled()
        got = relay.ran()
    counted = Counter((e.sql.decode(), e.outcome.name) for e in got)
    assert counted["insert into t values ($1)", "OK"] == 320
    assert counted["insert into t values ($1)", "ERROR"] == 1
    assert counted["select id from t where id = $1", "OK"] == 1
    assert counted["select count(*) from t", "SKIPPED"] == 1
    assert counted["select count(*) from t", "OK"] == 1


async def test_copy_both_ways(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        async with await connect(relay) as conn:
            await conn.execute("create temp table t (id int, name text)")
            async with conn.cursor() as cursor:
                async with cursor.copy("copy t from stdin") as copy:
                    for i in range(1000):
                        await copy.write_row((i, "x" * 100))
                async with cursor.copy("copy t to stdout") as copy:
                    assert len([row async for row in copy.rows()]) == 1000
                with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                    async with cursor.copy("copy t from stdin") as copy:
                        await copy.write(b"bad\trow\n" * 10_000)
                with pytest.raises(ZeroDivisionError):
                    async with cursor.copy("copy t from stdin") as copy:
                        raise ZeroDivisionError
            await conn.execute("select 1")
        client = await connect_asyncpg(relay)
        await client.execute("create temp table t (id int)")
        await client.copy_records_to_table("t", records=[(i,) for i in range(50)])
        await client.close()
        await relay.settled()
        got = relay.ran()
    copies = [(e.outcome, e.rows) for e in got if e.tag.startswith(b"COPY")]
    assert copies == [(Outcome.OK, 1000), (Outcome.OK, 1000), (Outcome.OK, 50)]
    assert [e.sqlstate for e in got if e.outcome == Outcome.ERROR] == [b"22P02", b"57014"]
    assert relay.observer.counters["copy_failed_by_client"] == 1


async def test_asyncpg_prepares_cursors_and_fetches(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        client = await connect_asyncpg(relay)
        await client.execute("create temp table t as select g id, g * 2 as b from generate_series(1, 100) g")
        for i in range(3):
            assert await client.fetchval("select b from t where id = $1", i + 1) == 2 * (i + 1)
        assert await client.fetchrow("select id from t") is not None
        async with client.transaction():
            async for _ in client.cursor("select id from t order by id", prefetch=7):
                pass
            assert await client.fetchrow("select id from t where id > 5") is not None
        await client.executemany("insert into t values ($1, $2)", [(i, i) for i in range(5000)])
        await client.close()
        await relay.settled()
        got = relay.ran()
    by_text = {e.sql.decode(): e for e in got}
    calls = Counter(e.sql.decode() for e in got if e.outcome == Outcome.OK)
    lookup = by_text["select b from t where id = $1"]
    assert calls["select b from t where id = $1"] == 3
    assert lookup.param_oids == (23,)
    assert lookup.params == [(3).to_bytes(4, "big")]
    assert lookup.kind == Kind.EXTENDED
    assert lookup.columns is not None
    assert calls["select id from t"] == 1
    whole = by_text["select id from t order by id"]
    assert (whole.rows, whole.quality) == (100, Quality.CLIENT_BOUND)
    assert calls["select id from t order by id"] == 1
    assert calls["select id from t where id > 5"] == 1
    assert calls["insert into t values ($1, $2)"] == 5000
    assert sum(e.rows for e in got if e.sql.startswith(b"insert")) == 5000


async def test_listen_notify_and_sql_level_names(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        async with await connect(relay) as conn:
            await conn.execute("listen here")
            await conn.execute("notify here, 'x'")
            await conn.execute("prepare p (int) as select $1 + 1")
            await conn.execute("execute p (1)")
            await conn.execute("deallocate p")
            await conn.execute(
                "begin; declare c cursor for select generate_series(1, 5); fetch 3 from c; commit"
            )
            await conn.execute("discard all")
            await conn.execute("do $$ begin raise notice 'hello'; perform pg_sleep(0.05); end $$")
        await relay.settled()
        got = relay.ran()
    texts = [e.sql.decode() for e in got]
    assert texts.count("select $1 + 1") == 1
    assert [e.rows for e in got if e.tag == b"FETCH 3"] == [3]
    duration = got[-1].duration
    assert duration is not None
    assert duration >= 0.04


async def test_cancelled_and_killed(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        async with await connect(relay) as conn:
            await conn.execute("set statement_timeout = 50")
            with pytest.raises(psycopg.errors.QueryCanceled):
                await conn.execute("select pg_sleep(10)")
            await conn.execute("set statement_timeout = 0")
            async with await psycopg.AsyncConnection.connect(pg.dsn(), autocommit=True) as other:
                await other.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))
            await asyncio.wait_for(relay.observer.noticed.wait(), 20)
            with pytest.raises(psycopg.OperationalError):
                await conn.execute("select 1")
        relay.links[0].abort()
        await relay.settled()
        got = relay.ran()
    assert [e.sqlstate for e in got if e.outcome == Outcome.ERROR][:1] == [b"57014"]
    assert relay.observer.counters.get("session_notice.57P01", 0) == 1


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
async def test_pgbench_is_timed_exactly(pg15: ScratchServer, mode: str) -> None:
    """What a load generator does one statement at a time must all have a time of its own."""
    if not has_pgbench():
        pytest.skip("needs pgbench of PostgreSQL 15")
    async with tapped(pg15) as relay:

        async def run(*arguments: str) -> None:
            process = await asyncio.create_subprocess_exec(
                PGBENCH, "-h", "127.0.0.1", "-p", str(relay.port), "-U", "postgres", *arguments, "postgres",
                env={"PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "LC_ALL": "C"},
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, complaint = await process.communicate()
            assert process.returncode == 0, complaint.decode()

        await run("-i", "-q", "-s", "1")
        before = len(relay.observer.executions)
        await run("-n", "-M", mode, "-c", "4", "-t", "100")
        await relay.settled()
        got = relay.ran()[before:]
    # A TPC-B-like transaction has seven statements; each connection asks a few questions first.
    assert len(got) >= 4 * 100 * 7
    exact = sum(e.quality == Quality.EXACT for e in got)
    assert exact >= 0.999 * len(got)
    assert {e.outcome for e in got} == {Outcome.OK}


async def test_wrong_database_is_a_failed_login(pg: ScratchServer) -> None:
    async with tapped(pg) as relay:
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(relay.dsn("missing") + " sslmode=disable")
        await relay.settled()
    assert relay.observer.counters == {"login_failed.3D000": 1}
    assert relay.observer.opened == []


async def test_calls_equal_pg_stat_statements(
    pg15: ScratchServer, make_database: Callable[[ScratchServer], str]
) -> None:
    """Counted in both places, with pipelines, errors, cursors and re-prepared statements."""
    make_database(pg15)
    async with await psycopg.AsyncConnection.connect(pg15.dsn(), autocommit=True) as admin:
        try:
            await admin.execute("create extension if not exists pg_stat_statements")
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("needs pg_stat_statements for PostgreSQL 15")
        await admin.execute("drop table if exists counted")
        await admin.execute("create table counted (id int primary key, n int)")
        await admin.execute("select pg_stat_statements_reset()")
        async with tapped(pg15) as relay:
            await asyncio.gather(*(work(relay, worker) for worker in range(8)))
            await relay.settled()
            got = relay.ran()
        cursor = await admin.execute(
            "select calls, query from pg_stat_statements where query not like '%pg_stat_statements_reset%'"
        )
        counted = {query: calls for calls, query in await cursor.fetchall()}
        await admin.execute("drop table counted")
    uncounted = ("PREPARE", "DEALLOCATE", "DEALLOCATE ALL")
    ours = [e for e in got if e.outcome == Outcome.OK and e.tag.decode() not in uncounted]
    # A SELECT whose portal was open when its transaction failed is no call to the server.
    lost = relay.observer.counters["uncounted_by_server"]
    assert lost == 8
    assert sum(counted.values()) == len(ours) - lost, counted
    texts = Counter(e.sql.decode().rstrip(";") for e in ours if e.statements == 1)
    del texts["select n, id from counted where id = $1"]
    same = {query: calls for query, calls in counted.items() if query in texts}
    assert same == {query: texts[query] for query in same}
    assert len(same) >= 10


async def failing_pipeline(conn: psycopg.AsyncConnection[Any], base: int) -> None:
    async with conn.pipeline():
        await conn.execute("update counted set n = 0 where id = %s", (base,))
        await conn.execute("insert into counted values (%s, %s)", (base, 0))
        await conn.execute("select count(*) from counted where n = %s", (1,))


async def failing_transaction(conn: psycopg.AsyncConnection[Any], base: int) -> None:
    async with conn.transaction():
        await conn.execute("select n, id from counted where id = %s", (base,), prepare=False)
        await conn.execute("select * from missing where id = %s", (base,))


async def work(relay: TappedRelay, worker: int) -> None:
    base = worker * 1000
    async with await connect(relay, prepare_threshold=2) as conn:
        for i in range(20):
            await conn.execute("insert into counted values (%s, %s)", (base + i, i))
        for i in range(5):
            async with conn.pipeline():
                await conn.execute("select n from counted where id = %s", (base + i,))
                await conn.execute("update counted set n = n + 1 where id = %s", (base + i,))
        for _ in range(3):
            with pytest.raises(psycopg.errors.UniqueViolation):
                await failing_pipeline(conn, base)
        async with conn.transaction(), conn.cursor(name="c") as cursor:
            await cursor.execute("select id from counted order by id")
            await cursor.fetchmany(3)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await failing_transaction(conn, base)
        await conn.execute("deallocate all")
        await conn.execute("prepare q (int) as select n from counted where id = $1 and n > 0")
        for i in range(4):
            await conn.execute(sql.SQL("execute q ({})").format(base + i))
        await conn.execute("select 1; select 2; select 3")
        with pytest.raises(psycopg.errors.SyntaxError):
            await conn.execute("selec %s", (1,))
        with pytest.raises(psycopg.errors.DivisionByZero):
            await conn.execute("select 1; select 1/0; select 3")
    client = await connect_asyncpg(relay)
    for i in range(10):
        await client.fetchrow("select id, n from counted where id = $1", base + i)
    async with client.transaction():
        await client.fetchrow("select max(id) from counted")
        async for _ in client.cursor("select n from counted where id >= $1", base, prefetch=5):
            pass
    await client.executemany("update counted set n = $1 where id = $2", [(i, base + i) for i in range(20)])
    await client.close()
