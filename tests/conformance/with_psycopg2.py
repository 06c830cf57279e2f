"""What applications do with psycopg2: literals in the simple protocol, named cursors, COPY, notify."""

from __future__ import annotations

import io
import select
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2 import errors, extras

from tests.conformance.place import Place


def work(place: Place) -> list[Any]:
    """Do it and return everything that came back."""
    seen: list[Any] = []
    with closing(psycopg2.connect(place.dsn)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE item (id int PRIMARY KEY, name text, raw bytea)")
            extras.execute_values(
                cursor,
                "INSERT INTO item VALUES %s",
                [(number, f"it's \\ {number} ✓", b"\x00\xff" * number) for number in range(300)],
                page_size=100,
            )
            extras.execute_batch(
                cursor, "UPDATE item SET name = %s WHERE id = %s", [("new", 1), ("newer", 2)]
            )
        with connection, connection.cursor() as cursor:
            for number in range(5):
                cursor.execute("SELECT id, name, raw FROM item WHERE id = %s", (number,))
                seen.append([(row[0], row[1], bytes(row[2])) for row in cursor.fetchall()])
            cursor.execute("SELECT 1; SELECT 2, 'three'")
            seen.append(cursor.fetchall())
            cursor.mogrify("SELECT %s", (None,))
        with connection, connection.cursor("portal") as named:
            named.itersize = 70
            named.execute("SELECT id FROM item ORDER BY id DESC")
            seen.append([row[0] for row in named])
        for statement in ("SELECT 1/0", "SELECT 'open", "INSERT INTO item VALUES (1)"):
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement)
            except psycopg2.Error as error:
                seen.append((error.pgcode, error.diag.message_primary))
        _copy(connection, seen)
        _notify(connection, seen)
        with connection, connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 50")
            try:
                cursor.execute("SELECT pg_sleep(600)")
            except errors.QueryCanceled as error:
                seen.append(error.diag.message_primary)
    return seen


def _copy(connection: Any, seen: list[Any]) -> None:
    with connection, connection.cursor() as cursor:
        lines = "".join(f"{number}\tcopied {number}\t\\\\x00\n" for number in range(1000, 4000))
        cursor.copy_expert("COPY item FROM STDIN", io.StringIO(lines))
        seen.append(cursor.rowcount)
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM item ORDER BY id) TO STDOUT (FORMAT csv, HEADER)", out)
        seen.append(out.getvalue())


def _notify(connection: Any, seen: list[Any]) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("LISTEN news")
        cursor.execute("NOTIFY news, 'hello'")
    connection.poll()
    if not connection.notifies:
        select.select([connection], [], [], 30)
        connection.poll()
    seen.extend((note.channel, note.payload) for note in connection.notifies)
    connection.autocommit = False
