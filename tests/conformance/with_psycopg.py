"""What applications do with psycopg 3: both parameter formats, pipelines, COPY, cursors, cancel, notify."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import threading
from typing import Any

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from tests.conformance.place import Place


def work(place: Place) -> list[Any]:
    """Do it and return everything that came back."""
    seen: list[Any] = []
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric, at date, doc jsonb)"
        )
        _write(connection, seen)
        _read(connection, seen)
        _fail(connection, seen)
        _pipeline(connection, seen)
        _copy(connection, seen)
        _cancel(connection, seen)
        _notify(connection, seen)
    seen.append(asyncio.run(_in_the_background(place)))
    return seen


def _write(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    rows = [
        (
            number,
            f"naïve – {number}",
            decimal.Decimal(number) / 7,
            datetime.date(2024, 1, 1 + number),
            Jsonb([number]),
        )
        for number in range(20)
    ]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO item VALUES (%s, %s, %s, %s, %s)", rows)
        seen.append(cursor.rowcount)
        cursor.executemany(
            "UPDATE item SET name = upper(name) WHERE id = %s RETURNING id", [(1,), (99,)], returning=True
        )
        while True:
            seen.append(cursor.fetchall())
            if not cursor.nextset():
                break


def _read(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    for binary in (False, True):
        # Past the prepare threshold, so that named statements are parsed, used and (DDL) parsed again.
        for number in range(8):
            cursor = connection.cursor(binary=binary)
            seen.append(
                cursor.execute("SELECT * FROM item WHERE id = %s", (number,), prepare=True).fetchall()
            )
        connection.execute(f"ALTER TABLE item ADD COLUMN extra_{int(binary)} int DEFAULT 7")
    with connection.transaction(), connection.cursor("portal") as portal:
        portal.itersize = 3
        seen.extend(portal.execute("SELECT id FROM item ORDER BY id"))
    cursor = psycopg.ClientCursor(connection)
    seen.append(cursor.execute("SELECT %s, %s", ["it's", None]).fetchall())
    cursor.execute("SELECT 1; SELECT 2 WHERE false; CREATE TEMP TABLE t (); SELECT 'last'")
    while True:
        seen.append((cursor.statusmessage, cursor.fetchall() if cursor.description else None))
        if not cursor.nextset():
            break
    seen.append(len(connection.execute("SELECT repeat('ab', 2000000)").fetchall()[0][0]))
    seen.append(len(connection.execute("SELECT %s::text", ["y" * 3000000]).fetchall()[0][0]))


def _fail(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    with connection.transaction():
        for statement in ("SELECT 1/0", "SELECT nonsense", "INSERT INTO item (id) VALUES (1)"):
            try:
                with connection.transaction():
                    connection.execute(statement)
            except psycopg.Error as error:
                seen.append((error.sqlstate, error.diag.message_primary, error.diag.statement_position))
        seen.append(connection.execute("SELECT 'alive'").fetchall())
    connection.autocommit = False
    try:
        connection.execute("SELECT 1/0")
    except errors.DivisionByZero:
        seen.append(connection.info.transaction_status.name)
    try:
        connection.execute("SELECT 1")
    except errors.InFailedSqlTransaction as error:
        seen.append(error.sqlstate)
    connection.rollback()
    connection.autocommit = True


def _pipeline(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int * 2", [number]) for number in range(30)]
        pipeline.sync()
        seen.append([cursor.fetchall() for cursor in cursors])
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO item (id) VALUES (500)")
            connection.execute("SELECT 1/0")
            connection.execute("INSERT INTO item (id) VALUES (501)")
    except psycopg.Error as error:
        seen.append(error.sqlstate)
    seen.append(connection.execute("SELECT id FROM item WHERE id >= 500").fetchall())


def _copy(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    connection.execute("CREATE TABLE heap (id int, body text)")
    cursor = connection.cursor()
    with cursor.copy("COPY heap FROM STDIN") as copy:
        for number in range(5000):
            copy.write_row((number, f"line\t{number}\n"))
    seen.append((cursor.statusmessage, cursor.rowcount))
    with cursor.copy("COPY heap FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "text"])
        copy.write_row((-1, None))
    with cursor.copy("COPY (SELECT * FROM heap ORDER BY id) TO STDOUT") as copy:
        seen.append(b"".join(bytes(block) for block in copy))
    try:
        with cursor.copy("COPY heap FROM STDIN") as copy:
            copy.write("not a number\tx\n")
    except psycopg.Error as error:
        seen.append((error.sqlstate, error.diag.message_primary))
    try:
        with cursor.copy("COPY heap FROM STDIN") as copy:
            copy.write_row((1, "x"))
            # An error on our side: the driver sends CopyFail.
            copy.write_row((object(), "y"))
    except psycopg.ProgrammingError as error:
        seen.append(str(error))
    seen.append(cursor.execute("SELECT count(*) FROM heap").fetchall())


def _cancel(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    connection.execute("SET statement_timeout = '60s'")
    # Cancelling again and again until it hits: the first may come before the statement has begun.
    done = threading.Event()

    def nag() -> None:
        while not done.wait(0.05):
            connection.cancel_safe(timeout=10)

    nagger = threading.Thread(target=nag)
    nagger.start()
    try:
        connection.execute("SELECT pg_sleep(600)")
    except errors.QueryCanceled as error:
        seen.append(error.diag.message_primary)
    finally:
        done.set()
        nagger.join()
    # A late cancel may still hit the next statement, which is PostgreSQL's way; let it.
    for _ in range(10):
        try:
            connection.execute("SELECT pg_sleep(0.05)")
            break
        except errors.QueryCanceled:
            continue
    connection.execute("RESET statement_timeout")


def _notify(connection: psycopg.Connection[Any], seen: list[Any]) -> None:
    connection.execute("LISTEN news")
    connection.execute("NOTIFY news, 'first'")
    connection.execute("SELECT pg_notify('news', 'second')")
    seen.extend((note.channel, note.payload) for note in connection.notifies(timeout=10, stop_after=2))
    notices: list[str | None] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'there'; END $$")
    seen.append(notices)


async def _in_the_background(place: Place) -> list[Any]:
    """Several asynchronous sessions at once."""

    async def one(number: int) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(place.dsn) as connection:
            rows: list[Any] = []
            for offset in range(20):
                cursor = await connection.execute(
                    "SELECT id, name FROM item WHERE id = %s", (number + offset,)
                )
                rows.append(await cursor.fetchone())
            return rows

    return list(await asyncio.gather(*(one(number) for number in range(5))))
