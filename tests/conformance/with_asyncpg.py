"""What applications do with asyncpg: binary prepared statements, cursors, COPY, timeouts, listeners."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import uuid
from typing import Any

import asyncpg

from tests.conformance.place import Place


def work(place: Place) -> list[Any]:
    """Do it and return everything that came back."""
    return asyncio.run(_work(place))


async def _work(place: Place) -> list[Any]:
    seen: list[Any] = []
    connection = await _connect(place)
    await connection.execute(
        "CREATE TYPE point3 AS (x int, y int, label text);"
        "CREATE TABLE item"
        " (id int PRIMARY KEY, name text, tags text[], place point3, key uuid, at timestamptz)"
    )
    await connection.executemany(
        "INSERT INTO item VALUES ($1, $2, $3, $4, $5, $6)",
        [
            (
                number,
                f"ünïcode {number}",
                ["a", None, f"t{number}"],
                (number, -number, "p"),
                uuid.UUID(int=number),
                datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=number),
            )
            for number in range(50)
        ],
    )
    seen.append([tuple(row) for row in await connection.fetch("SELECT * FROM item ORDER BY id")])
    statement = await connection.prepare("SELECT name FROM item WHERE id = $1")
    seen.append([await statement.fetchval(number) for number in range(60)])
    seen.append(
        await connection.fetchrow(
            "SELECT $1::numeric, $2::interval", decimal.Decimal("1.50"), datetime.timedelta(1)
        )
    )
    async with connection.transaction():
        seen.append(
            [row["id"] async for row in connection.cursor("SELECT id FROM item ORDER BY 1", prefetch=7)]
        )
    await _fail(connection, seen)
    await _copy(connection, seen)
    await _listen(connection, seen)
    await _change_under_a_prepared_statement(connection, seen)
    await connection.close()
    await _pool(place, seen)
    return seen


async def _connect(place: Place) -> Any:
    return await asyncpg.connect(
        host=place.host, port=place.port, user=place.user, database=place.database, timeout=30
    )


async def _fail(connection: Any, seen: list[Any]) -> None:
    for query in ("SELECT 1/0", "SELEC", "SELECT * FROM missing"):
        try:
            await connection.fetch(query)
        except asyncpg.PostgresError as error:
            seen.append((error.sqlstate, error.message))
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO item (id) VALUES (1000)")
            await connection.execute("INSERT INTO item (id) VALUES (1000)")
    except asyncpg.UniqueViolationError as error:
        seen.append(error.detail)
    try:
        # Sends a CancelRequest on a second connection and waits for its effect.
        await connection.execute("SELECT pg_sleep(600)", timeout=0.2)
    except TimeoutError:
        seen.append("timed out")
    seen.append(await connection.fetchval("SELECT count(*) FROM item"))


async def _copy(connection: Any, seen: list[Any]) -> None:
    seen.append(
        await connection.copy_records_to_table(
            "item",
            records=[(number, f"copied {number}") for number in range(2000, 7000)],
            columns=["id", "name"],
        )
    )
    blocks: list[bytes] = []

    async def keep(block: bytes) -> None:
        blocks.append(block)

    seen.append(
        await connection.copy_from_query("SELECT id, name FROM item ORDER BY id", output=keep, format="csv")
    )
    seen.append(b"".join(blocks))


async def _listen(connection: Any, seen: list[Any]) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    await connection.add_listener(
        "news", lambda _c, _pid, channel, payload: heard.put_nowait((channel, payload))
    )
    await connection.execute("NOTIFY news, 'hello'")
    seen.append(await asyncio.wait_for(heard.get(), 30))
    await connection.reset()


async def _change_under_a_prepared_statement(connection: Any, seen: list[Any]) -> None:
    """The server rejects the cached plan; asyncpg parses the statement again by itself."""
    seen.append(len(await connection.fetchrow("SELECT * FROM item WHERE id = $1", 1)))
    await connection.execute("ALTER TABLE item ADD COLUMN extra int DEFAULT 3")
    seen.append(len(await connection.fetchrow("SELECT * FROM item WHERE id = $1", 1)))


async def _pool(place: Place, seen: list[Any]) -> None:
    async with asyncpg.create_pool(
        host=place.host, port=place.port, user=place.user, database=place.database, min_size=1, max_size=4
    ) as pool:
        seen.append(
            await asyncio.gather(*(pool.fetchval("SELECT $1::int + 1", number) for number in range(100)))
        )
