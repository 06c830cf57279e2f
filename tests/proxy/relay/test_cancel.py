"""Cancel requests: verbatim, held until processed, bounded."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from proxy.dsn import Address
from proxy.relay.settings import Limits
from tests.kit.relay_thread import PATIENCE, Recording, RelayThread, eventually, read_exactly, read_to_end

START = Callable[..., RelayThread]


def cancel_request(key: bytes) -> bytes:
    return struct.pack("!III", 12 + len(key), 80877102, 4711) + key


@pytest.mark.parametrize("size", [4, 32, 256])
def test_c4_forwarded_verbatim_and_the_client_held_until_the_server_closes(
    start_relay: START, server: Any, size: int
) -> None:
    packet = cancel_request(bytes(range(size % 256)) + bytes(size - size % 256))
    client = start_relay().connect()
    client.sendall(packet)
    upstream = server.accept()
    assert read_exactly(upstream, len(packet)) == packet
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)
    upstream.close()
    client.settimeout(10)
    assert read_to_end(client) == b""


def test_c1_after_a_declined_ssl_request(start_relay: START, server: Any) -> None:
    client = start_relay().connect()
    client.sendall(struct.pack("!II", 8, 80877103))
    assert read_exactly(client, 1) == b"N"
    client.sendall(cancel_request(b"1234"))
    assert read_exactly(server.accept(), 16) == cancel_request(b"1234")
    client.close()


def test_c4_client_that_leaves_early_still_cancels(start_relay: START, server: Any) -> None:
    client = start_relay().connect()
    client.sendall(cancel_request(b"1234"))
    client.close()
    assert read_exactly(server.accept(), 16) == cancel_request(b"1234")


@pytest.mark.parametrize("size", [3, 257])
def test_c2_impossible_keys_are_dropped(start_relay: START, size: int) -> None:
    client = start_relay().connect()
    client.sendall(cancel_request(bytes(size)))
    assert read_to_end(client) == b""


def test_c4_given_up_after_the_limit(start_relay: START, server: Any) -> None:
    observer = Recording()
    client = start_relay(observer=observer, limits=Limits(cancel=0.05)).connect()
    client.sendall(cancel_request(b"1234"))
    assert read_to_end(client) == b""
    assert observer.counters == {"cancel.forwarded": 1, "cancel.unknown_key": 1, "cancel.timeout": 1}


def test_c6_own_cap_and_not_the_sessions_cap(start_relay: START, server: Any) -> None:
    observer = Recording()
    relay = start_relay(observer=observer, limits=Limits(cancels=1), max_connections=0)
    first = relay.connect()
    first.sendall(cancel_request(b"1234"))
    upstream = server.accept()
    second = relay.connect()
    second.sendall(cancel_request(b"5678"))
    assert read_to_end(second) == b""
    assert observer.counters["cancel.over_limit"] == 1
    upstream.close()
    assert read_to_end(first) == b""


def test_c3_of_an_unknown_key_every_address_is_asked_and_a_dead_one_does_not_matter(
    start_relay: START, server: Any
) -> None:
    observer = Recording()
    relay = start_relay(observer=observer, upstream=(Address("/nonexistent", 1), *server.addresses))
    client = relay.connect()
    client.sendall(cancel_request(b"1234"))
    upstream = server.accept()
    assert read_exactly(upstream, 16) == cancel_request(b"1234")
    upstream.shutdown(socket.SHUT_WR)
    upstream.close()
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters["cancel.failed"] == 1, "the dead address is counted")


STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"


def logged_in(relay: RelayThread, accept: Callable[[], socket.socket], identity: bytes) -> socket.socket:
    """A client whose server said this process id and key, a byte at a time."""
    client = relay.connect()
    client.sendall(STARTUP)
    upstream = accept()
    read_exactly(upstream, len(STARTUP))
    said = b"R\0\0\0\x08\0\0\0\0" + b"K" + struct.pack("!I", 4 + len(identity)) + identity
    said += b"Z\0\0\0\x05I"
    for i in range(len(said)):
        upstream.sendall(said[i : i + 1])
    assert read_exactly(client, len(said)) == said
    return client


@pytest.mark.parametrize("size", [4, 256])
def test_c3_goes_only_to_the_server_that_issued_the_key(
    start_relay: START, server: Any, second_server: Any, size: int
) -> None:
    relay = start_relay(upstream=server.addresses + second_server.addresses, observer=Recording())
    session = logged_in(relay, server.accept, struct.pack("!I", 4711) + bytes(size))
    client = relay.connect()
    client.sendall(cancel_request(bytes(size)))
    upstream = server.accept()
    assert read_exactly(upstream, 12 + size) == cancel_request(bytes(size))
    second_server.listening.settimeout(0.3)
    with pytest.raises(TimeoutError):
        second_server.accept()
    upstream.close()
    assert read_to_end(client) == b""
    session.close()


def test_a14_the_same_process_id_on_two_servers_after_a_failover(
    start_relay: START, server: Any, second_server: Any
) -> None:
    relay = start_relay(upstream=server.addresses + second_server.addresses, observer=Recording())
    logged_in(relay, server.accept, struct.pack("!I", 4711) + b"frst")
    port = server.addresses[0].port
    server.listening.close()
    logged_in(relay, second_server.accept, struct.pack("!I", 4711) + b"scnd")
    relay.connect().sendall(cancel_request(b"scnd"))
    assert read_exactly(second_server.accept(), 16) == cancel_request(b"scnd")
    server.listening = socket.create_server(("127.0.0.1", port))
    server.listening.settimeout(PATIENCE)
    relay.connect().sendall(cancel_request(b"frst"))
    assert read_exactly(server.accept(), 16) == cancel_request(b"frst")
