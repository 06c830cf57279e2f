"""Memory of idle sessions: ``python -m tests.bench.idle [--sessions 5000]``.

A stub stands in for PostgreSQL: it answers a StartupMessage as a server does that trusts everybody, and then
says nothing. Every session logs in through ``pgcoach up`` with one worker, runs one statement, and rests.
Printed is the growth of the worker's resident memory, divided by the sessions; shared pages are in it.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import tempfile
import time
from pathlib import Path
from typing import cast

from proxy.relay.worker import raise_descriptor_limit, run
from tests.kit.up import up

STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
QUERY = b"Q\0\0\0\x0dSELECT 1\0"
AT_ONCE = 200
STATUSES = {
    "server_version": "16.4",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "application_name": "",
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
    "is_superuser": "on",
    "session_authorization": "me",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "Etc/UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
"""What PostgreSQL 16 reports of its own accord."""


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


READY = message(b"Z", b"I")
WELCOME = (
    message(b"R", struct.pack("!I", 0))
    + b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in STATUSES.items())
    + message(b"K", struct.pack("!II", 1, 2))
    + READY
)
ANSWER = (
    message(b"T", struct.pack("!H", 1) + b"?column?\0" + struct.pack("!IHIHIH", 0, 0, 23, 4, 0xFFFFFFFF, 0))
    + message(b"D", struct.pack("!HI", 1, 1) + b"1")
    + message(b"C", b"SELECT 1\0")
    + READY
)


class Stub(asyncio.Protocol):
    """A server of which every request is whole in one chunk, which holds for the client below."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._welcomed = False

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER if self._welcomed else WELCOME)
        self._welcomed = True


class Client(asyncio.Protocol):
    """Logs in, runs one statement, rests; ``resting`` is then done."""

    def __init__(self) -> None:
        self.resting = asyncio.get_running_loop().create_future()
        self._ready = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(STARTUP)

    def data_received(self, data: bytes) -> None:
        self._ready += data.count(READY)
        if self._ready == 1:
            self._transport.write(QUERY)
        elif not self.resting.done():
            self.resting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.resting.done():
            self.resting.set_exception(exc or ConnectionResetError("closed before it was ready"))

    def abort(self) -> None:
        self._transport.abort()


def resident(pid: int) -> int:
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"process {pid} has no resident size: it ended")


async def connected(port: int, count: int) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < count:
        batch = await asyncio.gather(
            *(
                loop.create_connection(Client, "127.0.0.1", port)
                for _ in range(min(AT_ONCE, count - len(clients)))
            )
        )
        clients += [client for _, client in batch]
        await asyncio.gather(*(client.resting for _, client in batch))
    return clients


async def measure(sessions: int, folder: Path) -> None:
    stub = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    upstream = f"postgresql://me@127.0.0.1:{stub.sockets[0].getsockname()[1]}/me"
    with up(upstream, folder, "--workers", "1") as proxy:
        port, worker = int(proxy.ready["port"]), proxy.workers[0]
        # What the first sessions cost once, modules and buffers, is no cost of a session.
        warm = await connected(port, 50)
        before = resident(worker)
        begun = time.monotonic()
        clients = await connected(port, sessions)
        took = time.monotonic() - begun
        await asyncio.sleep(3.0)  # two flushes of the capture, after which nothing happens
        grown = resident(worker) - before
        print(f"{sessions} idle sessions, connected in {took:.1f} s")
        print(f"worker: {before / 1e6:.1f} MB before, {grown / 1e6:.1f} MB more")
        print(f"a session: {grown / sessions / 1000:.1f} KB")
        for client in clients + warm:
            client.abort()
        proxy.stop()
    stub.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sessions", type=int, default=5000)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="pgcoach-bench-") as folder:
        run(measure(arguments.sessions, Path(folder)))


if __name__ == "__main__":
    main()
