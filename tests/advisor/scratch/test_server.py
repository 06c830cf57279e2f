"""Servers as their users see them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text

from advisor.scratch import Binaries, ScratchError, ScratchServer, find_binaries
from advisor.scratch.guardian import remove


def test_it_is_the_version_that_was_asked_for(pg: ScratchServer) -> None:
    with psycopg.connect(pg.dsn()) as connection:
        assert connection.info.server_version // 10000 == pg.major
        assert connection.execute("SHOW server_version").fetchone()[0].split()[0] == pg.version  # type: ignore[index]


def test_it_listens_on_its_private_socket_only(pg: ScratchServer) -> None:
    with psycopg.connect(pg.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == (pg.socket_dir,)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_case_and_order_do_not_depend_on_the_machine(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT 'a' < 'B', lower('Ä')").fetchone() == (False, "ä")
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


async def test_every_library_reads_the_url(pg: ScratchServer) -> None:
    connection = await asyncpg.connect(pg.url())
    assert await connection.fetchval("SELECT current_database()") == "postgres"
    await connection.close()
    engine = create_engine(pg.url("postgres", scheme="postgresql+psycopg"))
    with engine.connect() as sync_connection:
        assert sync_connection.execute(text("SELECT current_user")).scalar() == "postgres"
    engine.dispose()


def test_names_with_blanks_and_quotes_survive_the_connection_strings(pg: ScratchServer) -> None:
    name = "it's a \\ database"
    with psycopg.connect(pg.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        for address in (pg.dsn(name), pg.url(name)):
            with psycopg.connect(address) as connection:
                assert connection.info.dbname == name
    finally:
        with psycopg.connect(pg.dsn(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}"')


def test_each_database_of_a_test_is_its_own(
    pg18: ScratchServer, make_database: Callable[[ScratchServer], str]
) -> None:
    first, second = make_database(pg18), make_database(pg18)
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE only_here ()")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


async def test_settings_and_access_lines_take_effect_and_stopping_twice_is_fine() -> None:
    server = await asyncio.to_thread(
        ScratchServer.start,
        18,
        settings={"autovacuum": "off", "application_name": "it's \\ me", "max_wal_senders": "2"},
        access=["local all guest reject"],
    )
    directory = server.directory
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        assert connection.execute("SHOW autovacuum").fetchone() == ("off",)
        assert connection.execute("SHOW application_name").fetchone() == ("it's \\ me",)
        assert connection.execute("SHOW wal_level").fetchone() == ("replica",)
        connection.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        psycopg.connect(server.dsn(user="guest"))
    was_running = server.running
    await asyncio.to_thread(server.stop)
    server.stop()
    assert was_running
    assert not server.running
    assert not directory.exists()


@pytest.fixture
def without_utf8_locale() -> Iterator[Binaries]:
    """PostgreSQL 18 on a machine that has no locale C.UTF-8, as far as initdb tells."""
    real = find_binaries(18)
    root = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    root.chmod(0o755)
    (root / "bin").mkdir(mode=0o755)
    refuse = """case "$*" in *--locale=C.UTF-8*--locale=C) ;; *)
        touch "$2/begun"; echo 'initdb: error: invalid locale name "C.UTF-8"' >&2; exit 1;; esac"""
    for name, first in (("initdb", refuse), ("postgres", ":")):
        program = root / "bin" / name
        program.write_text(f'#!/bin/sh\n{first}\nexec "{real.program(name)}" "$@"\n')
        program.chmod(0o755)
    yield Binaries(real.major, real.version, root / "bin", "test")
    remove(str(root))


def test_where_there_is_no_utf8_locale_it_is_plain_c(without_utf8_locale: Binaries) -> None:
    with (
        ScratchServer.start(binaries=without_utf8_locale) as server,
        psycopg.connect(server.dsn()) as connection,
    ):
        assert connection.execute(
            "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'postgres'"
        ).fetchone() == ("C", "UTF8")


def test_a_setting_that_postgresql_does_not_know_is_named_in_the_error() -> None:
    with pytest.raises(ScratchError) as caught:
        ScratchServer.start(18, settings={"no_such_setting": "1"})
    message = str(caught.value)
    assert 'unrecognized configuration parameter "no_such_setting"' in message
    assert "What to do: remove or correct the setting" in message
