"""The certificate of ``--tls auto``: made for development, kept in the user's state directory.

It vouches for nothing but itself. A client that wants to verify names it as ``sslrootcert``, so it is made
again only when it must be: shortly before it expires, or when the proxy listens on another name.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tui.up.errors import UpError

VALID = datetime.timedelta(days=365)
RENEW = datetime.timedelta(days=30)
"""Before its end."""


def self_signed(host: str, folder: Path | None = None) -> tuple[str, str]:
    """Paths of a certificate for ``host`` and of its key, both of mode 0600; made when there is none yet.

    ``folder`` defaults to ``tls`` in the user's state directory. Raises UpError: it cannot be written.
    """
    if folder is None:
        from platformdirs import user_state_path

        folder = user_state_path("pgcoach") / "tls"
    certificate, key = folder / "self-signed.crt", folder / "self-signed.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            if not _good(certificate, key, _names(host)):
                _make(certificate, key, _names(host))
    except OSError as error:
        raise UpError(
            f"--tls auto cannot keep its certificate in {folder}: {error.strerror or error}"
        ) from None
    return str(certificate), str(key)


def _names(host: str) -> list[x509.GeneralName]:
    """How clients may call this machine."""
    names: list[x509.GeneralName] = []
    for name in dict.fromkeys([host, "localhost", socket.gethostname(), "127.0.0.1", "::1"]):
        if not name:
            continue
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            with contextlib.suppress(ValueError):  # letters that no certificate can hold
                names.append(x509.DNSName(name))
    return names


def _good(certificate: Path, key: Path, names: list[x509.GeneralName]) -> bool:
    try:
        made = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        covered = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    left = made.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return (
        left > RENEW
        and all(name in covered for name in names)
        and private.public_key() == made.public_key()
        and not (key.stat().st_mode | certificate.stat().st_mode) & 0o077
    )


def _make(certificate: Path, key: Path, names: list[x509.GeneralName]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pgcoach, self-signed")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    """0600 from the first moment, and whole or not at all."""
    new = path.with_suffix(path.suffix + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    new.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two proxies that start together make one certificate."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
