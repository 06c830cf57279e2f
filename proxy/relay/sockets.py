"""Options of every socket of the relay."""

from __future__ import annotations

import contextlib
import socket
import struct
from asyncio import BaseTransport

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 15, 5, 3
"""Seconds, seconds, probes: a dead peer is noticed after half a minute. No TCP_USER_TIMEOUT: it would
kill clients that merely read slowly."""

# macOS has its own name for the idle time.
_TCP_KEEPIDLE: int = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0))


def tune(transport: BaseTransport) -> None:
    """No Nagle delay, and keepalive probes. Unix sockets need neither."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    # A peer that reset already makes setsockopt fail; reading tells in a moment.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)


def reset_on_close(transport: BaseTransport) -> None:
    """Make the coming close a reset, which tells the peer that something was cut off."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def numeric_host(transport: BaseTransport) -> str:
    """The address at the other end; empty for unix sockets."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""


def is_encrypted(transport: BaseTransport) -> bool:
    """Whether TLS is spoken on this connection."""
    return transport.get_extra_info("ssl_object") is not None


def peer_name(transport: BaseTransport) -> str:
    """Who is at the other end, for people."""
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple) and len(name) >= 2:
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    return "unix socket"
