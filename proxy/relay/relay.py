"""The relay of one worker process: accepts, joins each client with a server connection, ends them all.

Accepting is done here, one connection a wake-up, rather than by the event loop's server: several workers
wait on one inherited socket, and a loop that drains the backlog gives all of a burst to the same worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Coroutine, Sequence
from secrets import token_bytes
from time import monotonic
from typing import Any

from proxy.observe.execution import Observer, Session
from proxy.relay.admission import Admission
from proxy.relay.cancel import AwaitingCancel, CancelRelay
from proxy.relay.cancelkeys import CancelKeys
from proxy.relay.connector import BINDING_CHECK_FAILED, ClientHop, Connector, Server
from proxy.relay.encryption import adopt
from proxy.relay.handshake import Dialling, Handshake
from proxy.relay.login import LoginSide
from proxy.relay.origin import HeaderError, Network, is_from, read_origin
from proxy.relay.session import ClientSide, Link
from proxy.relay.settings import Limits, ListenTLS, Upstream
from proxy.relay.sockets import is_encrypted
from proxy.relay.tap import TapFactory, session_tap
from proxy.relay.tls import Replaceable
from proxy.relay.tls_listen import replaceable
from proxy.relay.upstream import UpstreamError
from proxy.wire.errors import error_response
from proxy.wire.startup import StartupMessage

log = logging.getLogger(__name__)

ACCEPT_PAUSE = 0.5
"""Seconds without accepting after the process ran out of file descriptors or memory."""
CERTIFICATE_LOOK = 5.0
"""Seconds between looks whether certificate files were replaced."""
DRAIN_STEP = 0.05
"""Seconds between looks at sessions that were not idle when the drain began."""


class Relay:
    """Serves one listening socket until told to stop. All methods belong to the loop's thread."""

    def __init__(
        self,
        upstream: Upstream,
        observer: Observer | None,
        limits: Limits | None = None,
        admission: Admission | None = None,
        tap: TapFactory = session_tap,
        keys: CancelKeys | None = None,
        tls: ListenTLS | None = None,
        balancers: Sequence[Network] = (),
    ) -> None:
        """``observer`` None relays without looking; a session is then never known to be idle.

        ``tls`` None declines encryption. Connections from the networks of ``balancers`` begin with a PROXY
        header. Raises TLSError: a certificate file cannot be used.
        """
        self.limits = limits or Limits()
        self.links: set[Link] = set()
        self._upstream = upstream
        self._observer = observer
        self._tap = tap
        self._admission = admission or Admission(None)
        self._handshakes: set[Handshake] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = keys or CancelKeys(upstream.addresses, token_bytes(32))
        self._connector = Connector(upstream, self.limits, self.count)
        self._cancels = CancelRelay(upstream, self._connector, self._keys, self.limits, self.count)
        self._tls_required = tls is not None and tls.required
        self._shown = None if tls is None else replaceable(tls)
        self._balancers = balancers
        self._ids = itertools.count(1)
        self._listening: socket.socket | None = None
        self._drained = asyncio.Event()
        self._stopping = False

    @property
    def busy(self) -> bool:
        """Connections are being accepted, joined or cancelled."""
        return bool(self._tasks or self._cancels.in_flight)

    # Accepting.

    def serve(self, listening: socket.socket) -> None:
        """Begin to accept on a socket that is bound and listening already. Returns at once."""
        listening.setblocking(False)
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening.fileno(), self._accept)
        if self._certificates:
            self._look_at_certificates()

    def _accept(self) -> None:
        if self._listening is None:
            return
        try:
            sock, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors or memory: the backlog keeps the clients until some are free again.
            self.count("accept.failed")
            log.warning("cannot accept a connection (%s); trying again in %s s", error.strerror, ACCEPT_PAUSE)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening.fileno())
            loop.call_later(ACCEPT_PAUSE, self._accept_again)
            return
        sock.setblocking(False)
        self._spawn(self._adopt(sock), "accepted connection")

    def _accept_again(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    async def _adopt(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        client = None
        if is_from(sock, self._balancers):
            try:
                async with asyncio.timeout(self.limits.handshake):
                    client = await read_origin(sock)
            except (HeaderError, OSError):
                self.count("handshake.proxy_header")
                sock.close()
                return
        # A unix socket is never encrypted, as in PostgreSQL.
        if self._shown is not None and sock.family != socket.AF_UNIX:
            counter = await adopt(
                sock,
                self._shown.current.context,
                self.limits.handshake,
                lambda begins, left: Handshake(self, begins.head, left, client, begins.direct),
            )
            if counter:
                self.count(counter)
            return
        with contextlib.suppress(OSError):  # gone already
            await loop.connect_accepted_socket(lambda: Handshake(self, origin=client), sock)

    # Certificates.

    @property
    def _certificates(self) -> list[Replaceable[Any]]:
        return [made for made in (self._shown, self._connector.certificates) if made is not None]

    def reload_certificates(self) -> None:
        """Read all certificate files again, for handshakes to come. What is bad is said and not used."""
        for made in self._certificates:
            made.look(at_once=True)

    def _look_at_certificates(self) -> None:
        for made in self._certificates:
            made.look()
        if not self._stopping:
            asyncio.get_running_loop().call_later(CERTIFICATE_LOOK, self._look_at_certificates)

    # What a handshake asks for.

    def arrived(self, handshake: Handshake) -> None:
        if self._stopping:
            handshake.end()
        else:
            self._handshakes.add(handshake)

    def left(self, handshake: Handshake) -> None:
        self._handshakes.discard(handshake)

    def cancel(self, client: asyncio.Transport, packet: bytes) -> None:
        client.set_protocol(AwaitingCancel(client))
        self._cancels.forward(client, packet)

    def start(self, client: asyncio.Transport, message: StartupMessage, rest: bytes, origin: str) -> None:
        if self._stopping:
            self._refuse(client, "57P01", "pgcoach is shutting down", "Reconnect in a moment.")
        elif self._tls_required and not is_encrypted(client):
            self.count("refused.plaintext")
            self._refuse(
                client,
                "28000",
                "pgcoach accepts encrypted connections only",
                "Connect with sslmode=require or stronger.",
            )
        elif not self._admission.enter():
            self.count("refused.over_limit")
            self._refuse(
                client,
                "53300",
                "sorry, too many clients already: pgcoach was started with "
                f"--max-connections {self._admission.limit}",
                "Start pgcoach with a larger --max-connections, or open fewer connections.",
            )
        else:
            waiting = Dialling()
            client.set_protocol(waiting)
            self._spawn(self._join(client, waiting, message, rest, origin), "connecting upstream")

    async def _join(
        self,
        client: asyncio.Transport,
        waiting: Dialling,
        message: StartupMessage,
        rest: bytes,
        origin: str,
    ) -> None:
        """Connect one client upstream and let go of it."""
        link = Link(self, client, None)
        joined = False
        try:
            server = await self._connector.log_in(message.raw, self._hop(client))
            if waiting.gone:
                server.transport.abort()
                return
            joined = True
        except UpstreamError as error:
            self.count("upstream.unreachable")
            log.warning("upstream unreachable: %s", error)
            self._refuse(
                client,
                "08001",
                f"pgcoach could not connect to the upstream PostgreSQL: {error}",
                "Check that PostgreSQL is running, and the --upstream that pgcoach was started with.",
            )
            return
        except asyncio.CancelledError:
            client.abort()
            raise
        finally:
            if not joined:
                self._admission.leave()
        high = self.limits.write_buffer
        server.transport.set_write_buffer_limits(high)
        client.set_write_buffer_limits(high)
        self.links.add(link)
        self._watch(link, message, origin)
        link.server = server.transport
        side = ClientSide(link)
        client.set_protocol(side)
        self._take_over(link, server)
        if rest := rest + waiting.early():
            side.data_received(rest)
        client.resume_reading()

    def _hop(self, client: asyncio.Transport) -> ClientHop:
        if self._shown is None or not is_encrypted(client):
            return ClientHop(encrypted=False)
        return ClientHop(True, self._shown.current.certificate)

    def _take_over(self, link: Link, server: Server) -> None:
        """Let the session have the server, with what it said so far."""
        inbox = server.inbox
        side = LoginSide(
            link,
            server.address,
            self._keys,
            self.count,
            self._binding_refused if server.unbound else None,
        )
        side.connection_made(server.transport)
        server.transport.set_protocol(side)
        if inbox.received:
            side.data_received(inbox.received)
        if inbox.ended:
            side.connection_lost(inbox.error)

    def _binding_refused(self) -> None:
        self.count("login.channel_binding_refused")
        self._connector.explain(BINDING_CHECK_FAILED)

    def _watch(self, link: Link, message: StartupMessage, origin: str) -> None:
        if self._observer is None:
            return
        session = Session(next(self._ids), origin, monotonic())
        try:
            link.tap = self._tap(session, self._observer)
            link.tap.started(message.raw, message.parameters, monotonic())
        except Exception as error:
            link.blind(error)

    def _refuse(self, client: asyncio.Transport, sqlstate: str, message: str, hint: str) -> None:
        client.write(error_response(sqlstate, message, hint=hint))
        client.close()

    # What a session reports.

    def ended(self, link: Link) -> None:
        self.links.discard(link)
        self._keys.ended(link.key_place)
        self._admission.leave()
        if self._stopping and not self.links:
            self._drained.set()

    def blinded(self, link: Link, error: Exception) -> None:
        self.count("opaque.observer_error")
        # The type alone: the message may quote what was being looked at.
        log.error(
            "observation of a session failed (%s); its traffic goes on unobserved", type(error).__name__
        )

    def count(self, counter: str) -> None:
        """Tell the observer; one that raises here loses the count and nothing else."""
        if self._observer is None:
            return
        try:
            self._observer.count(counter)
        except Exception as error:
            log.warning("the observer could not count %s (%s)", counter, type(error).__name__)

    # Stopping.

    def stop_accepting(self) -> None:
        self._stopping = True
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None
        for handshake in list(self._handshakes):
            handshake.end()

    async def drain(self) -> int:
        """Stop accepting, end sessions as they become idle, and the rest at the deadline.

        Returns how many sessions were cut off. ``abort`` from elsewhere ends the wait.
        """
        self.stop_accepting()
        deadline = monotonic() + self.limits.drain
        while self.links and monotonic() < deadline:
            for link in list(self.links):
                link.end_if_idle()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), DRAIN_STEP)
        cut_off = len(self.links)
        if cut_off:
            self.count("drain.cut_off")
            self.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), self.limits.linger)
        return cut_off

    def abort(self) -> None:
        """End everything now."""
        self.stop_accepting()
        self._cancels.abort()
        for task in self._tasks:
            task.cancel()
        for link in list(self.links):
            link.abort()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.count("relay.task_failed")
            log.error("%s failed (%s)", task.get_name(), type(error).__name__)
