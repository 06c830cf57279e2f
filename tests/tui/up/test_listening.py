"""Addresses to listen on: read, bound, refused, and recognised under other names."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.dsn import Address
from tui.up.errors import ListenError, UpError
from tui.up.listening import bind, leads_to, parse_listen


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("6432", Address("127.0.0.1", 6432)),
        (":6432", Address("", 6432)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("db.internal:65535", Address("db.internal", 65535)),
        ("[::1]:6432", Address("::1", 6432)),
        ("/run/pg", Address("/run/pg", 5432)),
        ("/run/pg/.s.PGSQL.6000", Address("/run/pg", 6000)),
    ],
)
def test_notations(text: str, address: Address) -> None:
    assert parse_listen(text) == address


def test_a_home_directory_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert parse_listen("~/run") == Address("/somewhere/run", 5432)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected HOST:PORT"),
        ("localhost", "expected HOST:PORT"),
        ("h:65536", "expected HOST:PORT"),
        ("h:-1", "expected HOST:PORT"),
        ("h:²", "expected HOST:PORT"),
        ("::1:6432", r"in brackets, \[::1\]:6432"),
        ("~nobody-of-that-name/run", "no such user"),
    ],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(UpError, match=message):
        parse_listen(text)


def test_a_port_of_the_systems_choice_and_in_use() -> None:
    first = bind(Address("127.0.0.1", 0))
    try:
        assert first.address == Address("127.0.0.1", first.socket.getsockname()[1])
        with pytest.raises(ListenError, match=f"127.0.0.1:{first.address.port} is in use"):
            bind(first.address)
    finally:
        first.close()


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_all_addresses_are_reached_by_loopback(host: str) -> None:
    listening = bind(Address(host, 0))
    try:
        assert listening.address.host == "127.0.0.1"
        socket.create_connection(("127.0.0.1", listening.address.port), 5).close()
    finally:
        listening.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.invalid", "x" * 64, "a..b"])
def test_a_host_that_is_not_ours_is_one_line(host: str) -> None:
    with pytest.raises(UpError, match="listen"):
        bind(Address(host, 0))


def test_a_unix_socket_is_ours_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    first = bind(address)
    path = tmp_path / ".s.PGSQL.5432"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ListenError, match="in use"):
        bind(address)
    first.close()
    assert list(tmp_path.iterdir()) == []
    bind(address).close()


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.socket_path)
    bind(address).close()


def test_a_socket_that_another_program_listens_on_is_left_alone(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(address.socket_path)
        other.listen()
        with pytest.raises(ListenError, match="in use"):
            bind(address)
        assert Path(address.socket_path).is_socket()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".s.PGSQL.5432"
    file.write_text("precious")
    with pytest.raises(ListenError, match="is no socket"):
        bind(Address(str(tmp_path), 5432))
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [(file.name, "precious")]


def test_directories_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UpError, match="no directory"):
        bind(Address(str(tmp_path / "missing"), 5432))
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(UpError, match="too long"):
        bind(Address(str(deep), 5432))


@pytest.mark.parametrize(
    ("bound", "upstream", "itself"),
    [
        ("127.0.0.1", Address("127.0.0.1", 0), True),
        ("127.0.0.1", Address("localhost", 0), True),
        ("127.0.0.1", Address("db.internal", 0, "127.0.0.1"), True),
        ("127.0.0.1", Address("127.0.0.2", 0), False),
        ("127.0.0.1", Address("no.such.invalid", 0), False),
        ("0.0.0.0", Address("127.0.0.2", 0), True),
        ("0.0.0.0", Address("192.0.2.1", 0), False),
        ("127.0.0.1", Address("127.0.0.1", 1), False),
        ("127.0.0.1", Address("/run/pg", 0), False),
    ],
)
def test_an_upstream_that_is_the_proxy(bound: str, upstream: Address, itself: bool) -> None:
    """Port 0 stands for the port that was bound."""
    listening = bind(Address(bound, 0))
    try:
        address = Address(upstream.host, upstream.port or listening.address.port, upstream.hostaddr)
        assert leads_to(address, listening) is itself
    finally:
        listening.close()


def test_an_upstream_that_is_the_proxys_unix_socket(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    listening = bind(Address(str(tmp_path / "real"), 5432))
    try:
        assert leads_to(Address(str(tmp_path / "link"), 5432), listening)
        assert not leads_to(Address(str(tmp_path), 5432), listening)
        assert not leads_to(Address("localhost", 5432), listening)
    finally:
        listening.close()
