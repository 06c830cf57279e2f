"""What both hops share of TLS: versions, key files, the protocol's name, certificates that are replaced.

A replaced certificate holds for the handshakes that follow; sessions that exist never notice. What cannot be
used is said once, and the old one stays.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

ALPN = "postgresql"
"""Registered protocol name; direct TLS demands it on both ends (PostgreSQL's ``PG_ALPN_PROTOCOL``)."""

VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
"""By libpq's names; it compares them without regard to case."""

_Signature = tuple[tuple[int, int, int] | None, ...]


class TLSError(ValueError):
    """TLS cannot be set up as told. The message names the option or file and never a secret."""


def version(text: str) -> ssl.TLSVersion | None:
    """A protocol version by libpq's name; None for a name that is none."""
    return next((found for name, found in VERSIONS.items() if name.lower() == text.lower()), None)


def check_key_file(path: str) -> None:
    """Refuse a private key that others may read, by libpq's rule (``initialize_SSL``, fe-secure-openssl.c).

    A key of our own user has mode 0600 or less; one of root may also be readable by its group.

    Raises:
        TLSError: not there, not a regular file, or too open.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise TLSError(f"private key file {path} cannot be used: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise TLSError(f"private key file {path} is no regular file")
    forbidden = stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0 and os.geteuid() != 0:
        forbidden = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
    if status.st_mode & forbidden:
        raise TLSError(
            f"private key file {path} has group or world access: its mode must be 0600 or less "
            "(0640 or less where it belongs to root): chmod 600 it"
        )


def load_pair(context: ssl.SSLContext, certificate: str, key: str, password: str = "") -> None:
    """Load a certificate and its key. A key that is encrypted needs the password: nobody is asked for it.

    Raises:
        TLSError: a file is missing, too open, no PEM, or the two do not belong together.
    """
    if not Path(certificate).is_file():
        raise TLSError(f"certificate file {certificate} cannot be used: it is not there, or no file")
    check_key_file(key)
    try:
        context.load_cert_chain(certificate, key, password=lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TLSError(
                f"certificate {certificate} and private key {key} do not belong together"
            ) from None
        raise TLSError(
            f"certificate {certificate} with private key {key} cannot be used: {why(error)}"
        ) from None
    except OSError as error:
        raise TLSError(f"certificate {certificate} or private key {key}: {error.strerror}") from None


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Trust the authorities of a file. Raises TLSError: it cannot be read, or holds none."""
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TLSError(f"{path} holds no certificates of authorities: {why(error)}") from None
    except OSError as error:
        raise TLSError(f"file of authorities {path} cannot be used: {error.strerror}") from None


def why(error: BaseException) -> str:
    """The reason of a TLS failure in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionError):
        return "the connection was closed"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


class Replaceable(Generic[T]):
    """Something made of files, made again when they change."""

    def __init__(self, make: Callable[[], T], files: Sequence[str], what: str) -> None:
        """Raises TLSError: it cannot be made."""
        self._make = make
        self._files = tuple(files)
        self._what = what
        self._made_of = self._seen = self._signature()
        self.current = make()

    def look(self, at_once: bool = False) -> bool:
        """Make it again if its files are others than they were; whether that was done.

        Files that changed are first let come to rest until the next look: certificate and key are replaced
        one after the other. ``at_once`` makes it again in any case, now.
        """
        signature = self._signature()
        rested, self._seen = signature == self._seen, signature
        if not at_once and (signature == self._made_of or not rested):
            return False
        self._made_of = signature
        try:
            self.current = self._make()
        except TLSError as error:
            log.warning("%s stay as they were: %s", self._what, error)
            return False
        log.warning("%s were read again", self._what)
        return True

    def _signature(self) -> _Signature:
        signature: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                status = os.stat(file)
            except OSError:
                signature.append(None)
            else:
                signature.append((status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(signature)
