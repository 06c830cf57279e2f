"""TLS towards PostgreSQL, told by a connection string in libpq's terms and meant as libpq means them.

Sources: ``pqConnectOptions2`` and ``init_allowed_encryption_methods`` in fe-connect.c, ``initialize_SSL`` in
fe-secure-openssl.c. The deviations: a host name is checked by OpenSSL, and a common name stands in only for
a host name, never for an IP address.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from proxy.dsn import Address, Dsn, DsnError
from proxy.pgfiles import home_directory
from proxy.relay.settings import SYSTEM_ROOT, UpstreamTLS
from proxy.relay.tls import ALPN, Replaceable, TLSError, load_authorities, load_pair, version, why

ENCRYPTING = ("require", "verify-ca", "verify-full")
"""Modes under which nothing ever goes in plaintext."""


class Method(Enum):
    """One way to talk to a server."""

    PLAINTEXT = "plaintext"
    NEGOTIATED = "TLS after asking"
    DIRECT = "TLS at once"


def methods(address: Address, tls: UpstreamTLS) -> tuple[Method, ...]:
    """What is tried at an address, in order. Unix sockets are never encrypted, whatever the mode."""
    if address.is_unix or tls.mode == "disable":
        return (Method.PLAINTEXT,)
    if tls.mode == "allow":
        return (Method.PLAINTEXT, Method.NEGOTIATED)
    if tls.mode == "prefer":
        return (Method.NEGOTIATED, Method.PLAINTEXT)
    return (Method.DIRECT if tls.direct else Method.NEGOTIATED,)


def upstream_tls(
    dsn: Dsn, environ: Mapping[str, str] | None = None, strip_channel_binding: bool = False
) -> UpstreamTLS:
    """The TLS part of a connection string, with libpq's default files where they exist.

    Raises:
        DsnError: options that contradict each other, that pgcoach cannot follow, or a root file that a
            verifying sslmode needs and that is not there.
    """
    extra = dict(dsn.extra)
    folder = home_directory(os.environ if environ is None else environ) / ".postgresql"
    mode = dsn.sslmode
    negotiation = extra.get("sslnegotiation", "postgres")
    if negotiation not in ("postgres", "direct"):
        raise DsnError(f"sslnegotiation {negotiation!r} is neither postgres nor direct")
    if negotiation == "direct" and mode not in ENCRYPTING:
        raise DsnError(f"sslnegotiation=direct needs sslmode=require or stronger, not {mode}")
    root = _root(dsn, extra.get("sslrootcert", ""), folder / "root.crt")
    certificate, key = _pair(extra, folder)
    crl = extra.get("sslcrl", "")
    if not crl and "sslcrldir" not in extra:
        crl = _if_there(folder / "root.crl")
    sni = extra.get("sslsni", "1") != "0"
    if not sni and mode == "verify-full":
        raise DsnError("sslsni=0 with sslmode=verify-full is something pgcoach cannot do: leave out sslsni")
    return UpstreamTLS(
        mode=mode,
        direct=negotiation == "direct",
        root=root,
        certificate=certificate,
        key=key,
        key_password=extra.get("sslpassword", ""),
        crl=crl,
        crl_directory=extra.get("sslcrldir", ""),
        minimum=_version(extra, "ssl_min_protocol_version", "TLSv1.2"),
        maximum=_version(extra, "ssl_max_protocol_version", ""),
        sni=sni,
        strip_channel_binding=strip_channel_binding,
    )


def replaceable(tls: UpstreamTLS) -> Replaceable[ssl.SSLContext]:
    """The upstream's context. Raises TLSError: a file cannot be used."""
    return Replaceable(lambda: context(tls), tls.files, "the certificates for PostgreSQL")


def context(tls: UpstreamTLS) -> ssl.SSLContext:
    """Read the files. Raises TLSError: one cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = tls.mode == "verify-full"
    # A root file is checked against under every mode that encrypts, as libpq does: only the name is left out.
    made.verify_mode = ssl.CERT_REQUIRED if tls.root else ssl.CERT_NONE
    made.set_alpn_protocols([ALPN])
    minimum, maximum = version(tls.minimum), version(tls.maximum)
    if minimum is not None:
        made.minimum_version = minimum
    if maximum is not None:
        made.maximum_version = maximum
    if tls.root == SYSTEM_ROOT:
        made.set_default_verify_paths()
    elif tls.root:
        load_authorities(made, tls.root)
        _load_revocations(made, tls)
    if tls.certificate:
        load_pair(made, tls.certificate, tls.key, tls.key_password)
    return made


def server_name(address: Address, tls: UpstreamTLS) -> str:
    """The name for SNI and for the check; empty for none."""
    return (address.host or address.hostaddr) if tls.sni else ""


def _root(dsn: Dsn, said: str, default: Path) -> str:
    mode = dsn.sslmode
    if said == SYSTEM_ROOT:
        if mode != "verify-full":
            raise DsnError(
                f"sslrootcert=system needs sslmode=verify-full, not {mode}: anybody can have such one"
            )
        return said
    if mode == "disable":
        return ""
    root = said if said and Path(said).exists() else "" if said else _if_there(default)
    if not root and mode in ("verify-ca", "verify-full"):
        raise DsnError(
            f"sslmode={mode}: the root certificate file {said or default} does not exist. Name one with "
            "sslrootcert, sslrootcert=system for those of the system, or use sslmode=require"
        )
    if mode == "verify-full" and any(not a.is_unix and not a.host for a in dsn.addresses):
        raise DsnError("sslmode=verify-full: hostaddr alone is no name to verify, add host")
    return root


def _pair(extra: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Client certificate and key; empty for none."""
    wanted = extra.get("sslcertmode", "allow")
    if wanted == "disable":
        return "", ""
    if wanted != "allow":
        raise DsnError(f"sslcertmode={wanted} is something pgcoach cannot do: use allow or disable")
    certificate = extra.get("sslcert") or _if_there(folder / "postgresql.crt")
    if not certificate:
        return "", ""
    return certificate, extra.get("sslkey") or str(folder / "postgresql.key")


def _if_there(path: Path) -> str:
    return str(path) if path.exists() else ""


def _version(extra: Mapping[str, str], option: str, default: str) -> str:
    said = extra.get(option, default)
    if said and version(said) is None:
        raise DsnError(f"{option} {said!r} is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3")
    return said


def _load_revocations(made: ssl.SSLContext, tls: UpstreamTLS) -> None:
    if not tls.crl and not tls.crl_directory:
        return
    try:
        made.load_verify_locations(tls.crl or None, tls.crl_directory or None)
    except OSError as error:
        places = tls.crl or tls.crl_directory
        raise TLSError(f"revocation list {places} cannot be used: {why(error)}") from None
    made.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
