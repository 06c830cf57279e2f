"""From accept to the moment when client and server are joined.

Nothing is dialled, and no place taken, before a valid StartupMessage is complete: scanners, health probes
and slow writers cost a socket and at most 10,000 bytes. What the client sends is judged by
``proxy.wire.startup`` and, once accepted, goes to the server verbatim; authentication is between the two.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from proxy.relay.settings import Limits
from proxy.relay.sockets import is_encrypted, peer_name, tune
from proxy.relay.tls import ALPN
from proxy.wire.proxyheader import Origin
from proxy.wire.startup import (
    MAX_STARTUP_LENGTH,
    CancelRequest,
    DirectTLS,
    GSSENCRequest,
    Invalid,
    SSLRequest,
    StartupMessage,
    read_startup,
)

REFUSE_ENCRYPTION = b"N"


class Host(Protocol):
    """What a handshake needs from the relay."""

    limits: Limits

    def arrived(self, handshake: Handshake) -> None:
        """A client connected."""

    def left(self, handshake: Handshake) -> None:
        """The handshake is over, one way or the other."""

    def start(self, client: asyncio.Transport, message: StartupMessage, rest: bytes, origin: str) -> None:
        """Connect it upstream. The client is paused until then; ``origin`` is its address, for people."""

    def cancel(self, client: asyncio.Transport, packet: bytes) -> None:
        """Forward a cancel request and close the client afterwards."""

    def count(self, counter: str) -> None: ...


class Handshake(asyncio.Protocol):
    """Reads start-up packets until one decides what this connection is."""

    __slots__ = (
        "_buffer",
        "_deadline",
        "_direct",
        "_encrypted",
        "_gss",
        "_host",
        "_origin",
        "_seconds",
        "_ssl",
        "_transport",
    )

    def __init__(
        self,
        host: Host,
        head: bytes = b"",
        seconds: float | None = None,
        origin: Origin | None = None,
        direct: bool = False,
    ) -> None:
        """``head`` was read from the socket before; ``seconds`` are left of the handshake's deadline;
        ``origin`` is the client behind a load balancer. ``direct``: it began with TLS without asking, and
        must have named the protocol there (ALPN).
        """
        self._direct = direct
        self._origin = "" if origin is None else str(origin)
        self._host = host
        self._buffer = bytearray(head)
        self._seconds = host.limits.handshake if seconds is None else seconds
        self._encrypted = False
        self._ssl = self._gss = False
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        tune(transport)
        loop = asyncio.get_running_loop()
        self._encrypted = is_encrypted(self._transport)
        self._origin = self._origin or peer_name(transport)
        self._deadline = loop.call_later(self._seconds, self._drop, "handshake.timeout")
        self._host.arrived(self)
        if self._direct and transport.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
            # PostgreSQL refuses it too: a browser could be lured here by another service's name.
            self._drop("handshake.no_alpn")
        if self._buffer:
            loop.call_soon(self._judge)

    def data_received(self, data: bytes) -> None:
        if self._deadline is not None:
            self._buffer += data
            self._judge()

    def _judge(self) -> None:
        while self._deadline is not None:
            packet = read_startup(self._buffer)
            match packet:
                case None:
                    # read_startup judges the length first, so that a longer wait than this is impossible.
                    assert len(self._buffer) < MAX_STARTUP_LENGTH
                    return
                case SSLRequest() | GSSENCRequest() | DirectTLS() if self._encrypted:
                    self._drop("handshake.invalid")
                case SSLRequest():
                    self._refuse_encryption(packet.size, repeated=self._ssl)
                    self._ssl = True
                case GSSENCRequest():
                    self._refuse_encryption(packet.size, repeated=self._gss)
                    self._gss = True
                case CancelRequest():
                    self._decided()
                    self._host.cancel(self._transport, packet.raw)
                case StartupMessage():
                    self._decided()
                    self._transport.pause_reading()
                    self._host.start(
                        self._transport, packet, bytes(self._buffer[packet.size :]), self._origin
                    )
                case DirectTLS():
                    self._drop("handshake.direct_tls")
                case Invalid(quiet=quiet):
                    self._drop("handshake.noise" if quiet else "handshake.invalid")

    def eof_received(self) -> bool:
        # A TCP probe, or a client that insists on TLS: silent, as PostgreSQL is.
        self._drop("handshake.abandoned")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop("handshake.abandoned")

    def end(self) -> None:
        """The relay shuts down: whoever has not said what it wants is not told anything either."""
        if self._deadline is not None:
            self._decided()
            self._transport.close()

    def _refuse_encryption(self, size: int, repeated: bool) -> None:
        if repeated or len(self._buffer) > size:
            # Bytes sent before our answer: an early ClientHello that we cannot use, or plaintext injected
            # in front of what the client believes to be encrypted.
            self._drop("handshake.injection")
            return
        self._buffer.clear()
        self._transport.write(REFUSE_ENCRYPTION)

    def _decided(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._host.left(self)

    def _drop(self, counter: str) -> None:
        """End it without a word, unless it was decided already what becomes of it."""
        if self._deadline is not None:
            self._decided()
            self._host.count(counter)
            self._transport.close()


class Dialling(asyncio.Protocol):
    """The client while its upstream is being connected. It is paused, so that only its end can be news."""

    __slots__ = ("_early", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._early = bytearray()

    def data_received(self, data: bytes) -> None:
        # uvloop may deliver one chunk that was read before the pause took effect.
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def early(self) -> bytes:
        """What arrived in the meantime."""
        return bytes(self._early)
