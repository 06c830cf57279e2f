"""Transactions on the file: what a reader sees, what a writer leaves, and what errors say to do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from workload.store import schema
from workload.store.connection import Database, explained, open_database
from workload.store.errors import StoreBusyError, StoreError


def put(connection: Connection, key: str, value: str = "x") -> None:
    connection.execute(insert(schema.meta).values(key=key, value=value))


def keys(connection: Connection) -> list[str]:
    return list(connection.execute(select(schema.meta.c.key).order_by(schema.meta.c.key)).scalars())


def test_a_block_that_raises_leaves_nothing(opened: Database) -> None:
    def fail() -> None:
        with opened.write() as connection:
            put(connection, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with opened.read() as connection:
        assert keys(connection) == []


def test_a_read_sees_one_state_however_long_it_takes(opened: Database) -> None:
    with opened.write() as connection:
        put(connection, "a")
    with opened.read() as reader:
        assert keys(reader) == ["a"]
        with opened.write() as writer:
            put(writer, "b")
        assert keys(reader) == ["a"]
    with opened.read() as reader:
        assert keys(reader) == ["a", "b"]


def test_a_writer_in_the_way_is_busy_and_says_so(
    opened: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workload.store.connection.BUSY_TIMEOUT", 0.01)
    impatient = open_database(tmp_path / "s.db", create=False)
    with opened.write() as connection:
        put(connection, "a")
        with pytest.raises(StoreBusyError, match="another process holds it"), impatient.write():
            pytest.fail("two writers at the same time")
    with impatient.write() as connection:
        put(connection, "b")
    impatient.close()


def test_values_are_checked_by_foreign_keys(opened: Database) -> None:
    row = {"query_id": 7, "sqlstate": "23505", "count": 1}
    with pytest.raises(StoreError, match="FOREIGN KEY"), opened.write() as connection:
        connection.execute(insert(schema.query_error).values(row))


def test_vacuum_gives_free_pages_back(opened: Database) -> None:
    with opened.write() as connection:
        for number in range(100):
            put(connection, f"{number}", "x" * 4000)
    with opened.write() as connection:
        connection.execute(schema.meta.delete())

    def free() -> int:
        with opened.read() as connection:
            return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())

    before = free()
    assert before > 50
    opened.vacuum(pages=10)
    assert free() == before - 10
    opened.vacuum()
    assert free() == 0


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (sqlite3.SQLITE_BUSY, StoreBusyError, "another process holds it"),
        (sqlite3.SQLITE_FULL, StoreBusyError, "disk is full"),
        (sqlite3.SQLITE_IOERR, StoreBusyError, "reading or writing its disk failed"),
        (sqlite3.SQLITE_IOERR | (8 << 8), StoreBusyError, "reading or writing its disk failed"),
        (sqlite3.SQLITE_NOTADB, StoreError, "not a pgcoach store"),
        (sqlite3.SQLITE_CORRUPT, StoreError, r"damaged.*\.recover"),
        (sqlite3.SQLITE_READONLY, StoreError, "must belong to you"),
        (sqlite3.SQLITE_CANTOPEN, StoreError, "must belong to you"),
        (0, StoreError, "failed: OperationalError: reason"),
    ],
)
def test_errors_name_the_file_and_what_to_do(
    tmp_path: Path, code: int, kind: type[StoreError], said: str
) -> None:
    error = sqlite3.OperationalError("reason")
    if code:
        error.sqlite_errorcode = code
    with pytest.raises(StoreError, match=said) as raised, explained(tmp_path / "here.db"):
        raise error
    assert type(raised.value) is kind
    assert str(tmp_path / "here.db") in str(raised.value)
    assert raised.value.__cause__ is error


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), explained(tmp_path):
        raise KeyError("mine")


def test_a_file_of_another_application_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA application_id = 12345")
    raw.execute("VACUUM")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="something else"):
        open_database(path, create=True)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.touch(mode=0o600)
    database = open_database(path, create=False)
    with database.read() as connection:
        assert keys(connection) == []
    database.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be made or read"):
            open_database(tmp_path / "s.db", create=True)
    finally:
        tmp_path.chmod(0o700)
