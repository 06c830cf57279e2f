"""The relays of the test kit do what the tests that use them rely on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from advisor.scratch import ScratchServer
from tests.kit.badnet import BadNetwork
from tests.kit.recording import RecordingRelay, Transcript
from tests.kit.relay import Relay

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


def upstream(server: ScratchServer) -> str:
    return f"{server.socket_dir}/.s.PGSQL.{server.port}"


async def ask(dsn: str) -> object:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("SELECT repeat('x', 100000)")).fetchone()
        assert row is not None
        return row[0]


async def ran(watcher: psycopg.AsyncConnection[tuple[object, ...]], pid: int) -> None:
    """Wait until that backend has ended a statement and is idle."""
    async with asyncio.timeout(10):
        for _ in range(10000):
            seen = await watcher.execute(
                "SELECT state = 'idle' AND query LIKE 'NOTIFY%%' FROM pg_stat_get_activity(%s)", [pid]
            )
            if await seen.fetchone() == (True,):
                return
            await watcher.rollback()
    pytest.fail("the statement never ran")


async def test_a_recorder_keeps_every_byte_and_two_in_a_row_the_same(pg18: ScratchServer) -> None:
    async with RecordingRelay(upstream(pg18)) as inner, RecordingRelay(("127.0.0.1", inner.port)) as outer:
        assert await ask(outer.dsn()) == "x" * 100000
        await outer.settled()
        await inner.settled()
        assert inner.transcripts == outer.transcripts
        (transcript,) = outer.transcripts
        assert transcript.sent.endswith(b"X\0\0\0\x04")
        assert b"x" * 100000 in transcript.received


async def test_two_sessions_of_one_script_compare_equal(pg18: ScratchServer, tmp_path: Path) -> None:
    async with RecordingRelay(upstream(pg18), str(tmp_path / ".s.PGSQL.7")) as relay:
        await ask(relay.dsn())
        await ask(relay.dsn())
        await relay.settled()
        first, second = relay.transcripts
        assert first.received != second.received
        assert first.comparable() == second.comparable()


def test_the_refused_negotiation_is_left_out() -> None:
    transcript = Transcript(bytearray(SSL_REQUEST + b"start"), bytearray(b"NR\0\0\0\x08\0\0\0\0"))
    assert transcript.without_negotiation() == (b"start", b"R\0\0\0\x08\0\0\0\0")


@pytest.mark.parametrize("chunk", [1, 7])
async def test_small_chunks_and_latency_change_nothing(pg18: ScratchServer, chunk: int) -> None:
    async with BadNetwork(upstream(pg18)) as network:
        network.upwards.chunk = chunk
        network.upwards.delay = 0.0001
        network.downwards.chunk = chunk * 1000
        assert await ask(network.dsn()) == "x" * 100000
        assert network.downwards.passed > 100000


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_breaks_the_connection_after_that_many_bytes(pg18: ScratchServer, reset: bool) -> None:
    async with BadNetwork(upstream(pg18), reset=reset) as network:
        network.downwards.cut_after = 5000
        with pytest.raises(psycopg.OperationalError):
            await ask(network.dsn())
        assert network.downwards.passed == 5000


async def test_a_stall_holds_the_answer_until_it_is_resumed(pg18: ScratchServer) -> None:
    async with BadNetwork(upstream(pg18)) as network:
        connection = await psycopg.AsyncConnection.connect(network.dsn(), autocommit=True)
        network.downwards.stall()
        before = network.downwards.passed
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(connection.execute("NOTIFY heard; SELECT 1"))
            # The statement has run, so its answer is under way.
            async with await psycopg.AsyncConnection.connect(pg18.dsn()) as watcher:
                await ran(watcher, connection.info.backend_pid)
            assert network.downwards.passed == before
            assert not asked.done()
            network.downwards.resume()
        assert asked.result().nextset()
        assert await asked.result().fetchone() == (1,)
        await connection.close()


async def test_an_upstream_that_is_down_is_a_broken_connection(tmp_path: Path) -> None:
    async with Relay(str(tmp_path / "nobody")) as relay:
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(relay.dsn())
