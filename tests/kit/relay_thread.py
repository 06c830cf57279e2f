"""A relay that runs in a thread of the test process, so that tests can use blocking sockets and drivers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvloop

from proxy.dsn import Address
from proxy.observe.execution import Execution, Observer, Session
from proxy.relay.admission import Admission
from proxy.relay.origin import Network
from proxy.relay.relay import Relay
from proxy.relay.settings import Limits, ListenTLS, Upstream, UpstreamTLS
from proxy.relay.tap import TapFactory, session_tap

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
PATIENCE = 20.0


def eventually(condition: Callable[[], object], what: str = "condition", seconds: float = PATIENCE) -> None:
    """Poll until true; fail with a message that says what never happened."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened within {seconds:g} s: {what}")
        time.sleep(0.005)


class Recording:
    """An observer that keeps everything it is told."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.opened: list[Session] = []
        self.closed: list[Session] = []
        self.counters: Counter[str] = Counter()

    def session_opened(self, session: Session) -> None:
        self.opened.append(session)

    def executed(self, execution: Execution) -> None:
        self.executions.append(execution)

    def taken_back(self, execution: Execution) -> None: ...

    def session_closed(self, session: Session, now: float) -> None:
        self.closed.append(session)

    def count(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] += amount


class RelayThread:
    """One relay, serving until the context ends."""

    def __init__(
        self,
        upstream: tuple[Address, ...],
        observer: Observer | None = None,
        limits: Limits | None = None,
        max_connections: int | None = None,
        tap: TapFactory = session_tap,
        loop: str = "uvloop",
        unix: Path | None = None,
        tls: ListenTLS | None = None,
        upstream_tls: UpstreamTLS | None = None,
        balancers: Sequence[Network] = (),
    ) -> None:
        self._clients: list[socket.socket] = []
        self.upstream = Upstream(upstream, upstream_tls or UpstreamTLS())
        self._tls = tls
        self._balancers = balancers
        self.observer = observer
        if unix is None:
            self.listening = socket.create_server(("127.0.0.1", 0))
            self.address = Address("127.0.0.1", self.listening.getsockname()[1])
        else:
            self.address = Address(str(unix), 5432)
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(self.address.socket_path)
            self.listening.listen()
        self._arguments = (limits or Limits(), Admission(max_connections), tap)
        self._loop = LOOPS[loop]()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay")

    def _run(self) -> None:
        self._loop.run_until_complete(self._start())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._finish())
        self._loop.close()

    async def _start(self) -> None:
        self.relay = Relay(
            self.upstream, self.observer, *self._arguments, tls=self._tls, balancers=self._balancers
        )
        self.relay.serve(self.listening)

    async def _finish(self) -> None:
        self.relay.abort()
        deadline = self._loop.time() + PATIENCE
        while (self.relay.links or self.relay.busy) and self._loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)  # transports close in the loop's next rounds

    @contextlib.contextmanager
    def running(self) -> Iterator[RelayThread]:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        try:
            yield self
        finally:
            for sock in self._clients:
                sock.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        """A blocking client socket, with a timeout so that no test hangs; closed at the end at the latest."""
        sock = self._connect()
        self._clients.append(sock)
        return sock

    def _connect(self) -> socket.socket:
        if self.address.is_unix:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.address.socket_path)
            return sock
        return socket.create_connection((self.address.host, self.address.port), PATIENCE)

    def drain(self) -> concurrent.futures.Future[int]:
        return asyncio.run_coroutine_threadsafe(self.relay.drain(), self._loop)

    def call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def read_to_end(sock: socket.socket) -> bytes:
    """Everything up to FIN. A reset counts as the end too, after what came before it."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            data += chunk
    return bytes(data)
