"""Settings as postgresql.conf wants them."""

from __future__ import annotations

import pytest

from advisor.scratch.configuration import access_text, configuration_text, quoted


@pytest.mark.parametrize(
    ("value", "written"),
    [("on", "'on'"), ("", "''"), ("it's", "'it''s'"), ("a\\b", "'a\\\\b'"), ("a\nb", "'a\\nb'")],
)
def test_a_value_is_quoted(value: str, written: str) -> None:
    assert quoted(value) == written


def test_settings_override_the_defaults_but_not_where_the_server_listens() -> None:
    text = configuration_text("/d/s", 5432, {"fsync": "on", "unix_socket_directories": "/tmp", "port": "1"})
    lines = text.splitlines()
    assert "fsync = 'on'" in lines
    assert "unix_socket_directories = '/d/s'" in lines
    assert "port = '5432'" in lines
    assert "listen_addresses = ''" in lines
    assert len({line.split(" = ")[0] for line in lines}) == len(lines)


def test_senders_of_wal_need_wal_to_send() -> None:
    assert "wal_level = 'replica'" in configuration_text("/d/s", 5432, {"max_wal_senders": "2"})
    logical = configuration_text("/d/s", 5432, {"max_wal_senders": "2", "wal_level": "logical"})
    assert "wal_level = 'logical'" in logical


def test_the_callers_access_lines_come_first() -> None:
    lines = access_text(["local all guest reject"]).splitlines()
    assert lines[0] == "local all guest reject"
    assert lines[1:] == ["local all all trust", "local replication all trust"]
