"""The untyped start of a connection: what a client may send before the first typed message.

Packets of this phase have a length and a code but no type byte. They are read once per connection from
a buffer that the caller fills; nothing is consumed here, each packet says how many bytes it took.

Sources: PostgreSQL ``src/backend/tcop/backend_startup.c`` (ProcessStartupPacket) and
``src/include/libpq/pqcomm.h``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import unpack_from
from typing import TypeAlias

MIN_STARTUP_LENGTH = 8
"""Length word and code."""
MAX_STARTUP_LENGTH = 10_000
"""MAX_STARTUP_PACKET_LENGTH of pqcomm.h, the server's own cap."""
MIN_CANCEL_KEY, MAX_CANCEL_KEY = 4, 256
"""Bytes: 4 in protocol 3.0, up to 256 from 3.2 on."""

CANCEL_REQUEST_CODE = 80877102
SSL_REQUEST_CODE = 80877103
GSSENC_REQUEST_CODE = 80877104

_TLS_HANDSHAKE_RECORD = 0x16
_HTTP_METHODS = (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"CONN", b"PATC", b"TRAC", b"PRI ")


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """The client asks for TLS and waits for one byte, ``S`` or ``N``."""

    size: int = 8


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """The client asks for GSSAPI encryption and waits for one byte, ``G`` or ``N``."""

    size: int = 8


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel what the backend with this key does. There is never an answer, only EOF."""

    raw: bytes = field(repr=False)
    """The whole packet, to be forwarded verbatim."""
    pid: int
    key: bytes = field(repr=False)
    """4 to 256 bytes; never log it."""

    @property
    def size(self) -> int:
        return len(self.raw)


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """The session's parameters. Any version is accepted here: the server decides."""

    raw: bytes = field(repr=False)
    """The whole packet, to be forwarded verbatim."""
    major: int
    minor: int
    parameters: dict[str, str]
    """As far as they can be read; empty for protocols other than 3."""

    @property
    def size(self) -> int:
        return len(self.raw)


@dataclass(frozen=True, slots=True)
class DirectTLS:
    """A TLS handshake without SSLRequest before it (sslnegotiation=direct). Nothing was consumed."""

    size: int = 0


@dataclass(frozen=True, slots=True)
class Invalid:
    """Not a start-up packet that PostgreSQL would read: close the connection without an answer."""

    reason: str
    quiet: bool
    """True for other protocols and noise (HTTP, port scanners), which are not worth a line in the log."""


StartupPacket: TypeAlias = SSLRequest | GSSENCRequest | CancelRequest | StartupMessage | DirectTLS | Invalid


def read_startup(buffer: bytes | bytearray) -> StartupPacket | None:
    """The packet at the beginning of the buffer, or None while it is incomplete.

    A caller that stops reading at ``MAX_STARTUP_LENGTH`` bytes always gets an answer: the length is judged
    before the body is waited for.
    """
    have = len(buffer)
    if have == 0:
        return None
    if buffer[0] == _TLS_HANDSHAKE_RECORD:
        return DirectTLS()
    if buffer[0] != 0:
        # No packet of at most 10,000 bytes has a length that starts so; do not wait for more of this.
        if have >= 4 and bytes(buffer[:4]) in _HTTP_METHODS:
            return Invalid("an HTTP request", quiet=True)
        if have < 4 and any(method.startswith(bytes(buffer)) for method in _HTTP_METHODS):
            return None
        return Invalid("not a PostgreSQL start-up packet", quiet=True)
    if have < 4:
        return None
    (length,) = unpack_from("!I", buffer)
    if not MIN_STARTUP_LENGTH <= length <= MAX_STARTUP_LENGTH:
        return Invalid(
            f"start-up packet of {length} bytes, allowed are {MIN_STARTUP_LENGTH} to {MAX_STARTUP_LENGTH}",
            quiet=False,
        )
    if have < length:
        return None
    (code,) = unpack_from("!I", buffer, 4)
    if code in (SSL_REQUEST_CODE, GSSENC_REQUEST_CODE):
        if length != 8:
            return Invalid(f"encryption request of {length} bytes instead of 8", quiet=False)
        return SSLRequest() if code == SSL_REQUEST_CODE else GSSENCRequest()
    raw = bytes(buffer[:length])
    if code == CANCEL_REQUEST_CODE:
        if not MIN_CANCEL_KEY <= length - 12 <= MAX_CANCEL_KEY:
            return Invalid(f"cancel request of {length} bytes, allowed are 16 to 268", quiet=False)
        return CancelRequest(raw=raw, pid=unpack_from("!I", raw, 8)[0], key=raw[12:])
    major = code >> 16
    return StartupMessage(
        raw=raw, major=major, minor=code & 0xFFFF, parameters=_parameters(raw) if major == 3 else {}
    )


def _parameters(raw: bytes) -> dict[str, str]:
    """Name/value pairs up to the empty name; what is malformed is for the server to refuse."""
    fields = raw[8:].split(b"\0")
    parameters: dict[str, str] = {}
    for i in range(0, len(fields) - 1, 2):
        if not fields[i]:
            break
        name = fields[i].decode("utf-8", "backslashreplace")
        parameters[name] = fields[i + 1].decode("utf-8", "backslashreplace")
    return parameters
