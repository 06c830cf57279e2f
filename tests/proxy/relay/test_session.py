"""The pump: bytes unchanged, ends passed on, memory bounded, observation harmless."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.observe.execution import Observer, Session
from proxy.relay.session import ClientSide, Link, ServerSide
from proxy.relay.settings import Limits
from tests.kit.relay_thread import Recording, RelayThread, eventually, read_exactly, read_to_end

STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
START = Callable[..., RelayThread]


def joined(relay: RelayThread, server: Any) -> tuple[socket.socket, socket.socket]:
    client = relay.connect()
    client.sendall(STARTUP)
    upstream = server.accept()
    assert read_exactly(upstream, len(STARTUP)) == STARTUP
    return client, upstream


def send_until_blocked(sock: socket.socket) -> int:
    """How many bytes the other end took before it stopped reading."""
    sock.settimeout(1.0)
    sent = 0
    while sent < 200_000_000:
        try:
            sent += sock.send(b"r" * 65536)
        except TimeoutError:
            return sent
    raise AssertionError(f"{sent} bytes went somewhere: nothing holds back")


def test_bytes_go_both_ways_unchanged_and_the_tap_sees_the_same(
    start_relay: START, server: Any, taps: list[Any]
) -> None:
    relay = start_relay(observer=Recording())
    client, upstream = joined(relay, server)
    there, back = os.urandom(300_000), os.urandom(500_000)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read_exactly(upstream, len(there))))
    reader.start()
    client.sendall(there)
    reader.join()
    writer = threading.Thread(target=lambda: upstream.sendall(back))
    writer.start()
    assert read_exactly(client, len(back)) == back
    writer.join()
    assert received == [there]
    client.close()
    upstream.close()
    eventually(lambda: "closed" in taps[0].calls, "the tap is told of the end")
    assert bytes(taps[0].client) == there
    assert bytes(taps[0].server) == back
    assert taps[0].calls[0] == "started"


def test_bytes_behind_the_startup_message_are_not_lost(start_relay: START, server: Any) -> None:
    relay = start_relay()
    client = relay.connect()
    client.sendall(STARTUP + b"early")
    upstream = server.accept()
    assert read_exactly(upstream, len(STARTUP) + 5) == STARTUP + b"early"
    client.close()


def test_a5_half_close_of_the_client_reaches_the_server_and_its_answer_comes_back(
    start_relay: START, server: Any
) -> None:
    relay = start_relay()
    client, upstream = joined(relay, server)
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(upstream) == b"last words"
    upstream.sendall(b"answer")
    upstream.close()
    assert read_to_end(client) == b"answer"
    eventually(lambda: not relay.relay.links, "the session is forgotten")


def test_a6_last_bytes_of_a_closing_server_arrive_even_when_the_client_keeps_sending(
    start_relay: START, server: Any
) -> None:
    relay = start_relay()
    client, upstream = joined(relay, server)
    upstream.sendall(b"fatal error")
    upstream.close()
    assert read_exactly(client, 11) == b"fatal error"
    client.sendall(b"not knowing yet")
    assert read_to_end(client) == b""


def test_a6_reset_of_the_server_still_delivers_what_it_said(start_relay: START, server: Any) -> None:
    relay = start_relay()
    client, upstream = joined(relay, server)
    upstream.sendall(b"fatal error")
    assert read_exactly(client, 11) == b"fatal error"
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    upstream.close()
    assert read_to_end(client) == b""


def test_a4_a6_reset_of_the_client_resets_the_server(start_relay: START, server: Any) -> None:
    relay = start_relay()
    client, upstream = joined(relay, server)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ConnectionResetError):
        upstream.recv(1)
    eventually(lambda: not relay.relay.links, "the session is forgotten")


def test_lingering_client_is_closed_after_a_while(start_relay: START, server: Any) -> None:
    relay = start_relay(limits=Limits(linger=0.05))
    client, upstream = joined(relay, server)
    upstream.close()
    assert read_to_end(client) == b""
    eventually(lambda: not relay.relay.links, "the relay closes its side though the client does not")


def test_a7_server_is_not_read_while_the_client_does_not_read(
    start_relay: START, server: Any, taps: list[Any]
) -> None:
    relay = start_relay(observer=Recording())
    client, upstream = joined(relay, server)
    sent = send_until_blocked(upstream)
    assert "paused" in taps[0].calls
    assert read_exactly(client, sent) == b"r" * sent
    eventually(lambda: taps[0].calls[-1] == "resumed", "reading goes on")
    assert len(taps[0].server) == sent


def test_a7_client_is_not_read_while_the_server_does_not_read(start_relay: START, server: Any) -> None:
    relay = start_relay()
    client, upstream = joined(relay, server)
    sent = send_until_blocked(client)
    assert read_exactly(upstream, sent) == b"r" * sent


class Raising:
    """A tap that fails at a chosen moment."""

    idle = False

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def __getattr__(self, name: str) -> Callable[..., None]:
        def method(*arguments: object) -> None:
            if name == self.moment:
                raise RuntimeError("on purpose")

        return method


@pytest.mark.parametrize("moment", ["started", "feed_client", "feed_server", "closed"])
def test_a13_traffic_goes_on_when_observation_raises(start_relay: START, server: Any, moment: str) -> None:
    observer = Recording()
    relay = start_relay(observer=observer, tap=lambda session, observer: Raising(moment))
    client, upstream = joined(relay, server)
    for _ in range(3):
        client.sendall(b"ping")
        assert read_exactly(upstream, 4) == b"ping"
        upstream.sendall(b"pong")
        assert read_exactly(client, 4) == b"pong"
    client.close()
    upstream.close()
    eventually(lambda: not relay.relay.links, "the session ends")
    assert observer.counters == {"opaque.observer_error": 1}


def test_traffic_goes_on_when_no_tap_can_be_made(start_relay: START, server: Any) -> None:
    class Hopeless(Recording):
        def count(self, counter: str, amount: int = 1) -> None:
            raise RuntimeError("cannot even count")

    def no_tap(session: Session, observer: Observer) -> Any:
        raise RuntimeError("on purpose")

    relay = start_relay(observer=Hopeless(), tap=no_tap)
    client, upstream = joined(relay, server)
    client.sendall(b"ping")
    assert read_exactly(upstream, 4) == b"ping"


def test_unix_socket_in_front(start_relay: START, server: Any, tmp_path: Path) -> None:
    relay = start_relay(unix=tmp_path)
    client, upstream = joined(relay, server)
    upstream.sendall(b"hello")
    assert read_exactly(client, 5) == b"hello"


def test_s18_encryption_is_declined_on_a_unix_socket(start_relay: START, server: Any, tmp_path: Path) -> None:
    client = start_relay(unix=tmp_path).connect()
    client.sendall(struct.pack("!II", 8, 80877103))
    assert read_exactly(client, 1) == b"N"
    client.sendall(STARTUP)
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP


def test_a9_no_delay_and_keepalive_on_both_sides(start_relay: START, server: Any) -> None:
    relay = start_relay()
    joined(relay, server)
    eventually(lambda: relay.relay.links, "the session is there")
    (link,) = relay.relay.links
    for transport in (link.client, link.server):
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
        # A client that reads slowly is no dead client.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


class Written:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.chunks.append(data)


def test_f5_the_received_chunk_itself_is_forwarded_in_one_write() -> None:
    client, server = Written(), Written()
    link = Link(None, client, None)  # type: ignore[arg-type]
    link.server = server  # type: ignore[assignment]
    chunk = b"x" * 100_000
    ClientSide(link).data_received(chunk)
    ServerSide(link).data_received(chunk)
    assert len(client.chunks) == len(server.chunks) == 1
    assert client.chunks[0] is chunk
    assert server.chunks[0] is chunk
