"""Whose connections come through a load balancer, as it says in PROXY headers.

Only networks that were named may say so; from there a header is demanded, because a balancer that sends
none would let its clients send one themselves. It is read before anything else, and nothing behind it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import TypeAlias

from proxy.wire.proxyheader import HeaderError, Origin, missing, origin

__all__ = ["HeaderError", "Network", "Origin", "is_from", "parse_networks", "read_origin"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """CIDR notations, or single addresses. Raises ValueError: one of them is neither."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_from(sock: socket.socket, networks: Sequence[Network]) -> bool:
    """Whether the other end is in one of the networks. Unix sockets are in none."""
    if not networks or sock.family == socket.AF_UNIX:
        return False
    try:
        host = sock.getpeername()[0]
    except OSError:
        # Gone already.
        return False
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


async def read_origin(sock: socket.socket) -> Origin | None:
    """Read the header; None where it names nobody.

    Raises:
        HeaderError: there is none, or a malformed one.
        OSError: the connection broke.
    """
    loop = asyncio.get_running_loop()
    head = b""
    while need := missing(head):
        chunk = await loop.sock_recv(sock, need)
        if not chunk:
            raise HeaderError("the connection ended before the PROXY header")
        head += chunk
    return origin(head)
