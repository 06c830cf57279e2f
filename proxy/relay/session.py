"""One session: two sockets, every chunk of one written to the other as the object that was received.

The order in ``data_received`` is the promise of the whole proxy: first the chunk goes on, then the tap may
look at it, and whatever the tap raises ends the looking and not the session.

Flow control is the transports' own: when the unsent bytes of one side pass the mark, the other side is no
longer read, so memory stays flat however slow a reader is.

How a session ends:

=============================  ==================================================================
client sends FIN               the server gets FIN; its remaining bytes still go to the client
client resets or vanishes      the server's socket is closed at once, by reset if that is how it came
server closes, by whatever     what it said is flushed to the client, then FIN; what the client still
way                            sends is swallowed for a moment, so that no reset overtakes the flush
client ends TLS                what it said is flushed to the server, which is then closed: TLS knows no
                               half-close, so nothing could be delivered to it any more
client sends FIN, server TLS   an idle session ends at once; else the server may answer for a while
drain                          an idle session is told 57P01 and closed on both sides
=============================  ==================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from proxy.observe.tap import Side
from proxy.relay.cancelkeys import NOT_LISTED
from proxy.relay.settings import Limits
from proxy.relay.sockets import reset_on_close
from proxy.relay.tap import Tap
from proxy.wire.errors import error_response

SHUTDOWN = error_response(
    "57P01", "terminating connection because pgcoach is shutting down", hint="Reconnect in a moment."
)
TERMINATE = b"X\0\0\0\4"


class Owner(Protocol):
    """What a session needs from the relay that it belongs to."""

    limits: Limits

    def ended(self, link: Link) -> None:
        """Both sockets are closed."""

    def blinded(self, link: Link, error: Exception) -> None:
        """The tap raised: the session is not observed any longer."""


class Link:
    """The state of one session that both sides share."""

    __slots__ = (
        "_linger",
        "_open",
        "client",
        "client_finished",
        "key_place",
        "owner",
        "server",
        "server_gone",
        "tap",
    )

    def __init__(self, owner: Owner, client: asyncio.Transport, tap: Tap | None) -> None:
        self.owner = owner
        self.client = client
        self.server: asyncio.Transport
        self.tap = tap
        """None once observation failed, or when nobody wants to know."""
        self.client_finished = False
        """The client sent FIN."""
        self.server_gone = False
        self.key_place = NOT_LISTED
        """Where the session's cancel key is listed."""
        self._open = 2
        self._linger: asyncio.TimerHandle | None = None

    def observe(self, call: Callable[[Tap], object]) -> None:
        """Run something of the tap; an error there must not reach traffic."""
        if self.tap is not None:
            try:
                call(self.tap)
            except Exception as error:
                self.blind(error)

    def blind(self, error: Exception) -> None:
        self.tap = None
        self.owner.blinded(self, error)

    def client_eof(self) -> None:
        self.client_finished = True
        if self.server_gone:
            self.client.close()
        elif self.server.can_write_eof():
            self.server.write_eof()
        elif self.tap is not None and self.tap.idle:
            self.server.close()
        else:
            self._close_later(self.owner.limits.half_closed, self.server)

    def client_lost(self, error: Exception | None) -> None:
        if isinstance(error, ConnectionResetError) and not self.server_gone:
            reset_on_close(self.server)
        if self.client.can_write_eof() or isinstance(error, ConnectionResetError) or self.server_gone:
            self.server.abort()
        else:
            # A client that ends TLS is gone both ways at once: what it said last is still delivered.
            self.server.close()
            asyncio.get_running_loop().call_later(self.owner.limits.linger, self.server.abort)
        self._closed()

    def server_ended(self) -> None:
        """FIN or reset from the server: nothing more can come, and nothing can be sent."""
        if self.server_gone:
            return
        self.server_gone = True
        self.server.close()
        # It may have been held back for a server that no longer reads.
        self.client.resume_reading()
        if self.client_finished or self.client.is_closing():
            self.client.close()
            return
        if not self.client.can_write_eof():
            # The end of TLS is a message of its own and waits for the client's.
            self.client.close()
            return
        self.client.write_eof()
        self._close_later(self.owner.limits.linger, self.client)

    def server_lost(self) -> None:
        self.server_ended()
        self._closed()

    def end_if_idle(self) -> bool:
        """Say goodbye when the session stands between statements. False when it does not, or nobody knows."""
        if self.tap is None or self.server_gone or self.client_finished or not self.tap.idle:
            return False
        self.client.write(SHUTDOWN)
        self.server.write(TERMINATE)
        self.server_ended()
        return True

    def abort(self) -> None:
        """End it now. What was already given to the sockets is still delivered where the peer reads."""
        self.server_gone = True
        self.server.abort()
        self.client.abort()

    def _close_later(self, seconds: float, transport: asyncio.Transport) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._linger = asyncio.get_running_loop().call_later(seconds, transport.close)

    def _closed(self) -> None:
        self._open -= 1
        if self._open == 0:
            if self._linger is not None:
                self._linger.cancel()
            self.observe(lambda tap: tap.closed(monotonic()))
            self.owner.ended(self)


class ClientSide(asyncio.Protocol):
    """Reads the application's socket; takes over from the handshake."""

    __slots__ = ("_link", "_send")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._send = link.server.write

    def data_received(self, data: bytes) -> None:
        link = self._link
        if link.server_gone:
            return
        received = monotonic()
        self._send(data)
        tap = link.tap
        if tap is not None:
            try:
                tap.feed_client(data, received)
            except Exception as error:
                link.blind(error)

    def eof_received(self) -> bool:
        link = self._link
        link.client_eof()
        return link.client.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.client_lost(exc)

    def pause_writing(self) -> None:
        link = self._link
        if not link.server_gone:
            link.server.pause_reading()
            link.observe(lambda tap: tap.paused(Side.SERVER, monotonic()))

    def resume_writing(self) -> None:
        link = self._link
        if not link.server_gone:
            link.observe(lambda tap: tap.resumed(Side.SERVER, monotonic()))
            link.server.resume_reading()


class ServerSide(asyncio.Protocol):
    """Reads PostgreSQL's socket."""

    __slots__ = ("_link", "_send")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._send = link.client.write

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._link.server = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        link = self._link
        received = monotonic()
        self._send(data)
        tap = link.tap
        if tap is not None:
            try:
                tap.feed_server(data, received)
            except Exception as error:
                link.blind(error)

    def eof_received(self) -> bool:
        link = self._link
        link.server_ended()
        return link.server.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.server_lost()

    def pause_writing(self) -> None:
        link = self._link
        link.client.pause_reading()
        link.observe(lambda tap: tap.paused(Side.CLIENT, monotonic()))

    def resume_writing(self) -> None:
        link = self._link
        link.observe(lambda tap: tap.resumed(Side.CLIENT, monotonic()))
        link.client.resume_reading()
