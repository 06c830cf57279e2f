"""A first look at PostgreSQL: is it there, is it reached by TLS, and can clients log in through us?

One login is begun and given up before any password, so that what cannot work is said before the first client
meets it. Which fixes there are depends on who shows which certificate: see docs/tls.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from proxy.dsn import Address, Dsn
from proxy.relay.connector import BINDING_FIXES, BINDING_IN_PLAINTEXT, ClientHop, Connector
from proxy.relay.settings import Limits, ListenTLS, Upstream, UpstreamTLS
from proxy.relay.tls_listen import shown
from proxy.relay.tls_upstream import ENCRYPTING, Method, methods
from proxy.relay.upstream import UpstreamError, reason
from tui.up.errors import UpError

PROBE_SECONDS = 3.0
"""Seconds that the first look for PostgreSQL gives each address."""
_PROTOCOL_3 = 196608
_TERMINATE = b"X\0\0\0\4"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a login would meet."""

    binding: bool = False
    """PostgreSQL offers SCRAM with channel binding over TLS."""
    same_certificate: bool = False
    """Clients see the certificate that PostgreSQL shows."""
    in_plaintext: bool = False
    """sslmode=prefer gives TLS up because of the binding."""


async def probe(dsn: Dsn, upstream: UpstreamTLS, clients: ListenTLS | None) -> Probe:
    """Look once. Raises UpstreamError: no address can be had; says what happened at each."""
    counted: list[str] = []
    limits = Limits(connect=PROBE_SECONDS, handshake=PROBE_SECONDS)
    connector = Connector(Upstream(dsn.addresses, upstream), limits, counted.append, counted.append)
    if all(methods(address, upstream) == (Method.PLAINTEXT,) for address in dsn.addresses):
        await _reach(connector, dsn.addresses)
        return Probe()
    certificate = shown(clients).certificate if clients is not None else b""
    # As a client that comes by TLS: what a plaintext one meets follows from that.
    server = await connector.log_in(_startup(dsn), ClientHop(True, certificate))
    try:
        offered = server.answer is not None and server.answer.offers_binding and server.encrypted
        in_plaintext = "tls.channel_binding_in_plaintext" in counted
        return Probe(
            binding=offered or in_plaintext,
            same_certificate=offered and certificate == server.certificate,
            in_plaintext=in_plaintext,
        )
    finally:
        server.transport.write(_TERMINATE)
        server.transport.close()


def refuse_impossible(found: Probe, upstream: UpstreamTLS, clients: ListenTLS | None) -> None:
    """Raises UpError: every login by libpq would fail."""
    if (
        found.binding
        and clients is None
        and upstream.mode in ENCRYPTING
        and not upstream.strip_channel_binding
    ):
        raise UpError(f"no client could log in: {BINDING_IN_PLAINTEXT}")


def advice(found: Probe, upstream: UpstreamTLS, clients: ListenTLS | None) -> str:
    """What people should know about logins through us; empty where there is nothing to say."""
    if not found.binding or found.same_certificate:
        return ""
    if upstream.strip_channel_binding and clients is None:
        return ""
    if found.in_plaintext:
        return (
            "note: PostgreSQL speaks TLS, but its SCRAM logins are bound to its certificate and cannot pass "
            "through a proxy that shows none or another; sessions go on in plaintext, as sslmode=prefer "
            "allows. To encrypt them: --strip-channel-binding for plaintext clients, the server's own "
            "certificate for others. sslmode=disable saves the attempt"
        )
    if clients is None:
        return f"warning: logins over TLS will fail: {BINDING_IN_PLAINTEXT}"
    return (
        "warning: PostgreSQL offers SCRAM with channel binding, and clients see another certificate than its "
        f"own: logins of libpq by TLS will fail. There are two fixes: {BINDING_FIXES}"
    )


async def _reach(connector: Connector, addresses: tuple[Address, ...]) -> None:
    failures = []
    for address in addresses:
        try:
            server = await connector.bare(address)
        except (OSError, UnicodeError) as error:
            failures.append(f"{address}: {reason(error, PROBE_SECONDS)}")
        else:
            server.transport.close()
            return
    raise UpstreamError("; ".join(failures))


def _startup(dsn: Dsn) -> bytes:
    words = ("user", dsn.user, "database", dsn.database, "application_name", "pgcoach")
    body = b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return struct.pack("!II", 8 + len(body), _PROTOCOL_3) + body
