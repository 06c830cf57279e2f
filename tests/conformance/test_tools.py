"""PostgreSQL's own programs through the proxy: dumps, COPY in psql, pgbench, backups, WAL."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from advisor.scratch import ScratchServer
from tests.conformance.place import Place

BIN = Path("/usr/lib/postgresql/15/bin")
PATIENCE = 60.0


def program(name: str, *arguments: str, stdin: str | None = None) -> str:
    """Run one of the system's PostgreSQL 15 and return what it wrote to standard output."""
    done = subprocess.run(
        [str(BIN / name), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[ScratchServer]:
    """PostgreSQL 15 that streams its WAL."""
    if not BIN.exists():
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql-15")
    # Only what is flushed is sent, and without a commit that waits for it that may take half a minute.
    settings = {"max_wal_senders": "4", "synchronous_commit": "on"}
    with ScratchServer.start(15, settings=settings) as started:
        yield started


@pytest.fixture(scope="module")
def through(server: ScratchServer, start_proxy: Callable[[ScratchServer], Place]) -> Place:
    proxy = start_proxy(server)
    return Place(proxy.host, proxy.port, "postgres")


@pytest.fixture
def databases(server: ScratchServer, make_database: Callable[[ScratchServer], str]) -> tuple[str, str]:
    """Names of one with tables, sequences, large objects and a function, and of an empty one."""
    names = [make_database(server).rsplit("dbname=", 1)[1] for _ in range(2)]
    with psycopg.connect(server.dsn(names[0]), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric, raw bytea);"
            "INSERT INTO item SELECT g, 'ünï\t' || g, g / 7.0, decode(md5(g::text), 'hex')"
            " FROM generate_series(1, 20000) AS g;"
            "CREATE INDEX ON item (name);"
            "CREATE SEQUENCE counter; SELECT nextval('counter');"
            "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';"
            "SELECT lo_from_bytea(4711, 'large object')"
        )
    return names[0], names[1]


def connection_arguments(place: Place) -> list[str]:
    return ["--host", place.host, "--port", str(place.port), "--username", place.user]


def dump(place: Place, database: str) -> str:
    """As SQL, without the random key that guards restoring against injected commands."""
    text = program("pg_dump", *connection_arguments(place), database)
    return re.sub(r"(?m)^\\(un)?restrict \S+$", "", text)


def test_k4_pg_dump_and_pg_restore(
    server: ScratchServer, through: Place, databases: tuple[str, str], tmp_path: Path
) -> None:
    full, empty = databases
    straight = Place(server.socket_dir, server.port, "postgres")
    expected = dump(straight, full)
    assert len(expected) > 500_000
    assert dump(through, full) == expected
    archive = tmp_path / "archive"
    arguments = connection_arguments(through)
    # In four sessions at once, which share a snapshot.
    program("pg_dump", *arguments, "--format=directory", "--jobs=4", f"--file={archive}", full)
    program("pg_restore", *arguments, "--jobs=4", "--dbname", empty, str(archive))
    assert dump(straight, empty) == expected


def test_k4_psql_copies_both_ways(through: Place, databases: tuple[str, str], tmp_path: Path) -> None:
    full, _ = databases
    file = tmp_path / "rows"
    psql = ["-X", "-q", "-v", "ON_ERROR_STOP=1", *connection_arguments(through), "--dbname", full]
    script = (
        f"\\copy item TO '{file}'\n"
        "CREATE TABLE other (LIKE item);\n"
        f"\\copy other FROM '{file}'\n"
        "\\copy other FROM STDIN\n-1\tone\t1\t\\\\x00\n\\.\n"
        "\\copy (SELECT * FROM other WHERE id > 0 ORDER BY id) TO STDOUT\n"
    )
    said = program("psql", *psql, stdin=script)
    assert said == file.read_text()
    assert said.count("\n") == 20_000


def test_s14_k5_pg_basebackup_with_the_wal_beside_it(
    server: ScratchServer, through: Place, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    program(
        *("pg_basebackup", *connection_arguments(through), f"--pgdata={backup}"),
        *("--wal-method=stream", "--checkpoint=fast", "--no-sync"),
    )
    # Checksums of every file, and the WAL that makes them consistent.
    program("pg_verifybackup", str(backup))


def test_s14_k5_pg_receivewal(server: ScratchServer, through: Place, tmp_path: Path) -> None:
    arguments = [*connection_arguments(through), f"--directory={tmp_path}", "--no-sync"]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        process = subprocess.Popen(
            [str(BIN / "pg_receivewal"), *arguments], stderr=subprocess.PIPE, text=True
        )
        try:
            partial = until(process, lambda: next(tmp_path.glob("*.partial"), None))
            connection.execute("CREATE TABLE written AS SELECT generate_series(1, 1000)")
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("DROP TABLE written")
            received = until(process, lambda: next(tmp_path.glob(partial.stem), None))
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)
        directory = connection.execute("SHOW data_directory").fetchone()
    assert directory is not None
    assert received.read_bytes() == (Path(directory[0]) / "pg_wal" / received.name).read_bytes()


def until(process: subprocess.Popen[str], found: Callable[[], Path | None]) -> Path:
    """What ``found`` comes to find while the process runs."""
    deadline = time.monotonic() + PATIENCE
    while (path := found()) is None:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "pg_receivewal wrote nothing"
        time.sleep(0.05)
    return path


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_x1_x12_pgbench(through: Place, databases: tuple[str, str], mode: str) -> None:
    _, empty = databases
    arguments = [*connection_arguments(through), empty]
    program("pgbench", "--initialize", "--quiet", "--scale=1", *arguments)
    said = program("pgbench", f"--protocol={mode}", "--client=4", "--transactions=200", *arguments)
    assert "number of transactions actually processed: 800/800" in said
    assert "number of failed transactions: 0 (0.000%)" in said
