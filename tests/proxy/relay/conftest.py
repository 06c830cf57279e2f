"""A server that only accepts, and a relay in front of it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.dsn import Address
from proxy.observe.execution import Observer, Session
from proxy.observe.tap import Side
from tests.kit.relay_thread import LOOPS, PATIENCE, RelayThread


class FakeServer:
    """Accepts connections for the test to play PostgreSQL on."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(PATIENCE)
        self.addresses = (Address("127.0.0.1", self.listening.getsockname()[1]),)
        self.accepted: list[socket.socket] = []

    def accept(self) -> socket.socket:
        sock, _ = self.listening.accept()
        sock.settimeout(PATIENCE)
        self.accepted.append(sock)
        return sock

    def close(self) -> None:
        for sock in (self.listening, *self.accepted):
            sock.close()


class SpyTap:
    """Writes down what it is shown; ``idle`` is up to the test."""

    def __init__(self, session: Session, observer: Observer) -> None:
        self.session = session
        self.calls: list[str] = []
        self.client = bytearray()
        self.server = bytearray()
        self.idle = False

    def started(self, raw_startup: bytes, parameters: dict[str, str], now: float) -> None:
        self.calls.append("started")

    def feed_client(self, chunk: bytes, now: float) -> None:
        self.client += chunk

    def feed_server(self, chunk: bytes, now: float) -> None:
        self.server += chunk

    def paused(self, side: Side, now: float) -> None:
        self.calls.append("paused")

    def resumed(self, side: Side, now: float) -> None:
        self.calls.append("resumed")

    def closed(self, now: float) -> None:
        self.calls.append("closed")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def second_server() -> Iterator[FakeServer]:
    """Another one, for relays with several addresses."""
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture(params=sorted(LOOPS))
def loop_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def taps() -> list[SpyTap]:
    """The taps made so far by relays of this test."""
    return []


@pytest.fixture
def start_relay(
    server: FakeServer, loop_name: str, taps: list[SpyTap]
) -> Iterator[Callable[..., RelayThread]]:
    """Start a relay to the fake server; keyword arguments are RelayThread's."""

    def make_tap(session: Session, observer: Observer) -> SpyTap:
        taps.append(SpyTap(session, observer))
        return taps[-1]

    with contextlib.ExitStack() as stack:

        def start(**arguments: object) -> RelayThread:
            arguments = {"upstream": server.addresses, "loop": loop_name, "tap": make_tap} | arguments
            return stack.enter_context(RelayThread(**arguments).running())  # type: ignore[arg-type]

        yield start
