"""Reaching a server: which address, and what is said when none can be had."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.dsn import Address
from proxy.relay.connector import ClientHop, Connector, Inbox
from proxy.relay.settings import Limits, Upstream, UpstreamTLS
from proxy.relay.upstream import UpstreamError

STARTUP = b"\0\0\0\x08\0\3\0\0"
PLAIN = ClientHop(encrypted=False)


def connector(*addresses: Address, seconds: float = 10.0, mode: str = "disable") -> Connector:
    counted: list[str] = []
    return Connector(
        Upstream(addresses, UpstreamTLS(mode=mode)), Limits(connect=seconds), counted.append, counted.append
    )


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens: it was given to us a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def test_the_first_address_that_answers(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        addresses = (Address("127.0.0.1", free_port), Address("127.0.0.1", port))
        server = await connector(*addresses).log_in(STARTUP, PLAIN)
        assert server.transport.get_extra_info("peername")[1] == port
        assert server.address == addresses[1]
        assert not server.encrypted
        server.transport.abort()
        await ended(server.inbox)


async def test_every_failure_is_told_with_its_address(free_port: int, tmp_path: Path) -> None:
    reaching = connector(
        Address("127.0.0.1", free_port), Address(str(tmp_path), 5432), Address("x" * 64 + ".invalid", 1)
    )
    with pytest.raises(UpstreamError) as caught:
        await reaching.log_in(STARTUP, PLAIN)
    refused, missing, name = str(caught.value).split("; ")
    assert refused == f"127.0.0.1:{free_port}: connection refused"
    assert missing == f"{tmp_path}/.s.PGSQL.5432: No such file or directory"
    assert name.startswith("x" * 64 + ".invalid:1: ")


@pytest.mark.parametrize("mode", ["disable", "require"])
async def test_patience_ends(mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address("127.0.0.1", listening.getsockname()[1])
        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:\d+: no answer within 0 s"):
            await connector(address, seconds=0, mode=mode).log_in(STARTUP, PLAIN)


async def ended(inbox: Inbox) -> None:
    """Wait until the connection is gone."""
    while not inbox.ended:
        await inbox.more()
