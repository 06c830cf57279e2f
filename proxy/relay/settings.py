"""What the relay is told: where PostgreSQL is, and its limits. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.dsn import Address


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker. None of them concerns an established, quiet session: those live forever."""

    handshake: float = 60.0
    """From accept to a complete StartupMessage: PostgreSQL's own authentication_timeout."""
    connect: float = 10.0
    """To reach one upstream address."""
    cancel: float = 10.0
    """A cancel request is given up after this long."""
    cancels: int = 256
    """Cancel requests in flight; they bypass the connection cap and have only this one."""
    linger: float = 2.0
    """After the server hung up, how long the client's last bytes are swallowed before its socket is
    closed: closing with unread bytes would send a reset that can overtake the server's last words."""
    drain: float = 10.0
    """After the first stop signal, how long sessions that are not idle may go on."""
    write_buffer: int = 64 * 1024
    """Unsent bytes on one side above which the other side is no longer read."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server relayed to: several addresses are tried in order for every session."""

    addresses: tuple[Address, ...]
