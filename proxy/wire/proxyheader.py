"""The PROXY protocol: one header in front of a connection, in which a load balancer says whose it is.

Version 1 is a line of text, version 2 is binary. A reader asks ``header_size`` how many bytes to read, until
it says that the header is whole; so nothing behind the header is ever taken from the stream.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from struct import unpack_from

SIGNATURE_1 = b"PROXY "
SIGNATURE_2 = b"\r\n\r\n\0\r\nQUIT\n"
SHORTEST = 12
"""Bytes by which the two versions are told apart, and from anything else; no header is shorter."""
LONGEST_1 = 107
"""Of version 1, its line end included (2.1)."""
LONGEST_2 = 16 + 536
"""Of version 2 as accepted here: the addresses, and what fits the smallest datagram that IPv4 must carry,
which the specification recommends as a bound to senders (2.2)."""

_LOCAL, _PROXY = 0x20, 0x21
_TCP_4, _TCP_6 = 0x11, 0x21


class HeaderError(ValueError):
    """This is no PROXY header, or none that a stream can have."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The client as the load balancer saw it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def missing(head: bytes) -> int:
    """How many bytes of the header are still to be read, at least; 0 when it is whole.

    Raises HeaderError: it cannot become a header.
    """
    have = len(head)
    if not (SIGNATURE_1.startswith(head[:6]) or SIGNATURE_2.startswith(head[:12])):
        raise HeaderError("no PROXY header")
    if have < SHORTEST:
        return SHORTEST - have
    if head.startswith(SIGNATURE_1):
        if head.endswith(b"\r\n"):
            return 0
        if have >= LONGEST_1:
            raise HeaderError("a PROXY line without an end")
        # Two at once would take a byte too many where the line ends in between.
        return 1
    if have < 16:
        return 16 - have
    size = 16 + int(unpack_from("!H", head, 14)[0])
    if size > LONGEST_2:
        raise HeaderError("a PROXY header that is too long")
    return size - have


def origin(header: bytes) -> Origin | None:
    """Whose connection it is; None where the header says that it is the balancer's own or does not know.

    Raises HeaderError.
    """
    return _version_1(header) if header.startswith(SIGNATURE_1) else _version_2(header)


def _version_1(header: bytes) -> Origin | None:
    try:
        words = header.decode("ascii").removesuffix("\r\n").split(" ")
        if words[1] == "UNKNOWN":
            return None
        if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
            raise HeaderError("a malformed PROXY line")
        make = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
        source, _ = str(make(words[2])), make(words[3])
        ports = [int(word) for word in words[4:] if word.isdecimal() and len(word) <= 5]
    except (ValueError, IndexError):
        raise HeaderError("a malformed PROXY line") from None
    if len(ports) != 2 or max(ports) > 65535:
        raise HeaderError("a malformed PROXY line")
    return Origin(source, ports[0])


def _version_2(header: bytes) -> Origin | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise HeaderError("an unknown PROXY command")
    if family == _TCP_4:
        width = 4
    elif family == _TCP_6:
        width = 16
    else:
        # AF_UNSPEC or a unix socket: nothing that names a host.
        return None
    if len(header) < 16 + 2 * width + 4:
        raise HeaderError("a PROXY header without its addresses")
    host = ipaddress.ip_address(header[16 : 16 + width])
    return Origin(str(host), int(unpack_from("!H", header, 16 + 2 * width)[0]))
