"""Load balancers say whose connection it is; nobody else may."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from proxy.relay.origin import parse_networks
from proxy.relay.settings import Limits
from proxy.wire.proxyheader import SIGNATURE_2
from tests.kit.relay_thread import Recording, RelayThread, eventually, read_exactly, read_to_end

START = Callable[..., RelayThread]
STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 5432\r\n"
BINARY = SIGNATURE_2 + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, b"\xc0\0\2\1", b"\xc0\0\2\2", 56324, 5432)
LOCAL = SIGNATURE_2 + b"\x20\0\0\0"
HERE = parse_networks(["10.0.0.0/8", "127.0.0.0/8"])


@pytest.mark.parametrize("header", [LINE, BINARY])
@pytest.mark.parametrize("step", [1, 1000])
def test_s19_the_session_has_the_address_that_the_balancer_said(
    start_relay: START, server: Any, taps: list[Any], header: bytes, step: int
) -> None:
    relay = start_relay(observer=Recording(), balancers=HERE)
    client = relay.connect()
    data = header + struct.pack("!II", 8, 80877103)
    for i in range(0, len(data), step):
        client.sendall(data[i : i + step])
    assert read_exactly(client, 1) == b"N"
    client.sendall(STARTUP + b"early")
    assert read_exactly(server.accept(), len(STARTUP) + 5) == STARTUP + b"early"
    eventually(lambda: taps, "the session is observed")
    assert taps[0].session.client == "192.0.2.1:56324"


def test_s19_a_balancers_own_connection_has_its_own_address(
    start_relay: START, server: Any, taps: list[Any]
) -> None:
    relay = start_relay(observer=Recording(), balancers=HERE)
    client = relay.connect()
    client.sendall(LOCAL + STARTUP)
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP
    eventually(lambda: taps, "the session is observed")
    assert taps[0].session.client == "{}:{}".format(*client.getsockname())


@pytest.mark.parametrize("sent", [STARTUP, b"PROXY TCP4 nonsense\r\n" + STARTUP, b"PROXY " + b"x" * 200, b""])
def test_s19_a_balancer_must_send_a_header(start_relay: START, sent: bytes) -> None:
    observer = Recording()
    client = start_relay(observer=observer, balancers=HERE).connect()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters == {"handshake.proxy_header": 1}, str(observer.counters))


def test_s19_the_header_has_a_deadline(start_relay: START) -> None:
    observer = Recording()
    client = start_relay(observer=observer, balancers=HERE, limits=Limits(handshake=0.05)).connect()
    client.sendall(LINE[:20])
    assert read_to_end(client) == b""
    assert observer.counters == {"handshake.proxy_header": 1}


@pytest.mark.parametrize("networks", [[], ["10.0.0.0/8", "::1"]])
def test_s19_from_elsewhere_a_header_is_noise(start_relay: START, networks: list[str]) -> None:
    observer = Recording()
    client = start_relay(observer=observer, balancers=parse_networks(networks)).connect()
    client.sendall(LINE + STARTUP)
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters == {"handshake.noise": 1}, str(observer.counters))


def test_networks_are_single_addresses_too_and_nonsense_is_an_error() -> None:
    assert [str(network) for network in parse_networks(["192.0.2.1", "::/0"])] == ["192.0.2.1/32", "::/0"]
    for nonsense in ("balancer", "10.0.0.1/8", "10.0.0.0/33"):
        with pytest.raises(ValueError, match=nonsense):
            parse_networks([nonsense])
