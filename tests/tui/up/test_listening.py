"""Addresses to listen on: notations, and who may have them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxy.dsn import Address
from tui.up.errors import ListenError, UpError
from tui.up.listening import bind, parse_listen


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:6432", Address("127.0.0.1", 6432)),
        ("db.example:0", Address("db.example", 0)),
        (":6432", Address("", 6432)),
        ("6432", Address("127.0.0.1", 6432)),
        ("[::1]:6432", Address("::1", 6432)),
        ("/run/pg", Address("/run/pg", 5432)),
        ("/run/pg/.s.PGSQL.7000", Address("/run/pg", 7000)),
    ],
)
def test_notations(text: str, address: Address) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:http", "h:70000", "::1:6432", "h:-1"])
def test_nonsense_is_an_error_that_names_the_option(text: str) -> None:
    with pytest.raises(UpError, match="--listen"):
        parse_listen(text)


def test_a_free_port_is_picked_and_a_taken_one_refused() -> None:
    first = bind(Address("127.0.0.1", 0))
    try:
        assert first.address.port > 0
        with pytest.raises(ListenError, match="is in use"):
            bind(first.address)
    finally:
        first.close()
    bind(first.address).close()


def test_wildcards_are_shown_as_loopback() -> None:
    everywhere = bind(Address("", 0))
    try:
        assert everywhere.address.host == "127.0.0.1"
        socket.create_connection(("127.0.0.1", everywhere.address.port), 5).close()
    finally:
        everywhere.close()


def test_unix_socket_is_private_locked_and_removed(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    first = bind(address)
    assert Path(address.socket_path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ListenError, match="is in use"):
        bind(address)
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_left_over_socket_is_replaced_and_a_foreign_listener_is_not(tmp_path: Path) -> None:
    address = Address(str(tmp_path), 5432)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(address.socket_path)
        foreign.listen()
        with pytest.raises(ListenError, match="is in use"):
            bind(address)
    bind(address).close()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".s.PGSQL.5432").write_text("precious")
    with pytest.raises(ListenError, match="is no socket"):
        bind(Address(str(tmp_path), 5432))
    assert (tmp_path / ".s.PGSQL.5432").read_text() == "precious"
