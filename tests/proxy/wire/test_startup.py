from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.startup import (
    MAX_STARTUP_LENGTH,
    CancelRequest,
    DirectTLS,
    GSSENCRequest,
    Invalid,
    SSLRequest,
    StartupMessage,
    read_startup,
)


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(body), code) + body


def startup(parameters: dict[str, str], code: int = 3 << 16) -> bytes:
    pairs = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items())
    return packet(code, pairs + b"\0")


def test_s1_direct_tls_is_recognised_by_its_first_byte_and_consumes_nothing() -> None:
    assert read_startup(b"\x16") == DirectTLS()
    assert DirectTLS().size == 0


def test_s2_ssl_request_leaves_what_follows_it_alone() -> None:
    found = read_startup(packet(80877103) + b"\x16\x03\x01")
    assert found == SSLRequest()
    assert isinstance(found, SSLRequest)
    assert found.size == 8


def test_s3_gssenc_request() -> None:
    assert read_startup(packet(80877104)) == GSSENCRequest()


def test_encryption_request_with_a_body_is_invalid() -> None:
    assert isinstance(read_startup(packet(80877103, b"x")), Invalid)


@pytest.mark.parametrize("length", [0, 3, 7, MAX_STARTUP_LENGTH + 1, 0x00FFFFFF])
def test_s6_length_is_judged_before_the_body_arrives(length: int) -> None:
    found = read_startup(struct.pack("!I", length))
    assert isinstance(found, Invalid)
    assert not found.quiet


def test_s6_longest_allowed_packet() -> None:
    body = b"user\0" + b"x" * (MAX_STARTUP_LENGTH - 8 - 7) + b"\0\0"
    found = read_startup(packet(3 << 16, body))
    assert isinstance(found, StartupMessage)
    assert found.size == MAX_STARTUP_LENGTH


def test_s7_start_up_message_is_kept_verbatim_with_its_parameters() -> None:
    raw = startup({"user": "ann", "database": "shop", "_pq_.x": "1", "options": "-c a=b"})
    found = read_startup(raw + b"more")
    assert isinstance(found, StartupMessage)
    assert found.raw == raw
    assert (found.major, found.minor) == (3, 0)
    assert found.parameters == {"user": "ann", "database": "shop", "_pq_.x": "1", "options": "-c a=b"}


def test_s9_greased_minor_version() -> None:
    found = read_startup(startup({"user": "ann"}, (3 << 16) | 9999))
    assert isinstance(found, StartupMessage)
    assert found.minor == 9999


def test_s10_other_major_versions_are_left_to_the_server() -> None:
    found = read_startup(packet(2 << 16, b"shop".ljust(288, b"\0")))
    assert isinstance(found, StartupMessage)
    assert found.major == 2
    assert found.parameters == {}


@pytest.mark.parametrize("body", [b"", b"user", b"user\0", b"user\0ann", b"\0", b"user\0\xff\0\0"])
def test_malformed_parameters_do_not_raise(body: bytes) -> None:
    assert isinstance(read_startup(packet(3 << 16, body)), StartupMessage)


@pytest.mark.parametrize("key_length", [4, 32, 256])
def test_c2_cancel_keys_of_every_allowed_length(key_length: int) -> None:
    raw = packet(80877102, struct.pack("!I", 4711) + b"k" * key_length)
    found = read_startup(raw)
    assert isinstance(found, CancelRequest)
    assert (found.pid, found.key, found.raw) == (4711, b"k" * key_length, raw)
    assert b"kkkk" not in repr(found).encode()


@pytest.mark.parametrize("key_length", [0, 3, 257])
def test_c2_cancel_keys_of_other_lengths_are_invalid(key_length: int) -> None:
    assert isinstance(read_startup(packet(80877102, struct.pack("!I", 1) + b"k" * key_length)), Invalid)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n", b"POST", b"\x80\x01", b"SSH-2.0-x", b"\xff"])
def test_s20_other_protocols_are_dropped_quietly(noise: bytes) -> None:
    found = read_startup(noise)
    assert isinstance(found, Invalid)
    assert found.quiet


@given(st.binary(max_size=64))
def test_random_bytes_never_raise(noise: bytes) -> None:
    read_startup(bytearray(noise))


@given(st.integers(min_value=0, max_value=30))
def test_incomplete_packets_ask_for_more(cut: int) -> None:
    raw = startup({"user": "ann", "database": "shop", "z": "1"})
    assert read_startup(raw[:cut]) is None
