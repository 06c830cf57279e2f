"""pgbench -S through every kind of relay, in interleaved rounds: ``python -m tests.bench.relay``.

Prints, for the simple and the prepared protocol, the median over the rounds of throughput divided by
PgBouncer's in the same round (by the direct connection's where PgBouncer is not installed). Rounds are
interleaved because a shared machine drifts; ratios within a round drift much less.

Every relay listens on TCP and reaches the same scratch server by its unix socket; ``direct`` uses that
socket itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from advisor.scratch import ScratchServer
from proxy.dsn import Address
from proxy.observe.execution import Execution, Observer, Session
from proxy.relay.relay import Relay
from proxy.relay.settings import Upstream
from proxy.relay.worker import run, work
from tests.kit.relay_thread import eventually
from tests.kit.up import up

MODES = ("simple", "prepared")
RELAYS = ("bare", "blind", "tap")
"""Served by this module: the bare loop below, pgcoach's relay without observation, and with a tap."""


class BareSide(asyncio.Protocol):
    """What uvloop can do: one side's chunk is written to the other, and nothing else."""

    def __init__(self) -> None:
        self.peer: asyncio.Transport | None = None
        self.early = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)
        else:
            self.early += data

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None:
            self.peer.close()


class BareClient(BareSide):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect(), name="bare upstream")

    async def _connect(self) -> None:
        server = BareSide()
        server.peer = self.transport
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: server, self._path)
        # uvloop begins to read after connection_made, whatever was paused in there.
        transport.write(self.early)
        self.peer = transport
        self.transport.resume_reading()


class Nobody:
    """An observer that keeps nothing."""

    def session_opened(self, session: Session) -> None: ...

    def executed(self, execution: Execution) -> None: ...

    def taken_back(self, execution: Execution) -> None: ...

    def session_closed(self, session: Session, now: float) -> None: ...

    def count(self, counter: str, amount: int = 1) -> None: ...


def serve(kind: str, socket_dir: str, port: int) -> None:
    """Be one relay, until killed; prints its port first."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listening.getsockname()[1], flush=True)
    address = Address(socket_dir, port)

    async def bare() -> int:
        server = await asyncio.get_running_loop().create_server(
            lambda: BareClient(address.socket_path), sock=listening
        )
        await server.serve_forever()
        return 0

    async def relay() -> int:
        observer: Observer | None = Nobody() if kind == "tap" else None
        return await work(Relay(Upstream((address,)), observer), listening)

    run(bare() if kind == "bare" else relay())


@contextlib.contextmanager
def served(kind: str, server: ScratchServer) -> Iterator[int]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.bench.relay",
            "--serve",
            kind,
            str(server.socket_dir),
            str(server.port),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def pgbouncer(program: str, server: ScratchServer, folder: Path) -> Iterator[int]:
    """PgBouncer in session mode. It refuses to run as root, and the server's directory is its owner's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    owner = os.stat(server.socket_dir)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\npostgres = host={server.socket_dir} port={server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = session\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    config.chmod(0o644)
    other = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
    process = subprocess.Popen([program, "-q", str(config)], **other)  # type: ignore[call-overload]
    try:
        eventually(lambda: _listens(port), "PgBouncer listens")
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def transactions(host: str, port: int, mode: str, seconds: int, clients: int) -> float:
    """Transactions a second."""
    done = subprocess.run(
        [
            *("pgbench", "-n", "-S", "-M", mode, "-c", str(clients), "-j", "1", "-T", str(seconds)),
            *("-h", host, "-p", str(port), "-U", "postgres", "postgres"),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    )
    match = re.search(r"^tps = ([\d.]+) \(without", done.stdout, re.MULTILINE)
    if match is None:
        raise SystemExit(f"pgbench failed at {host}:{port}: {done.stderr.strip()}")
    return float(match[1])


def measure(
    targets: dict[str, tuple[str, int]], rounds: int, seconds: int, clients: int, say: Callable[[str], None]
) -> None:
    base = "pgbouncer" if "pgbouncer" in targets else "direct"
    for mode in MODES:
        results: dict[str, list[float]] = {name: [] for name in targets}
        for number in range(rounds):
            # Another order each round, so that no relay always runs after the same neighbour.
            names = list(targets)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                results[name].append(transactions(*targets[name], mode, seconds, clients))
        say(f"\n{mode}: {clients} clients, medians of {rounds} rounds of {seconds} s")
        say(f"{'':10} {'tps':>8} {'÷ ' + base:>12} {'lowest':>7} {'highest':>8}")
        for name, tps in results.items():
            ratios = [one / other for one, other in zip(tps, results[base], strict=True)]
            say(
                f"{name:10} {statistics.median(tps):8.0f} {statistics.median(ratios):12.2f} "
                f"{min(ratios):7.2f} {max(ratios):8.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--major", type=int, default=16, help="of the scratch server")
    parser.add_argument("--serve", nargs=3, metavar=("KIND", "DIRECTORY", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        kind, directory, port = arguments.serve
        serve(kind, directory, int(port))
        return
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(ScratchServer.start(arguments.major))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgcoach-bench-")))
        folder.chmod(0o755)
        place = (str(server.socket_dir), int(server.port))
        subprocess.run(
            [
                *("pgbench", "-i", "-q", "-s", str(arguments.scale), "-h", place[0], "-p", str(place[1])),
                *("-U", "postgres", "postgres"),
            ],
            check=True,
            capture_output=True,
        )
        targets = {"direct": place}
        if program := shutil.which("pgbouncer"):
            targets["pgbouncer"] = ("127.0.0.1", stack.enter_context(pgbouncer(program, server, folder)))
        for kind in RELAYS:
            targets[kind] = ("127.0.0.1", stack.enter_context(served(kind, server)))
        proxy = stack.enter_context(up(server.url(), folder, "--workers", "1"))
        targets["pgcoach"] = ("127.0.0.1", int(proxy.ready["port"]))
        measure(targets, arguments.rounds, arguments.seconds, arguments.clients, print)


if __name__ == "__main__":
    main()
