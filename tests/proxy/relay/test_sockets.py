"""Options of sockets, read back from real ones, and names of peers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.relay.sockets import KEEPALIVE_COUNT, KEEPALIVE_IDLE, peer_name, reset_on_close, tune


class Over(asyncio.BaseTransport):
    """A transport over a given socket."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), 5)
        accepted, _ = listening.accept()
        accepted.settimeout(5)
        with client, accepted:
            yield client, accepted


def test_no_delay_and_probes(pair: tuple[socket.socket, socket.socket]) -> None:
    sock = pair[0]
    tune(Over(socket=sock))
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == KEEPALIVE_COUNT
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE_IDLE


def test_the_coming_close_is_a_reset(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    reset_on_close(Over(socket=client))
    client.close()
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


def test_a_plain_close_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    tune(Over(socket=client))
    client.close()
    assert accepted.recv(1) == b""


def test_unix_sockets_closed_ones_and_none_are_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    pair[0].close()
    for transport in (Over(socket=here), Over(socket=pair[0]), Over()):
        tune(transport)
        reset_on_close(transport)
    here.close()
    there.close()


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        (("127.0.0.1", 5), "127.0.0.1:5"),
        (("::1", 5, 0, 0), "[::1]:5"),
        ("", "unix socket"),
        (None, "unix socket"),
    ],
)
def test_names_of_peers(peer: object, shown: str) -> None:
    assert peer_name(Over(peername=peer)) == shown
