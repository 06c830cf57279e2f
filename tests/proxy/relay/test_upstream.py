"""Connecting to one address, however it is named."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from proxy.dsn import Address
from proxy.relay.upstream import dial

SECONDS = 10.0


class Dialled(asyncio.Protocol):
    """A connection that can be waited for to be gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


async def reached(listening: socket.socket, address: Address) -> bool:
    listening.setblocking(False)
    transport, protocol = await dial(address, Dialled, SECONDS)
    accepted, _ = await asyncio.get_running_loop().sock_accept(listening)
    accepted.close()
    listening.close()
    transport.abort()
    return await protocol.gone.wait()


async def test_tcp_by_name_and_by_number() -> None:
    for host, numeric in (("localhost", "127.0.0.1"), ("127.0.0.1", ""), ("no.such.invalid", "127.0.0.1")):
        listening = socket.create_server(("127.0.0.1", 0))
        assert await reached(listening, Address(host, listening.getsockname()[1], numeric))


async def test_unix_socket(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address.socket_path)
    listening.listen()
    assert await reached(listening, address)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
async def test_abstract_unix_socket(tmp_path: Path) -> None:
    address = Address(f"@{tmp_path.name}", 5432)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("\0" + address.socket_path[1:])
    listening.listen()
    assert await reached(listening, address)
