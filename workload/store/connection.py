"""Opening the SQLite file: permissions, pragmas, transactions, schema version.

Three processes use one file at the same time: the recorder writes each second, ``advise`` and the screens
write now and then, everybody reads. So the journal is a WAL (readers never wait for the writer), write
transactions begin with BEGIN IMMEDIATE (a transaction that reads first and upgrades later can fail with
SQLITE_BUSY at once, whatever the timeout says), and both kinds are short.

The file holds samples of production data. It is created with mode 0600 before SQLite sees it; SQLite gives
``-wal`` and ``-shm`` the mode of the file itself. It must not be opened and closed by anything but SQLite
afterwards: closing any descriptor drops all POSIX locks that the process has on the file.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from workload.store.errors import StoreBusyError, StoreError
from workload.store.schema import APPLICATION_ID, HEAD

BUSY_TIMEOUT = 5.0
"""Seconds that a write waits for another process; theirs take milliseconds."""
_WRITE = "pgcoach_write"
_RETRY_LATER = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_LOCKED: "another process holds it",
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing its disk failed",
}


class Database:
    """The open file. Threads may share it; each transaction has a connection of its own."""

    __slots__ = ("_engine", "path")

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: one consistent state, however many statements.

        Raises StoreError, StoreBusyError.
        """
        with explained(self.path), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction, committed at the end, rolled back when the block raises.

        Raises StoreError, StoreBusyError (nothing was written; the call may be repeated).
        """
        with explained(self.path), self._engine.connect() as connection:
            connection = connection.execution_options(**{_WRITE: True})
            with connection.begin():
                yield connection

    def vacuum(self, pages: int = 1000) -> None:
        """Give up to ``pages`` free pages back to the file system."""
        with explained(self.path), self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            if raw is not None:
                # execute() would stop after the first page: it takes each page as a row without columns.
                raw.executescript(f"PRAGMA incremental_vacuum({pages})")

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the driver's errors into a StoreError that says what to do."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        raise _explain(path, error) from error


def open_database(path: Path, *, create: bool) -> Database:
    """Open the file and bring its schema up to date.

    Raises StoreError: missing and not to be created, not a store, unreadable, made by a newer pgcoach.
    """
    _prepare_file(path, create)
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    database = Database(path, engine)
    try:
        with explained(path):
            _initialise(database, engine)
    except BaseException:
        engine.dispose()
        raise
    return database


def _prepare_file(path: Path, create: bool) -> None:
    try:
        if not path.exists():
            if not create:
                raise StoreError(
                    f"There is no store at {path} yet: start `pgcoach up`, or name another with --store."
                )
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            return
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"The store {path} is not a file; name one with --store.")
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
            for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                with suppress(FileNotFoundError):
                    name.chmod(0o600)
    except OSError as error:
        raise StoreError(
            f"The store {path} cannot be made or read: {error.strerror}. "
            "Check the directory's permissions, or name another place with --store."
        ) from error


def _on_connect(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # transactions are begun by _on_begin alone
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute("PRAGMA journal_size_limit = 16777216")


def _on_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _initialise(database: Database, engine: Engine) -> None:
    with engine.connect() as connection:
        version = _version(connection, database.path)
    if version == HEAD:
        return
    if version is None:
        _make_empty_file_a_store(engine)
    with engine.connect() as connection:
        connection = connection.execution_options(**{_WRITE: True})
        with connection.begin():
            # Another process may have done it while this one waited for the lock.
            if _version(connection, database.path) != HEAD:
                _migrate(connection)


def _version(connection: Connection, path: Path) -> str | None:
    """The schema version; None for an empty file. Raises StoreError for what this pgcoach cannot use."""
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if "alembic_version" not in tables:
        if tables or application not in (0, APPLICATION_ID):
            raise StoreError(f"{path} is a SQLite database of something else; name another with --store.")
        return None
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite database of something else; name another with --store.")
    version = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    if version > HEAD:
        raise StoreError(
            f"The store {path} was made by a newer pgcoach (its schema is {version}, this one knows up to "
            f"{HEAD}): upgrade pgcoach, or name another store with --store."
        )
    return version


def _make_empty_file_a_store(engine: Engine) -> None:
    """Settings that only take outside of a transaction, and auto_vacuum only before the first table."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        while True:
            try:
                raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
                raw.execute("PRAGMA journal_mode = WAL").fetchall()
                raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            except sqlite3.OperationalError as error:
                # SQLite does not wait here when two processes open a new file at the same moment.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _code(error: BaseException) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF


def _explain(path: Path, error: DatabaseError | sqlite3.DatabaseError) -> StoreError:
    original = error.orig if isinstance(error, DatabaseError) else error
    code = _code(original) if original is not None else 0
    if code in _RETRY_LATER:
        return StoreBusyError(f"The store {path} cannot be used now: {_RETRY_LATER[code]} ({original}).")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{path} is not a pgcoach store (not a SQLite file); name another with --store.")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(
            f"The store {path} is damaged ({original}). Move it away and start again, or rescue it with "
            "`sqlite3 FILE .recover`."
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH):
        return StoreError(
            f"The store {path} cannot be opened for writing ({original}): it must belong to you, as must its "
            "directory. Run as the user of `pgcoach up`, or name another store with --store."
        )
    if isinstance(error, OperationalError):
        return StoreError(f"The store {path} failed: {original}.")
    return StoreError(f"The store {path} failed: {type(original).__name__}: {original}.")
