"""TLS towards clients: what the listener shows, and what it asks for."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from proxy.relay.settings import ListenTLS
from proxy.relay.tls import ALPN, Replaceable, TLSError, load_authorities, load_pair, version

_VERIFY = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True)
class Shown:
    """What clients get to see."""

    context: ssl.SSLContext
    certificate: bytes
    """DER, as it goes over the wire."""


def replaceable(tls: ListenTLS) -> Replaceable[Shown]:
    """The listener's certificate. Raises TLSError: it cannot be used as told."""
    files = [file for file in (tls.certificate, tls.key, tls.client_ca) if file]
    return Replaceable(lambda: shown(tls), files, "the certificates for clients")


def shown(tls: ListenTLS) -> Shown:
    """Read the files. Raises TLSError: one cannot be used, or an option is senseless."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    minimum = version(tls.minimum)
    if minimum is None:
        raise TLSError(f"{tls.minimum} is no version of TLS: there are TLSv1.2 and TLSv1.3")
    context.minimum_version = minimum
    if tls.ciphers:
        try:
            context.set_ciphers(tls.ciphers)
        except ssl.SSLError:
            raise TLSError(f"OpenSSL knows no cipher of the list {tls.ciphers!r}") from None
    # As the server does (be-secure-openssl.c): no tickets, whose resumption would skip client certificates;
    # no renegotiation.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN])
    load_pair(context, tls.certificate, tls.key)
    if tls.client_certificates != "off":
        load_authorities(context, tls.client_ca)
        context.verify_mode = _VERIFY[tls.client_certificates]
    return Shown(context, _first_certificate(tls.certificate))


def _first_certificate(path: str) -> bytes:
    """DER of the first certificate of a PEM file that OpenSSL has read already."""
    text = Path(path).read_text(encoding="latin-1")
    start = text.index(ssl.PEM_HEADER)
    end = text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)
    return ssl.PEM_cert_to_DER_cert(text[start:end])
