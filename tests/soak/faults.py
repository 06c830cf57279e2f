"""Minutes of random faults around ``pgcoach up``: equal bytes, level memory, nothing lost uncounted.

    python -m tests.soak.faults --minutes 10

    clients ─▶ bad network ─▶ recording ─▶ pgcoach ─▶ recording ─▶ bad network ─▶ PostgreSQL

Sessions run random work while both networks cut messages into pieces, delay, stall and break connections,
and the recorder is killed now and then. Checked are:

- bytes: what pgcoach sent on is what it received, to the last byte where the session ended in order, and a
  prefix of it where a network broke the session;
- answers: a statement that succeeded gave the right result;
- counts: the store holds every statement that a client saw succeed, less what is counted as lost, and none
  that no client sent;
- memory: after the first quarter the worker's resident size stays within ``ALLOWANCE``.

Exit code 1 when one of them does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psycopg

from advisor.scratch import ScratchServer
from tests.kit.badnet import BadNetwork
from tests.kit.recording import RecordedLink, RecordingRelay
from tests.kit.relay import Relay
from tests.kit.up import UpProcess, up
from workload.store.store import Store

CLIENTS = 6
ALLOWANCE = 12_000_000
"""Bytes by which the worker may grow after the first quarter of the time."""
LOSSES = (
    *("lost.statements", "lost.deltas", "lost.unconfirmed_deltas", "lost.connections"),
    *("gaps.", "opaque."),
)
"""Counters that tell of statements which are not in the store."""
PAYLOAD = 400_000
"""Bytes of the largest values, several times what a socket's buffer holds."""


class Soak:
    """What was done and what was found."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.attempted = 0
        self.completed = 0
        self.sessions: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.orderly: set[str] = set()
        self.bytes = 0
        self.wrong: list[str] = []

    # Clients.

    async def client(self, dsn: str, number: int, until: float) -> None:
        chance = random.Random(self.chance.random())
        turn = 0
        while time.monotonic() < until:
            turn += 1
            name = f"soak-{number}-{turn}"
            try:
                await self.session(f"{dsn} application_name={name}", chance)
            except psycopg.OperationalError:
                self.sessions["broken"] += 1
                await asyncio.sleep(0.05)
            else:
                self.sessions["in order"] += 1
                self.orderly.add(name)

    async def session(self, dsn: str, chance: random.Random) -> None:
        connection = await psycopg.AsyncConnection.connect(
            f"{dsn} sslmode=disable gssencmode=disable connect_timeout=20", autocommit=True
        )
        try:
            for _ in range(chance.randint(1, 40)):
                await asyncio.sleep(chance.uniform(0, 0.02))
                await chance.choice((self.one, self.one, self.large, self.pipeline, self.failing, self.copy))(
                    connection, chance
                )
        finally:
            await connection.close()

    async def one(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], chance: random.Random
    ) -> None:
        n = chance.randint(0, 1000)
        self.attempted += 1
        cursor = await connection.execute("SELECT %s::int + 1", (n,), prepare=chance.random() < 0.5)
        self.right(await cursor.fetchone() == (n + 1,), "a sum")
        self.completed += 1

    async def large(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], chance: random.Random
    ) -> None:
        text = chance.choice("abc") * chance.randint(1, PAYLOAD)
        self.attempted += 1
        cursor = await connection.execute("SELECT %s::text", (text,))
        self.right(await cursor.fetchone() == (text,), "a large value")
        self.completed += 1

    async def pipeline(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], chance: random.Random
    ) -> None:
        n = chance.randint(2, 60)
        self.attempted += n
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int * 2", (i,)) for i in range(n)]
            rows = [await cursor.fetchone() for cursor in cursors]
        self.right(rows == [(2 * i,) for i in range(n)], "a pipeline")
        self.completed += n

    async def failing(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], chance: random.Random
    ) -> None:
        try:
            await connection.execute("SELECT 1 / %s::int", (0,))
        except psycopg.errors.DivisionByZero:
            return
        self.right(False, "a division by zero")

    async def copy(
        self, connection: psycopg.AsyncConnection[tuple[object, ...]], chance: random.Random
    ) -> None:
        n = chance.randint(1, 5000)
        self.attempted += 1
        async with connection.cursor().copy(f"COPY (SELECT generate_series(1, {n})) TO STDOUT") as copy:
            lines = [int(bytes(block)) async for block in copy]
        self.right(lines == list(range(1, n + 1)), "a copy")
        self.completed += 1

    def right(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(f"{what} came back wrong")

    # Faults.

    async def trouble(self, networks: list[BadNetwork], proxy: UpProcess, until: float) -> None:
        while time.monotonic() < until:
            network = self.chance.choice(networks)
            direction = self.chance.choice((network.upwards, network.downwards))
            fault = self.chance.choice(("pieces", "pieces", "delay", "stall", "break", "recorder"))
            if fault == "recorder" and self.chance.random() < 0.8:
                continue
            self.faults[fault] += 1
            if fault == "pieces":
                direction.chunk = self.chance.choice((1, 7, 100, 5000))
            elif fault == "delay":
                direction.delay = self.chance.choice((0.001, 0.02))
            elif fault == "stall":
                direction.stall()
            elif fault == "break":
                network.reset = self.chance.random() < 0.5
                direction.cut_after = direction.passed + self.chance.randint(1, 50_000)
            elif (recorder := recorder_of(proxy)) is not None:
                os.kill(recorder, signal.SIGKILL)
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))
            direction.chunk, direction.delay, direction.cut_after = None, 0.0, None
            direction.resume()
            await asyncio.sleep(self.chance.uniform(0.0, 0.5))

    # Checks.

    def compare(self, near: RecordingRelay, far: RecordingRelay, *, last: bool) -> None:
        """Hold the bytes of sessions that ended on both sides against each other, and forget them."""
        sides = [{application(link): link for link in relay.links} for relay in (near, far)]
        for name, link in sides[0].items():
            other = sides[1].get(name)
            if not last and (other is None or not (ended(link) and ended(other))):
                continue
            near.links.remove(link)
            if other is None:
                # Broken before its start-up packet was whole.
                continue
            far.links.remove(other)
            ours, theirs = transcript(link), transcript(other)
            self.bytes += len(ours[0]) + len(ours[1])
            if not ours[0].startswith(theirs[0]) or not theirs[1].startswith(ours[1]):
                self.wrong.append(f"{name}: other bytes went on than came in")
            elif name in self.orderly and ours != theirs:
                self.wrong.append(f"{name}: ended in order, and bytes are missing")


def application(link: object) -> str:
    """The application's name in the start-up packet; ``?`` when none came."""
    assert isinstance(link, RecordedLink)
    head = bytes(link.transcript.sent[:1000])
    _, _, rest = head.partition(b"application_name\0")
    return rest.split(b"\0", 1)[0].decode() or "?"


def transcript(link: object) -> tuple[bytes, bytes]:
    assert isinstance(link, RecordedLink)
    return bytes(link.transcript.sent), bytes(link.transcript.received)


def ended(link: RecordedLink | object) -> bool:
    assert isinstance(link, RecordedLink)
    return link.client.transport.is_closing() and link.server.transport.is_closing()


def children(pid: int) -> dict[int, str]:
    """Child processes and their command lines."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def recorder_of(proxy: UpProcess) -> int | None:
    return next((pid for pid, line in children(proxy.process.pid).items() if "record" in line), None)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def soak(seconds: float, seed: int, folder: Path) -> Soak:
    found = Soak(seed)
    with ScratchServer.start(16) as server:
        path = f"{server.socket_dir}/.s.PGSQL.{server.port}"
        async with BadNetwork(path) as bad_far, RecordingRelay(bad_far.address) as far:
            with up(f"postgresql://postgres@127.0.0.1:{far.port}/postgres?sslmode=disable", folder) as proxy:
                host, port = proxy.dsn.rsplit("@", 1)[1].split("/", 1)[0].rsplit(":", 1)
                async with RecordingRelay((host, int(port))) as near, BadNetwork(near.address) as bad_near:
                    await _run(found, seconds, proxy, [bad_near, bad_far], near, far)
                await asyncio.to_thread(proxy.stop)
    count(found, folder / "store.db")
    return found


async def _run(
    found: Soak,
    seconds: float,
    proxy: UpProcess,
    networks: list[BadNetwork],
    near: RecordingRelay,
    far: RecordingRelay,
) -> None:
    started = time.monotonic()
    until = started + seconds
    worker = proxy.workers[0]
    baseline = 0
    async with asyncio.TaskGroup() as group:
        dsn = networks[0].dsn()
        running = [group.create_task(found.client(dsn, n, until)) for n in range(CLIENTS)]
        group.create_task(found.trouble(networks, proxy, until))
        while not all(task.done() for task in running):
            await asyncio.sleep(1)
            found.compare(near, far, last=False)
            forget(networks)
            if not baseline and time.monotonic() - started > seconds / 4:
                baseline = resident(worker)
    grown = resident(worker) - baseline
    print(f"worker: {baseline >> 10:,} KiB after a quarter of the time, then {grown >> 10:+,} KiB")
    if grown > ALLOWANCE:
        found.wrong.append(f"the worker grew by {grown:,} bytes")
    await near.settled(60)
    await far.settled(60)
    found.compare(near, far, last=True)


def forget(relays: list[BadNetwork]) -> None:
    """Links that ended: the networks would keep them for the whole time."""
    relay: Relay
    for relay in relays:
        relay.links = [link for link in relay.links if not link.client.transport.is_closing()]


def count(found: Soak, path: Path) -> None:
    """The store against what the clients know."""
    with Store.open(path, create=False) as store:
        calls = sum(query.calls for query in store.queries(limit=100_000))
        counters = store.counters()
    telling = {
        name: n
        for name, n in counters.items()
        if name.startswith(("lost.", "gaps.", "opaque.", "executions."))
    }
    print(json.dumps({"calls": calls, "counters": telling}, indent=1))
    uncounted = found.completed - calls
    losses = sum(n for name, n in telling.items() if name.startswith(LOSSES))
    if uncounted > 0 and not losses:
        found.wrong.append(f"{uncounted} statements are neither in the store nor counted as lost")
    if calls > found.attempted:
        found.wrong.append(f"{calls} calls are in the store, {found.attempted} were attempted")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    order = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pgcoach-") as folder:
        found = asyncio.run(soak(order.minutes * 60, order.seed, Path(folder)))
    figures = {
        "sessions": dict(found.sessions),
        "faults": dict(found.faults),
        "statements attempted": found.attempted,
        "statements completed": found.completed,
        "bytes compared": found.bytes,
        "wrong": found.wrong[:50],
    }
    print(json.dumps(figures, indent=1))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
