"""Looking for advice from the screens, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from advisor.scratch import ScratchServer
from tui.app.advising import look
from tui.app.reading import NotThereError, Reader
from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery

NOW = 1_800_000_000.0


@pytest.fixture
def shop(
    pg16: ScratchServer, make_database: Callable[[ScratchServer], str], tmp_path: Path
) -> tuple[Path, str]:
    """A database with a table that lacks an index, and a store that saw the query for it."""
    dsn = make_database(pg16)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, shop_id int NOT NULL, name text NOT NULL)")
        connection.execute(
            "INSERT INTO item SELECT n, n % 5000, repeat('x', 40) FROM generate_series(1, 60000) n"
        )
        connection.execute("VACUUM ANALYZE item")
        name = connection.info.dbname
    path = tmp_path / "pgcoach.db"
    with Store.open(path) as store:
        (query_id,) = store.define_queries(
            [
                NewQuery(
                    database=name,
                    fingerprint="1" * 16,
                    text="SELECT name FROM item WHERE shop_id = $1",
                    kind="select",
                    tables=("item",),
                    parse_error=False,
                    seen_at=NOW,
                )
            ]
        )
        batch = Batch(at=NOW)
        batch.add(Increment(query_id=query_id, at=NOW, calls=1000, timed_calls=1000, total_us=9_000_000))
        store.write(batch)
    return path, dsn


async def test_the_key_fills_the_inbox(open_app: Any, shop: tuple[Path, str]) -> None:
    path, dsn = shop
    async with open_app(path) as driver:
        driver.app.target = dsn
        await driver.press("4")
        assert "Press A" in driver.text
        await driver.press("A", "ctrl+r")
        text = driver.text
        notes = [note.message for note in driver.app._notifications]
    with Store.open(path) as store:
        found = len(store.advice())
    # Without HypoPG, and on a server that is not pgcoach's own, nothing is proved and the reason is told.
    assert any(f"{found} pieces of advice proved" in note for note in notes)
    assert ("Press A" in text) == (found == 0)


def test_without_a_store_there_is_nothing_to_advise_on(tmp_path: Path) -> None:
    with pytest.raises(NotThereError):
        look(Reader(str(tmp_path / "none.db"), lambda: NOW), None)
