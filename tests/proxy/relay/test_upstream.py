"""Ways to a server, and what is said when none leads there."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from proxy.dsn import Address
from proxy.relay.settings import Upstream
from proxy.relay.upstream import UpstreamError, connect, dial

SECONDS = 10.0


class Dialled(asyncio.Protocol):
    """A connection that can be waited for to be gone."""

    def __init__(self, address: Address | None = None) -> None:
        self.address = address
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens: it was given to us a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


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


async def test_the_first_address_that_answers(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        upstream = Upstream((Address("127.0.0.1", free_port), Address("127.0.0.1", port)))
        transport, protocol = await connect(upstream, Dialled, SECONDS)
        assert transport.get_extra_info("peername")[1] == port
        assert protocol.address == upstream.addresses[1]
        transport.abort()
        await protocol.gone.wait()


async def test_every_failure_is_told_with_its_address(free_port: int, tmp_path: Path) -> None:
    upstream = Upstream(
        (
            Address("127.0.0.1", free_port),
            Address(str(tmp_path), 5432),
            Address("x" * 64 + ".invalid", 1),
        )
    )
    with pytest.raises(UpstreamError) as caught:
        await connect(upstream, Dialled, SECONDS)
    refused, missing, name = str(caught.value).split("; ")
    assert refused == f"127.0.0.1:{free_port}: connection refused"
    assert missing == f"{tmp_path}/.s.PGSQL.5432: No such file or directory"
    assert name.startswith("x" * 64 + ".invalid:1: ")


async def test_patience_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream = Upstream((Address("127.0.0.1", listening.getsockname()[1]),))
        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:\d+: no answer within 0 s"):
            await connect(upstream, Dialled, 0)
