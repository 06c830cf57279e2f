"""Cancel requests: verbatim, held until processed, bounded."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from proxy.dsn import Address
from proxy.relay.settings import Limits
from tests.kit.relay_thread import Recording, RelayThread, eventually, read_exactly, read_to_end

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
    assert observer.counters == {"cancel.forwarded": 1, "cancel.timeout": 1}


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


def test_every_address_is_asked_and_a_dead_one_does_not_matter(start_relay: START, server: Any) -> None:
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
