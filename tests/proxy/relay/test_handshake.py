"""Start-up packets: what is answered, what is dropped, and that nothing reaches the server too early."""

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
STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
SSL = struct.pack("!II", 8, 80877103)
GSS = struct.pack("!II", 8, 80877104)


def packet(version: int, body: bytes) -> bytes:
    return struct.pack("!II", 8 + len(body), version) + body


@pytest.mark.parametrize("requests", [[SSL], [GSS], [GSS, SSL], [SSL, GSS]])
def test_s2_s3_encryption_is_declined_with_one_byte(
    start_relay: START, server: Any, requests: list[bytes]
) -> None:
    client = start_relay().connect()
    for request in requests:
        client.sendall(request)
        assert read_exactly(client, 1) == b"N"
    client.sendall(STARTUP)
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP
    client.close()


@pytest.mark.parametrize(
    "startup",
    [
        packet(196610, b"user\0me\0\0"),
        packet(0x0003270F, b"user\0me\0_pq_.test_protocol_negotiation\0\0\0"),
        packet(0x00020000, b"old\0"),
    ],
)
def test_s7_s9_s10_any_version_and_option_is_forwarded_verbatim(
    start_relay: START, server: Any, startup: bytes
) -> None:
    client = start_relay().connect()
    for i in range(len(startup)):
        client.sendall(startup[i : i + 1])
    assert read_exactly(server.accept(), len(startup)) == startup
    client.close()


@pytest.mark.parametrize(
    ("sent", "counter"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "handshake.noise"),
        (b"\x16\x03\x01\x02\x00\x01", "handshake.direct_tls"),
        (struct.pack("!II", 3, 196608), "handshake.invalid"),
        (struct.pack("!II", 0x7FFFFFFF, 196608), "handshake.noise"),
        (struct.pack("!II", 10_001, 196608), "handshake.invalid"),
        (SSL + STARTUP, "handshake.injection"),
        (GSS + SSL, "handshake.injection"),
    ],
)
def test_s6_s20_what_is_not_a_startup_packet_is_dropped_without_a_word(
    start_relay: START, sent: bytes, counter: str
) -> None:
    observer = Recording()
    client = start_relay(observer=observer).connect()
    client.sendall(sent)
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters == {counter: 1}, f"{counter}: {observer.counters}")


def test_s3_an_encryption_request_may_come_once(start_relay: START) -> None:
    client = start_relay().connect()
    client.sendall(SSL)
    assert read_exactly(client, 1) == b"N"
    client.sendall(SSL)
    assert read_to_end(client) == b""


def test_s4_s5_probes_and_clients_that_insist_on_tls_only_count(start_relay: START) -> None:
    observer = Recording()
    relay = start_relay(observer=observer)
    relay.connect().close()
    client = relay.connect()
    client.sendall(SSL)
    assert read_exactly(client, 1) == b"N"
    client.close()
    eventually(lambda: observer.counters == {"handshake.abandoned": 2}, "two abandoned handshakes")


def test_s21_handshake_deadline(start_relay: START) -> None:
    observer = Recording()
    client = start_relay(observer=observer, limits=Limits(handshake=0.05)).connect()
    client.sendall(STARTUP[:9])
    assert read_to_end(client) == b""
    assert observer.counters == {"handshake.timeout": 1}


def fields(message: bytes) -> dict[str, str]:
    assert message[:1] == b"E"
    assert struct.unpack("!I", message[1:5])[0] == len(message) - 1
    assert message.endswith(b"\0\0")
    return {part[:1].decode(): part[1:].decode() for part in message[5:-2].split(b"\0")}


def test_s16_unreachable_upstream_is_a_well_formed_fatal(start_relay: START) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    observer = Recording()
    client = start_relay(upstream=(Address("127.0.0.1", port),), observer=observer).connect()
    client.sendall(SSL)
    assert read_exactly(client, 1) == b"N"
    client.sendall(STARTUP)
    told = fields(read_to_end(client))
    assert (told["S"], told["V"], told["C"]) == ("FATAL", "FATAL", "08001")
    assert f"127.0.0.1:{port}: connection refused" in told["M"]
    assert observer.counters == {"upstream.unreachable": 1}


def test_the_next_address_is_tried(start_relay: START, server: Any) -> None:
    missing = Address("/nonexistent", 5432)
    client = start_relay(upstream=(missing, *server.addresses)).connect()
    client.sendall(STARTUP)
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP
    client.close()


def test_s16_over_the_cap_is_53300_and_a_place_is_given_back(start_relay: START, server: Any) -> None:
    observer = Recording()
    relay = start_relay(observer=observer, max_connections=1)
    first = relay.connect()
    first.sendall(STARTUP)
    server.accept()
    second = relay.connect()
    second.sendall(STARTUP)
    assert fields(read_to_end(second))["C"] == "53300"
    first.close()
    server.accepted[0].close()
    eventually(lambda: not relay.relay.links, "the first session ends")
    third = relay.connect()
    third.sendall(STARTUP)
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP
    third.close()


def test_failed_dials_give_their_place_back(start_relay: START) -> None:
    relay = start_relay(upstream=(Address("/nonexistent", 1),), max_connections=1)
    for _ in range(3):
        client = relay.connect()
        client.sendall(STARTUP)
        assert fields(read_to_end(client))["C"] == "08001"
