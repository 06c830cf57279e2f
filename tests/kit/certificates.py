"""Certificates for tests: an authority, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Pair:
    """Files of a certificate and its key, of mode 0600."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"

    def write(self, made: x509.Certificate, private: ec.EllipticCurvePrivateKey) -> None:
        self.key.touch(0o600)
        self.key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


class Authority:
    """Signs certificates for 127.0.0.1 and localhost, or for a user's name."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        made = (
            _builder(self._name, self._name, self._private)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._private, hashes.SHA256())
        )
        pair = Pair(folder, name)
        pair.write(made, self._private)
        self.certificate = pair.certificate

    def issue(self, file: str, common_name: str = "localhost", *addresses: str) -> Pair:
        """A new pair in files of that name, replacing the old ones."""
        private = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(common_name), *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses)]
        made = (
            _builder(_name(common_name), self._name, private)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._private, hashes.SHA256())
        )
        pair = Pair(self._folder, file)
        pair.write(made, private)
        return pair


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, private: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
