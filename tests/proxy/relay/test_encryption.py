"""The first bytes of a client where TLS is offered."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.relay.settings import Limits, ListenTLS, UpstreamTLS
from tests.kit.certificates import Authority
from tests.kit.relay_thread import Recording, RelayThread, eventually, read_exactly, read_to_end

START = Callable[..., RelayThread]
STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"
SSL = struct.pack("!II", 8, 80877103)
GSS = struct.pack("!II", 8, 80877104)


@pytest.fixture
def listen(tmp_path: Path) -> ListenTLS:
    pair = Authority(tmp_path).issue("proxy", "localhost", "127.0.0.1")
    return ListenTLS(str(pair.certificate), str(pair.key))


def trusting(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@pytest.mark.parametrize("before", [[], [GSS]])
def test_s2_tls_after_asking(start_relay: START, server: Any, listen: ListenTLS, before: list[bytes]) -> None:
    client = start_relay(tls=listen).connect()
    for request in before:
        client.sendall(request)
        assert read_exactly(client, 1) == b"N"
    for i in range(8):
        client.sendall(SSL[i : i + 1])
    assert read_exactly(client, 1) == b"S"
    with trusting().wrap_socket(client) as encrypted:
        encrypted.sendall(STARTUP)
        accepted = server.accept()
        assert read_exactly(accepted, len(STARTUP)) == STARTUP
        accepted.sendall(b"R")
        assert read_exactly(encrypted, 1) == b"R"


def test_s2_a_client_hello_sent_early_is_read_by_tls(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    client = start_relay(tls=listen).connect()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    client.sendall(SSL + outgoing.read())
    assert read_exactly(client, 1) == b"S"
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(client.recv(65536))
    tls.write(STARTUP)
    client.sendall(outgoing.read())
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP


def test_s2_plaintext_behind_the_request_is_never_a_startup_packet(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    observer = Recording()
    client = start_relay(tls=listen, observer=observer).connect()
    client.sendall(SSL + STARTUP)
    said = read_to_end(client)
    assert said[:1] == b"S"
    assert b"E" not in said[:1]
    eventually(lambda: observer.counters == {"tls.handshake_failed": 1}, f"{observer.counters}")
    server.listening.settimeout(0.1)
    with pytest.raises(TimeoutError):
        server.accept()


@pytest.mark.parametrize("sent", [GSS + STARTUP, GSS + SSL])
def test_s2_bytes_behind_a_declined_request_are_an_injection(
    start_relay: START, listen: ListenTLS, sent: bytes
) -> None:
    observer = Recording()
    client = start_relay(tls=listen, observer=observer).connect()
    client.sendall(sent)
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters == {"handshake.injection": 1}, f"{observer.counters}")


def test_s1_direct_tls_with_the_protocols_name(start_relay: START, server: Any, listen: ListenTLS) -> None:
    with trusting("postgresql").wrap_socket(start_relay(tls=listen).connect()) as client:
        assert client.selected_alpn_protocol() == "postgresql"
        client.sendall(STARTUP)
        assert read_exactly(server.accept(), len(STARTUP)) == STARTUP


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_s1_direct_tls_without_it_is_dropped(
    start_relay: START, listen: ListenTLS, alpn: tuple[str, ...]
) -> None:
    observer = Recording()
    relay = start_relay(tls=listen, observer=observer)
    with trusting(*alpn).wrap_socket(relay.connect()) as client:
        client.sendall(STARTUP)
        assert client.recv(1) == b""
    eventually(lambda: observer.counters == {"handshake.no_alpn": 1}, f"{observer.counters}")


@pytest.mark.parametrize("request_", [SSL, GSS])
def test_s3_no_request_for_encryption_inside_tls(
    start_relay: START, listen: ListenTLS, request_: bytes
) -> None:
    with trusting("postgresql").wrap_socket(start_relay(tls=listen).connect()) as client:
        client.sendall(request_)
        assert client.recv(1) == b""


def test_plaintext_is_as_it_was(start_relay: START, server: Any, listen: ListenTLS) -> None:
    client = start_relay(tls=listen).connect()
    for i in range(len(STARTUP)):
        client.sendall(STARTUP[i : i + 1])
    assert read_exactly(server.accept(), len(STARTUP)) == STARTUP


@pytest.mark.parametrize("sent", [b"", STARTUP[:5], b"\x16", SSL])
def test_s21_the_deadline_holds_before_and_during_tls(
    start_relay: START, listen: ListenTLS, sent: bytes
) -> None:
    observer = Recording()
    client = start_relay(tls=listen, observer=observer, limits=Limits(handshake=0.1)).connect()
    client.sendall(sent)
    read_to_end(client)
    eventually(lambda: observer.counters.total() == 1, f"{observer.counters}")


def test_s5_a_probe_is_only_counted(start_relay: START, listen: ListenTLS) -> None:
    observer = Recording()
    start_relay(tls=listen, observer=observer).connect().close()
    eventually(lambda: observer.counters == {"handshake.abandoned": 1}, f"{observer.counters}")


def test_s20_noise_is_dropped_quietly(start_relay: START, listen: ListenTLS) -> None:
    observer = Recording()
    client = start_relay(tls=listen, observer=observer).connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert read_to_end(client) == b""
    eventually(lambda: observer.counters == {"handshake.noise": 1}, f"{observer.counters}")


def test_a5_a_client_that_ends_tls_is_heard_to_the_end(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    relay = start_relay(tls=listen)
    with trusting("postgresql").wrap_socket(relay.connect()) as client:
        client.sendall(STARTUP)
        accepted = server.accept()
        read_exactly(accepted, len(STARTUP))
        client.sendall(b"X\0\0\0\4")
    assert read_to_end(accepted) == b"X\0\0\0\4"
    eventually(lambda: not relay.relay.links, "the session ends")


def test_a10_an_end_without_close_notify_is_an_end(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    relay = start_relay(tls=listen)
    client = trusting("postgresql").wrap_socket(relay.connect())
    client.sendall(STARTUP)
    accepted = server.accept()
    read_exactly(accepted, len(STARTUP))
    socket.socket(fileno=client.detach()).close()
    assert read_to_end(accepted) == b""
    eventually(lambda: not relay.relay.links, "the session ends")


def test_a6_the_servers_last_words_arrive_before_the_end(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    with trusting("postgresql").wrap_socket(start_relay(tls=listen).connect()) as client:
        client.sendall(STARTUP)
        accepted = server.accept()
        read_exactly(accepted, len(STARTUP))
        accepted.sendall(b"last words" * 100_000)
        accepted.close()
        heard = bytearray()
        while chunk := client.recv(65536):
            heard += chunk
        assert heard == b"last words" * 100_000


@pytest.mark.parametrize("hop", ["client", "server"])
def test_a7_whoever_does_not_read_costs_no_memory(
    start_relay: START, server: Any, listen: ListenTLS, hop: str
) -> None:
    """What is sent to a reader that stopped ends in the sender's own buffers."""
    arguments = {"tls": listen} if hop == "client" else {"upstream_tls": UpstreamTLS(mode="require")}
    client = start_relay(**arguments).connect()
    if hop == "client":
        client = trusting("postgresql").wrap_socket(client)
    client.sendall(STARTUP)
    accepted = server.accept()
    if hop == "server":
        accepted = answering(accepted, listen)
    read_exactly(accepted, len(STARTUP))
    if hop == "server":
        accepted.sendall(READY)
        read_exactly(client, len(READY))
    reader, sender = (client, accepted) if hop == "client" else (accepted, client)
    sender.settimeout(0.5)
    chunk, sent = b"x" * 65536, 0
    with contextlib.suppress(TimeoutError):
        while sent < 512 * len(chunk):
            sender.sendall(chunk)
            sent += len(chunk)
    assert sent < 512 * len(chunk)
    # The last chunk went in part only.
    reader.settimeout(0.5)
    heard = 0
    with contextlib.suppress(TimeoutError):
        while part := reader.recv(65536):
            heard += len(part)
    assert sent <= heard <= sent + len(chunk)
    reader.close()
    sender.close()


def test_a5_a_half_closed_client_of_a_server_reached_by_tls(
    start_relay: START, server: Any, listen: ListenTLS
) -> None:
    relay = start_relay(upstream_tls=UpstreamTLS(mode="require"))
    client = relay.connect()
    client.sendall(STARTUP)
    encrypted = answering(server.accept(), listen)
    read_exactly(encrypted, len(STARTUP))
    encrypted.sendall(READY)
    assert read_exactly(client, len(READY)) == READY
    client.sendall(b"question")
    assert read_exactly(encrypted, 8) == b"question"
    client.shutdown(socket.SHUT_WR)
    encrypted.sendall(b"answer")
    assert read_exactly(client, 6) == b"answer"
    encrypted.close()
    assert read_to_end(client) == b""
    eventually(lambda: not relay.relay.links, "the session ends")


def test_a5_it_may_answer_for_a_while_only(start_relay: START, server: Any, listen: ListenTLS) -> None:
    relay = start_relay(upstream_tls=UpstreamTLS(mode="require"), limits=Limits(half_closed=0.05))
    client = relay.connect()
    client.sendall(STARTUP)
    encrypted = answering(server.accept(), listen)
    read_exactly(encrypted, len(STARTUP))
    encrypted.sendall(READY)
    client.shutdown(socket.SHUT_WR)
    assert encrypted.recv(1) == b""
    encrypted.close()
    eventually(lambda: not relay.relay.links, "the session ends")


READY = b"R\0\0\0\x08\0\0\0\0"


def answering(sock: socket.socket, listen: ListenTLS) -> ssl.SSLSocket:
    """The server's end of TLS after asking."""
    assert read_exactly(sock, 8) == SSL
    sock.sendall(b"S")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(listen.certificate, listen.key)
    return context.wrap_socket(sock, server_side=True)
