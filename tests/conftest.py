"""Real PostgreSQL servers for the tests: each starts once a session, when first asked for.

A server here is a ``ScratchServer``: ``.dsn(database)``, ``.url(database)``, ``.major``, ``.socket_dir``
and ``.port``; the superuser is ``postgres`` and needs no password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from advisor.scratch import ScratchServer, available_binaries

_DEBIAN = Path("/usr/lib/postgresql/15")


@pytest.fixture(scope="session")
def pg16() -> Iterator[ScratchServer]:
    """PostgreSQL 16 of the wheel: no contrib, no ICU, no OpenSSL."""
    with ScratchServer.start(16) as server:
        yield server


@pytest.fixture(scope="session")
def pg18() -> Iterator[ScratchServer]:
    """PostgreSQL 18 of the wheel: no contrib, no ICU, no OpenSSL."""
    with ScratchServer.start(18) as server:
        yield server


@pytest.fixture(scope="session")
def pg15() -> Iterator[ScratchServer]:
    """Debian's PostgreSQL 15, with pg_stat_statements loaded when its library is installed."""
    if not any(binaries.major == 15 for binaries in available_binaries()):
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql-15")
    settings = {}
    if (_DEBIAN / "lib" / "pg_stat_statements.so").exists():
        settings["shared_preload_libraries"] = "pg_stat_statements"
    with ScratchServer.start(15, settings=settings) as server:
        yield server


@pytest.fixture(scope="session", params=[15, 16, 18], ids=lambda major: f"pg{major}")
def pg(request: pytest.FixtureRequest) -> ScratchServer:
    """Each of the three servers in turn."""
    server: ScratchServer = request.getfixturevalue(f"pg{request.param}")
    return server


@pytest.fixture
def make_database() -> Iterator[Callable[[ScratchServer], str]]:
    """Call it with a server for the connection string of a fresh, empty database there."""
    made: list[tuple[ScratchServer, str]] = []

    def make(server: ScratchServer) -> str:
        name = f"test_{len(made)}"
        _run(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append((server, name))
        return server.dsn(name)

    yield make
    for server, name in made:
        if server.running:
            _run(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(pg: ScratchServer, make_database: Callable[[ScratchServer], str]) -> str:
    """Connection string of a fresh, empty database on each of the servers in turn."""
    return make_database(pg)


def _run(server: ScratchServer, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)
