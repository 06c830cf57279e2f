"""What the relay is told: where PostgreSQL is, and its limits. Times in seconds, sizes in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
    half_closed: float = 10.0
    """TLS knows no half-close: how long a server reached by TLS may still answer a client that sent FIN."""
    drain: float = 10.0
    """After the first stop signal, how long sessions that are not idle may go on."""
    write_buffer: int = 64 * 1024
    """Unsent bytes on one side above which the other side is no longer read."""


SYSTEM_ROOT = "system"
"""libpq's word for the authorities that the system trusts."""


@dataclass(frozen=True, slots=True)
class ListenTLS:
    """TLS towards clients. Files are PEM; their contents are judged by ``proxy.relay.tls_listen``."""

    certificate: str
    """The server certificate, followed by its intermediates."""
    key: str
    client_ca: str = ""
    """Authorities of client certificates; needed unless ``client_certificates`` is off."""
    client_certificates: Literal["off", "optional", "require"] = "off"
    required: bool = False
    """Plaintext sessions are refused."""
    minimum: str = "TLSv1.2"
    """As libpq writes versions: TLSv1.2 or TLSv1.3."""
    ciphers: str = ""
    """OpenSSL's notation, for TLS 1.2; empty for OpenSSL's default."""


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """TLS towards the server, in libpq's terms; see ``proxy.relay.tls_upstream`` for how it is read."""

    mode: str = "disable"
    """An sslmode. Nothing of this applies to unix sockets."""
    direct: bool = False
    """TLS from the first byte, without asking (sslnegotiation=direct; servers from PostgreSQL 17 on)."""
    root: str = ""
    """File of trusted authorities, ``system`` for OpenSSL's own, or empty: any certificate will do."""
    certificate: str = ""
    key: str = ""
    key_password: str = field(default="", repr=False)
    crl: str = ""
    crl_directory: str = ""
    minimum: str = "TLSv1.2"
    maximum: str = ""
    sni: bool = True
    """Name the server in the handshake."""
    strip_channel_binding: bool = False
    """Take the -PLUS mechanisms out of what a TLS server offers to a plaintext client."""

    @property
    def files(self) -> tuple[str, ...]:
        """What is read from disk, and may be replaced there."""
        root = "" if self.root == SYSTEM_ROOT else self.root
        return tuple(file for file in (root, self.certificate, self.key, self.crl) if file)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server relayed to: several addresses are tried in order for every session."""

    addresses: tuple[Address, ...]
    tls: UpstreamTLS = UpstreamTLS()
