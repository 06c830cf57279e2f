"""What ``pgcoach up`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TLSMode = Literal["off", "on", "require", "auto"]
ClientCertificates = Literal["off", "optional", "require"]
Samples = Literal["full", "masked", "none"]
DEFAULT_LISTEN = "127.0.0.1:6432"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Everything has the default of the command line."""

    upstream: str | None = None
    """URL, keyword/value string, or None for the PG* variables."""
    listen: str = DEFAULT_LISTEN
    """``HOST:PORT`` (port 0 picks a free one), ``[IPv6]:PORT``, a socket's path, or its directory."""
    store: str | None = None
    """Path of the store; None is the default place."""
    samples: Samples = "full"
    workers: int = 1
    max_connections: int | None = None
    """Sessions at the same time, over all workers; None is no cap."""
    drain: float = 10.0
    """Seconds that sessions may go on after the first stop signal."""
    tls: TLSMode | None = None
    """Towards clients: declined, offered, demanded, or offered with a certificate made here. None is ``on``
    when a certificate is named, else ``off``."""
    tls_cert: str | None = None
    """PEM file of the server certificate that clients see."""
    tls_key: str | None = None
    tls_client_ca: str | None = None
    """PEM file of the authorities of client certificates."""
    tls_client_cert: ClientCertificates = "off"
    tls_min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    tls_ciphers: str | None = None
    """For TLS 1.2, in OpenSSL's notation."""
    strip_channel_binding: bool = False
    """Take SCRAM-SHA-256-PLUS out of what a TLS server offers to plaintext clients."""
    proxy_protocol_from: tuple[str, ...] = ()
    """Networks of load balancers, in CIDR notation, whose connections begin with a PROXY header."""
    json: bool = False
    """Print one JSON object on stdout when ready: ``dsn``, ``host``, ``port``, ``pid``, ``store``."""
