"""Reaching PostgreSQL for one session or one cancel request, encrypted as the connection string says.

``sslmode`` means what it means to libpq. Under ``allow`` and ``prefer`` a second way is tried on a new
connection when the server refuses the first with its very first message; under ``require`` and stronger
nothing is ever sent in plaintext but the eight bytes that ask for TLS.

SCRAM's channel binding ties a login to the certificate that the client saw. Through a proxy it holds only
where the client saw the server's own certificate; a server that offers it over TLS to anybody else's login
makes that login fail, in ways that neither end can explain. What is done about it, and only at the first
message of a login (the experiments behind it are told in docs/tls.md):

=============================  ==================================================================
client hop plaintext           with ``strip_channel_binding`` the offer is taken out of the message
another certificate            ``prefer``: the session goes on in plaintext, which that mode allows
neither                        untouched; what to do about it is said in the log
=============================  ==================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass

from proxy.dsn import Address
from proxy.relay.settings import Limits, Upstream
from proxy.relay.sockets import tune
from proxy.relay.tls import ALPN, why
from proxy.relay.tls_upstream import Method, methods, replaceable, server_name
from proxy.relay.upstream import UpstreamError, dial, reason
from proxy.wire.sasl import ERROR, FirstAnswer, first_answer, without_channel_binding
from proxy.wire.startup import SSL_REQUEST_CODE

log = logging.getLogger(__name__)

SSL_REQUEST = struct.pack("!II", 8, SSL_REQUEST_CODE)
BINDING_FIXES = (
    "either let pgcoach show clients the server's own certificate and key (--tls-cert, --tls-key), or tell "
    "clients channel_binding=disable"
)
BINDING_IN_PLAINTEXT = (
    "PostgreSQL offers SCRAM-SHA-256-PLUS because it is reached by TLS, and libpq refuses that on a "
    "plaintext connection: start pgcoach with --strip-channel-binding, or encrypt the clients' way too with "
    "the server's own certificate (--tls-cert, --tls-key)"
)
BINDING_CHECK_FAILED = (
    "PostgreSQL refused a login because of SCRAM channel binding: the client saw pgcoach's certificate and "
    f"not the server's. There are two fixes: {BINDING_FIXES}"
)


class EncryptionError(Exception):
    """A server was reached and TLS with it did not come about. The message is fit for the client."""


@dataclass(frozen=True, slots=True)
class ClientHop:
    """What a client sees of us."""

    encrypted: bool
    certificate: bytes = b""
    """DER of what we show; empty in plaintext."""


@dataclass(slots=True)
class Server:
    """A server that was reached."""

    address: Address
    transport: asyncio.Transport
    inbox: Inbox
    encrypted: bool = False
    answer: FirstAnswer | None = None
    """Of a login, when it was waited for."""
    unbound: bool = False
    """The client's login may fail for the certificate it saw."""

    @property
    def certificate(self) -> bytes:
        """DER; empty in plaintext."""
        if not self.encrypted:
            return b""
        shown: bytes = self.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown


class Inbox(asyncio.Protocol):
    """The server's side before a session takes it over: keeps what is said until then."""

    __slots__ = ("_news", "ended", "error", "received")

    def __init__(self) -> None:
        self.received = b""
        self.ended = False
        self.error: Exception | None = None
        self._news = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.error = exc
        self._news.set()

    async def more(self) -> None:
        """Wait for the next bytes, or the end."""
        self._news.clear()
        if not self.ended:
            await self._news.wait()


class Connector:
    """Reaches the upstream. ``count`` is told what did not go straight."""

    def __init__(
        self,
        upstream: Upstream,
        limits: Limits,
        count: Callable[[str], None],
        say: Callable[[str], None] = log.warning,
    ) -> None:
        """``say`` is told once what holds for many logins. Raises TLSError: a file cannot be used."""
        self._say = say
        self._upstream = upstream
        self._limits = limits
        self._count = count
        self._explained: set[str] = set()
        encrypts = any(methods(a, upstream.tls) != (Method.PLAINTEXT,) for a in upstream.addresses)
        self.certificates = replaceable(upstream.tls) if encrypts else None

    async def log_in(self, startup: bytes, hop: ClientHop) -> Server:
        """Reach the first address that can be had and send it a StartupMessage.

        Raises:
            UpstreamError: none can; says what happened at each.
        """
        failures = []
        for address in self._upstream.addresses:
            try:
                return await self._log_in_at(address, startup, hop)
            except (OSError, UnicodeError, EncryptionError) as error:
                failures.append(f"{address}: {reason(error, self._limits.connect)}")
        raise UpstreamError("; ".join(failures))

    async def bare(self, address: Address) -> Server:
        """Reach an address for a cancel request: by TLS where the session may have come by TLS.

        Raises:
            OSError, UnicodeError: not reachable.
            EncryptionError: TLS is demanded and cannot be had.
        """
        ways = sorted(methods(address, self._upstream.tls), key=lambda way: way is Method.PLAINTEXT)
        for way in ways[:-1]:
            with contextlib.suppress(EncryptionError):
                return await self._reach(address, way, plaintext_too=True)
        return await self._reach(address, ways[-1], plaintext_too=False)

    def explain(self, what: str) -> None:
        """Say something in the log that holds for many sessions, once."""
        if what not in self._explained:
            self._explained.add(what)
            self._say(what)

    async def _log_in_at(self, address: Address, startup: bytes, hop: ClientHop) -> Server:
        ways = methods(address, self._upstream.tls)
        refused: Server | None = None
        went_plain = False
        for number, way in enumerate(ways, 1):
            another = number < len(ways)
            try:
                server = await self._reach(address, way, plaintext_too=another)
                # A server that declined TLS goes on in plaintext on the same connection.
                another = another and (server.encrypted or way is Method.PLAINTEXT)
                server.transport.write(startup)
                if not another and not server.encrypted and not went_plain:
                    return server
                await self._hear(server)
            except EncryptionError:
                if another:
                    self._count("tls.fell_back")
                    continue
                if refused is not None:
                    return refused
                raise
            assert server.answer is not None
            if server.answer.kind == ERROR:
                if another:
                    refused = server
                    continue
                if went_plain:
                    self.explain(BINDING_IN_PLAINTEXT if not hop.encrypted else BINDING_CHECK_FAILED)
            elif server.encrypted and not self._binds(server, hop) and server.answer.offers_binding:
                if not hop.encrypted and self._upstream.tls.strip_channel_binding:
                    server.inbox.received = without_channel_binding(server.inbox.received, server.answer)
                elif another:
                    went_plain = True
                    self._count("tls.channel_binding_in_plaintext")
                    server.transport.abort()
                    continue
                else:
                    self._leave_unbound(server, hop)
            return server
        raise AssertionError("the last way returns or raises")

    def _binds(self, server: Server, hop: ClientHop) -> bool:
        """Whether channel binding can hold from end to end."""
        return hop.encrypted and hop.certificate == server.certificate

    def _leave_unbound(self, server: Server, hop: ClientHop) -> None:
        if hop.encrypted:
            server.unbound = True
        else:
            self._count("login.channel_binding_over_plaintext")
            self.explain(BINDING_IN_PLAINTEXT)

    async def _hear(self, server: Server) -> None:
        """Wait for the first answer. Raises EncryptionError: there was none."""
        inbox = server.inbox
        try:
            async with asyncio.timeout(self._limits.handshake):
                while (answer := first_answer(inbox.received)) is None and not inbox.ended:
                    await inbox.more()
        except TimeoutError:
            server.transport.abort()
            raise EncryptionError("no answer to the start-up packet in time") from None
        except asyncio.CancelledError:
            server.transport.abort()
            raise
        if answer is None:
            server.transport.abort()
            detail = f" ({why(inbox.error)})" if isinstance(inbox.error, ssl.SSLError) else ""
            raise EncryptionError(f"closed the connection without a word{detail}")
        server.answer = answer

    async def _reach(self, address: Address, way: Method, plaintext_too: bool) -> Server:
        """Connect in one way. ``plaintext_too``: a server that declines TLS is welcome.

        Raises:
            OSError, UnicodeError: not reachable.
            EncryptionError: reachable, but not so.
        """
        transport, inbox = await dial(address, Inbox, self._limits.connect)
        tune(transport)
        server = Server(address, transport, inbox)
        if way is Method.PLAINTEXT:
            return server
        try:
            async with asyncio.timeout(self._limits.connect):
                if way is Method.DIRECT or await self._asked(server, plaintext_too):
                    await self._encrypt(server, direct=way is Method.DIRECT)
        except TimeoutError:
            server.transport.abort()
            raise EncryptionError("no TLS handshake in time") from None
        except BaseException:
            server.transport.abort()
            raise
        return server

    async def _asked(self, server: Server, plaintext_too: bool) -> bool:
        """Whether the server agrees to TLS; False where it declines and need not agree."""
        inbox = server.inbox
        server.transport.write(SSL_REQUEST)
        while not inbox.received and not inbox.ended:
            await inbox.more()
        said, inbox.received = inbox.received, b""
        if said == b"S":
            return True
        if said == b"N" and plaintext_too:
            return False
        if said == b"N":
            raise EncryptionError(
                f"the server does not speak TLS, and sslmode={self._upstream.tls.mode} demands it"
            )
        if not said:
            raise EncryptionError("the server closed the connection when it was asked for TLS")
        # An error of a server that knows nothing of TLS, or somebody's bytes in between: nobody vouches for
        # that text, so it is not shown.
        raise EncryptionError("the server answered the request for TLS with something else")

    async def _encrypt(self, server: Server, direct: bool) -> None:
        assert self.certificates is not None
        loop = asyncio.get_running_loop()
        name = server_name(server.address, self._upstream.tls)
        try:
            upgraded = await loop.start_tls(
                server.transport,
                server.inbox,
                self.certificates.current,
                server_hostname=name or None,
                ssl_handshake_timeout=self._limits.connect,
            )
        except (OSError, ValueError) as error:
            raise EncryptionError(f"no TLS with the server: {why(error)}") from None
        if upgraded is None:
            raise EncryptionError("no TLS with the server: the connection was closed")
        server.transport = upgraded
        server.encrypted = True
        if direct and upgraded.get_extra_info("ssl_object").selected_alpn_protocol() != ALPN:
            raise EncryptionError(
                "the server does not confirm that it speaks PostgreSQL (ALPN): sslnegotiation=direct needs "
                "PostgreSQL 17 or newer"
            )
