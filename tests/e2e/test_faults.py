"""Bad networks on both sides of the relay: what arrives is right, what breaks ends cleanly and is counted.

client ── bad network ── relay ── bad network ── PostgreSQL
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import psycopg
import psycopg.conninfo
import pytest

from advisor.scratch import ScratchServer
from proxy.dsn import Address
from proxy.observe.execution import Outcome
from tests.kit.badnet import BadNetwork
from tests.kit.relay_thread import PATIENCE, Recording, RelayThread


@dataclass(slots=True)
class Path:
    """The whole way from the application to the server."""

    near: BadNetwork
    """Between the application and the relay."""
    far: BadNetwork
    """Between the relay and the server."""
    relay: RelayThread
    observer: Recording

    async def execute(self, sql: str, *parameters: object) -> None:
        """In a session of its own, which is then left to itself."""
        await (await self.connect()).execute(sql, parameters)

    async def connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(self.near.dsn(), autocommit=True)

    def opaque(self) -> list[str]:
        return [name for name in self.observer.counters if name.startswith("opaque")]

    async def nothing_left(self) -> None:
        """Wait until every session has ended; the networks run in this loop, which must not block."""
        relay = self.relay.relay
        async with asyncio.timeout(PATIENCE):
            while relay.links or relay.busy:  # noqa: ASYNC110 (it runs in another thread)
                await asyncio.sleep(0.005)


MakePath = Callable[..., Awaitable[Path]]


@pytest.fixture
async def make_path(pg16: ScratchServer) -> AsyncIterator[MakePath]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(*, reset: bool = False) -> Path:
            socket = f"{pg16.socket_dir}/.s.PGSQL.{pg16.port}"
            far = await stack.enter_async_context(BadNetwork(socket, reset=reset))
            observer = Recording()
            relay = RelayThread((Address("127.0.0.1", far.port),), observer)
            stack.enter_context(relay.running())
            near = await stack.enter_async_context(BadNetwork(("127.0.0.1", relay.address.port), reset=reset))
            return Path(near, far, relay, observer)

        yield make


async def converse(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> list[object]:
    """Some of everything; what came back."""
    said: list[object] = []
    said.append(await (await connection.execute("SELECT 1; SELECT 'two'")).fetchall())
    said.append(await (await connection.execute("SELECT %s::text || repeat('x', 3000)", ("é",))).fetchall())
    with contextlib.suppress(psycopg.errors.DivisionByZero):
        await connection.execute("SELECT 1/%s", (0,))
    async with connection.pipeline():
        cursors = [await connection.execute("SELECT %s::int", (i,)) for i in range(20)]
    said.append([await cursor.fetchone() for cursor in cursors])
    await connection.execute("CREATE TEMP TABLE t (a int)")
    async with connection.cursor().copy("COPY t FROM STDIN") as copy:
        await copy.write("1\n2\n3\n")
    said.append(await (await connection.execute("SELECT sum(a) FROM t", prepare=True)).fetchall())
    return said


EXPECTED_OUTCOMES = {Outcome.OK: 26, Outcome.ERROR: 1}


def outcomes(observer: Recording) -> dict[Outcome, int]:
    found = [execution.outcome for execution in observer.executions]
    return {outcome: found.count(outcome) for outcome in set(found)}


@pytest.mark.parametrize("fault", ["none", "a byte at a time", "latency", "both"])
async def test_f1_slow_and_cut_up_networks_change_nothing(
    make_path: MakePath, pg16: ScratchServer, fault: str
) -> None:
    path = await make_path()
    for network in (path.near, path.far):
        for faults in (network.upwards, network.downwards):
            faults.chunk = {"none": None, "latency": None, "a byte at a time": 1, "both": 37}[fault]
            faults.delay = 0.002 if fault in ("latency", "both") else 0.0
    async with await path.connect() as connection:
        through = await converse(connection)
    async with await psycopg.AsyncConnection.connect(pg16.dsn(), autocommit=True) as direct:
        assert through == await converse(direct)
    await path.nothing_left()
    assert outcomes(path.observer) == EXPECTED_OUTCOMES
    assert not path.opaque()
    assert len(path.observer.closed) == 1


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("after", [3, 400, 5_000, 60_003])
async def test_a3_a4_a6_connection_lost_in_the_middle_of_a_message(
    make_path: MakePath, side: str, after: int, reset: bool
) -> None:
    path = await make_path(reset=reset)
    network = path.near if side == "near" else path.far
    network.downwards.cut_after = after
    with pytest.raises(psycopg.OperationalError):
        await path.execute("SELECT repeat('x', 100) FROM generate_series(1, 100000)")
    await path.nothing_left()
    assert not path.opaque()
    # Logging in takes about 400 bytes; whoever came further had a session, and its statement is told.
    assert len(path.observer.closed) == len(path.observer.opened)
    if after > 1_000:
        assert [execution.outcome for execution in path.observer.executions] == [Outcome.ABORTED]
    network.downwards.cut_after = None
    async with await path.connect() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_a4_client_lost_while_it_sends(make_path: MakePath) -> None:
    path = await make_path()
    path.near.upwards.cut_after = 50_000
    with pytest.raises(psycopg.OperationalError):
        await path.execute("SELECT length(%s)", "x" * 200_000)
    await path.nothing_left()
    # The server never saw the end of the message, and neither did we: there was no statement.
    assert path.observer.executions == []
    assert not path.opaque()


@pytest.mark.parametrize("side", ["near", "far"])
async def test_a7_a_stall_holds_the_answer_and_nothing_else(make_path: MakePath, side: str) -> None:
    path = await make_path()
    stalled, other = await path.connect(), await path.connect()
    network = path.near if side == "near" else path.far
    await other.execute("SELECT 'before'")
    network.downwards.stall()
    waiting = asyncio.get_running_loop().create_task(
        stalled.execute("SELECT repeat('x', 1000) FROM generate_series(1, 50000)"), name="stalled"
    )
    # About 50 MB: more than all buffers between, so that the relay must have stopped reading.
    done, _ = await asyncio.wait({waiting}, timeout=0.7)
    assert not done
    network.downwards.resume()
    assert (await waiting).rowcount == 50_000
    await stalled.close()
    await other.close()
    await path.nothing_left()
    large = next(e for e in path.observer.executions if e.rows == 50_000)
    assert large.outcome == Outcome.OK
    if side == "near":
        # The application did not read: that is its time, not the server's.
        assert large.stalled > 0.2
    assert not path.opaque()


async def test_s16_a_server_that_vanishes_and_comes_back(make_path: MakePath) -> None:
    path = await make_path()
    connections = [await path.connect() for _ in range(5)]
    path.far.cut()
    for connection in connections:
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        await connection.close()
    await path.nothing_left()
    assert len(path.observer.closed) == 5
    async with await path.connect() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
