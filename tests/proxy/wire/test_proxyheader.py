"""PROXY headers of both versions, however they are cut and whatever follows them."""

from __future__ import annotations

import ipaddress
import os
import random
import struct

import pytest

from proxy.wire.proxyheader import SIGNATURE_2, HeaderError, Origin, missing, origin


def version_2(source: str, port: int, *, command: int = 0x21, extra: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    other = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")
    body = address.packed + other.packed + struct.pack("!HH", port, 5432) + extra
    family = 0x21 if address.version == 6 else 0x11
    return SIGNATURE_2 + struct.pack("!BBH", command, family, len(body)) + body


def read(stream: bytes) -> tuple[bytes, bytes]:
    """The header and what follows it, read as a relay does: of what is asked for, what there is."""
    at = 0
    while need := missing(stream[:at]):
        if at == len(stream):
            raise EOFError
        at = min(at + need, len(stream))
    return stream[:at], stream[at:]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 5432\r\n", Origin("192.0.2.1", 56324)),
        (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Origin("2001:db8::1", 1)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever it says\r\n", None),
        (version_2("192.0.2.1", 56324), Origin("192.0.2.1", 56324)),
        (version_2("2001:db8::1", 1), Origin("2001:db8::1", 1)),
        (version_2("192.0.2.1", 5, extra=b"\x03\0\4crc!" * 20), Origin("192.0.2.1", 5)),
        (version_2("192.0.2.1", 5, command=0x20), None),
        (SIGNATURE_2 + b"\x20\0\0\0", None),
        (SIGNATURE_2 + b"\x21\x31\0\0", None),
    ],
)
def test_s19_header_is_read_and_what_follows_is_left_alone(header: bytes, expected: Origin | None) -> None:
    for behind in (b"", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\r\n\r\n"):
        assert read(header + behind) == (header, behind)
        assert origin(header) == expected


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f....",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY " + b"x" * 200,
        SIGNATURE_2 + b"\x21\x11\xff\xff",
    ],
)
def test_s19_what_is_no_header_is_known_early(stream: bytes) -> None:
    with pytest.raises(HeaderError):
        read(stream)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        b"PROXY TCP4 host 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 \xff 1.2.3.4 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        SIGNATURE_2 + b"\x21\x11\0\4\1\2\3\4",
        SIGNATURE_2 + b"\x22\x11\0\0",
        SIGNATURE_2 + b"\x11\x11\0\0",
    ],
)
def test_s19_malformed_headers_are_errors(header: bytes) -> None:
    assert read(header) == (header, b"")
    with pytest.raises(HeaderError):
        origin(header)


def test_s19_random_bytes_raise_nothing_else() -> None:
    chance = random.Random(7)
    for _ in range(2_000):
        start = chance.choice([b"PROXY ", b"PROXY TCP4 ", SIGNATURE_2, SIGNATURE_2 + b"\x21\x11\0\x0c", b""])
        stream = start + os.urandom(chance.randrange(40)) + b"\r\n"
        try:
            header, _ = read(stream)
            origin(header)
        except (HeaderError, EOFError):
            pass


def test_how_it_is_written() -> None:
    assert str(Origin("192.0.2.1", 5)) == "192.0.2.1:5"
    assert str(Origin("::1", 5)) == "[::1]:5"
