"""The demo application: the same pages with and without its mistakes, on a small shop."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from advisor.scratch import ScratchServer
from pgcoach_demo import catalogue, load, shop, traffic


@pytest.fixture
def url(
    pg18: ScratchServer, make_database: Callable[[ScratchServer], str], monkeypatch: pytest.MonkeyPatch
) -> str:
    for name, count in {"PRODUCTS": 200, "CUSTOMERS": 300, "ORDERS": 1_000, "REVIEWS": 500}.items():
        monkeypatch.setattr(load, name, count)
    monkeypatch.setattr(traffic, "PRODUCTS", 200)
    monkeypatch.setattr(traffic, "CUSTOMERS", 300)
    monkeypatch.setattr(traffic, "THINK_SECONDS", 0.0)
    database = str(psycopg.conninfo.conninfo_to_dict(make_database(pg18))["dbname"])
    address = pg18.url(database)
    load.load(address)
    return address


def test_rows_are_the_same_for_the_same_seed(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        row = connection.execute("SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o")
        assert row.fetchone() == (1_000, "1859b7b3532f1499d7e866f797229960")


async def test_batched_category_page_shows_the_same(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        one_by_one = await catalogue.category_page(connection, category=3, batched=False)
        assert len(one_by_one) == 5
        assert await catalogue.category_page(connection, category=3, batched=True) == one_by_one
    finally:
        await connection.close()


def test_eager_order_desk_shows_the_same(url: str) -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with Session(engine) as session:
        lazy = shop.order_desk(session, page=11, eager=False)
    with Session(engine) as session:
        assert shop.order_desk(session, page=11, eager=True) == lazy
    assert lazy
    engine.dispose()


@pytest.mark.parametrize("fixed", [False, True])
def test_traffic_opens_every_kind_of_page(url: str, fixed: bool) -> None:
    assert traffic.run(url, pages=12, fixed=fixed) == {
        "order desk": 6,
        "account": 3,
        "checkout": 3,
        "category": 10,
        "report": 2,
    }


def test_a_database_that_cannot_be_reached_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pgcoach_demo.__main__ import main

    monkeypatch.setattr("sys.argv", ["pgcoach_demo", "load", "--dsn", f"postgresql:///x?host={tmp_path}"])
    assert main() == 1
    error = capsys.readouterr().err
    assert error.startswith("pgcoach_demo: ")
    assert error.count("\n") == 1
