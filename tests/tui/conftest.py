"""A store with known contents, at a known time; and the application on it, without a terminal."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.keys import _character_to_key
from textual.pilot import Pilot

from advisor.model import Advice, BatchCandidate, IndexCandidate, IndexKey, Proof, QueryGain
from tui.app import PgcoachApp
from tui.app.picture import settle
from workload.capture.histogram import Histogram
from workload.model import AdviceRecord, Column, Finding, Sample
from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery

NOW = 1_800_000_000.0
"""The instant at which all of it is looked at: epoch seconds, a multiple of ten."""

STATEMENTS = (
    # text, tables, calls a minute, mean in ms, rows a call, errors
    (
        "SELECT id, name, price FROM products WHERE category_id = $1 ORDER BY id",
        ("products",),
        90,
        42.0,
        25,
        0,
    ),
    ("SELECT id, total FROM order_lines WHERE order_id = $1", ("order_lines",), 1900, 0.31, 4, 0),
    (
        "SELECT c.name, sum(l.total) FROM customers c JOIN orders o ON o.customer_id = c.id "
        "JOIN order_lines l ON l.order_id = o.id WHERE o.placed_at > $1 "
        "GROUP BY c.name ORDER BY 2 DESC LIMIT $2",
        ("customers", "orders", "order_lines"),
        2,
        812.0,
        100,
        0,
    ),
    ("SELECT id, status FROM orders WHERE customer_id = $1 LIMIT $2", ("orders",), 60, 1.9, 20, 0),
    ("INSERT INTO orders (customer_id, placed_at) VALUES ($1, $2) RETURNING id", ("orders",), 30, 0.9, 1, 7),
    ("UPDATE stock SET amount = amount - $1 WHERE tags[$2] = $3", ("stock",), 12, 3.3, 1, 0),
    ("COMMIT", (), 60, 0.4, 0, 0),
)

PLAN_BEFORE: dict[str, Any] = {
    "Plan": {
        "Node Type": "Sort",
        "Startup Cost": 21_340.0,
        "Total Cost": 21_402.5,
        "Plan Rows": 25_000,
        "Plan Width": 48,
        "Sort Key": ["id"],
        "Plans": [
            {
                "Node Type": "Seq Scan",
                "Parent Relationship": "Outer",
                "Relation Name": "products",
                "Alias": "products",
                "Startup Cost": 0.0,
                "Total Cost": 19_514.0,
                "Plan Rows": 25_000,
                "Plan Width": 48,
                "Filter": "(category_id = 7)",
            }
        ],
    }
}
PLAN_AFTER: dict[str, Any] = {
    "Plan": {
        "Node Type": "Index Scan",
        "Relation Name": "products",
        "Alias": "products",
        "Index Name": "products_category_id_id_idx",
        "Startup Cost": 0.42,
        "Total Cost": 104.25,
        "Plan Rows": 25_000,
        "Plan Width": 48,
        "Index Cond": "(category_id = 7)",
    }
}


@pytest.fixture
def empty_store(tmp_path: Path) -> Path:
    """A store as the proxy leaves it before any traffic."""
    path = tmp_path / "pgcoach.db"
    with Store.open(path) as store:
        _note_addresses(store)
    return path


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of ``store_path``, made once."""
    path = tmp_path_factory.mktemp("filled") / "pgcoach.db"
    with Store.open(path) as store:
        _note_addresses(store)
        ids = _traffic(store)
        _findings(store, ids)
        _advice(store, ids)
    return path


@pytest.fixture
def store_path(filled_store: Path, tmp_path: Path) -> Path:
    """Ten minutes of traffic, two findings, three pieces of advice; written two seconds before NOW."""
    return Path(shutil.copy(filled_store, tmp_path / "pgcoach.db"))


def _note_addresses(store: Store) -> None:
    store.set_meta("listen", "postgresql://app@127.0.0.1:6432/shop")
    store.set_meta("upstream", "postgresql://app@db.internal:5432/shop")


def _traffic(store: Store) -> list[int]:
    ids = store.define_queries(
        [
            NewQuery(
                database="shop",
                fingerprint=f"{place + 1:016x}",
                text=text,
                kind=text.split()[0].lower() if tables else "utility",
                tables=tables,
                parse_error=False,
                seen_at=NOW - 600,
            )
            for place, (text, tables, *_) in enumerate(STATEMENTS)
        ]
    )
    dice = random.Random(7)
    for minute in range(60):
        batch = Batch(at=NOW - 2)
        at = NOW - 600 + minute * 10
        for query_id, (_, _, per_minute, mean, rows, errors) in zip(ids, STATEMENTS, strict=True):
            calls = max(0, round(per_minute / 6 * (1 + minute % 20 / 10)))
            histogram = Histogram()
            times = [round(mean * 1000 * dice.lognormvariate(0, 0.5)) for _ in range(calls)]
            for time in times:
                histogram.add(time)
            batch.add(
                Increment(
                    query_id=query_id,
                    at=at,
                    calls=calls,
                    errors=errors if minute == 30 else 0,
                    rows=rows * calls,
                    bytes=rows * calls * 40,
                    timed_calls=calls,
                    total_us=sum(times),
                    max_us=max(times, default=0),
                    histogram=histogram.counts,
                    sqlstates={"23505": errors} if errors and minute == 30 else {},
                    applications={"shop-web"},
                )
            )
        if minute == 59:
            batch.samples += [
                Sample(
                    query_id=ids[0],
                    params=("7",),
                    param_oids=(23,),
                    duration_ms=40.5,
                    rows=25,
                    taken_at=NOW - 5,
                    masked=False,
                ),
                Sample(
                    query_id=ids[2],
                    params=("2026-01-01", "100"),
                    param_oids=(1082, 23),
                    duration_ms=810.0,
                    rows=100,
                    taken_at=NOW - 5,
                    masked=False,
                ),
            ]
            batch.counters = {"sessions": 12, "lost.samples": 3, "opaque.tls": 1}
        store.write(batch)
    return ids


def _findings(store: Store, ids: list[int]) -> None:
    store.merge_finding(
        Finding(
            id="f-lines",
            cls="n_plus_one_read",
            confidence="high",
            title="order_lines are read one order at a time",
            database="shop",
            query_id=ids[1],
            fingerprint=f"{2:016x}",
            parent_query_id=ids[3],
            parent_fingerprint=f"{4:016x}",
            child=Column(schema="public", table="order_lines", column="order_id"),
            parent=Column(schema="public", table="orders", column="id"),
            first_seen=NOW - 590,
            last_seen=NOW - 3,
            units=950,
            calls=19_000,
            wasted_ms=5_400.0,
            evidence={
                "calls_per_unit": 20.0,
                "coverage": 1.0,
                "boundary": "transaction",
                "distinct": 20,
                "orm": "sqlalchemy",
            },
            sample_calls=(("1",), ("2",)),
            sample_oids=(23,),
        )
    )
    store.merge_finding(
        Finding(
            id="f-repeat",
            cls="duplicate_read",
            confidence="medium",
            title="the same products are read again within one transaction",
            database="shop",
            query_id=ids[0],
            fingerprint=f"{1:016x}",
            parent_query_id=None,
            parent_fingerprint=None,
            child=Column(),
            parent=Column(),
            first_seen=NOW - 300,
            last_seen=NOW - 30,
            units=40,
            calls=90,
            wasted_ms=2_100.0,
            evidence={"distinct": 1},
            sample_calls=(),
            sample_oids=(),
        )
    )


def _advice(store: Store, ids: list[int]) -> None:
    index = Advice(
        id="ix1",
        title="Index products (category_id, id)",
        database="shop",
        candidate=IndexCandidate(
            schema="public",
            table="products",
            keys=(IndexKey(column="category_id"), IndexKey(column="id")),
            name="products_category_id_id_idx",
            why="category_id is compared for equality and the result is ordered by id.",
        ),
        proof=Proof(
            method="build",
            server_version="18.4",
            made_at=NOW - 60,
            summary="The planner uses the index for 1 query; its cost falls from 21,403 to 104.",
            index_bytes=22_000_000,
            table_bytes=131_000_000,
            table_rows=1_000_000,
            limits=("Costs are the planner's estimates, not measured times.",),
        ),
        gains=(
            QueryGain(
                query_id=ids[0],
                fingerprint=f"{1:016x}",
                query=STATEMENTS[0][0],
                calls=1800,
                total_ms=80_000.0,
                cost_before=21_402.5,
                cost_after=104.25,
                plan_before=PLAN_BEFORE,
                plan_after=PLAN_AFTER,
            ),
        ),
        ddl="CREATE INDEX CONCURRENTLY products_category_id_id_idx ON public.products (category_id, id);",
        rollback="DROP INDEX CONCURRENTLY public.products_category_id_id_idx;",
        lock_note="CONCURRENTLY lets reads and writes go on; it waits for transactions that are open.",
        benefit_ms=79_000.0,
    )
    batch = Advice(
        id="ba1",
        title="Read order_lines for all orders at once",
        database="shop",
        candidate=BatchCandidate(
            finding_id="f-lines",
            original=STATEMENTS[1][0],
            batched="SELECT id, total, order_id FROM order_lines WHERE order_id = ANY($1)",
            shape="any",
            key_column="order_id",
            orm="sqlalchemy",
            orm_fix="select(Order).options(selectinload(Order.lines))",
            notes=("Rows come in no particular order: group them by order_id.",),
        ),
        proof=Proof(
            method="snapshot",
            server_version="18.4",
            made_at=NOW - 60,
            summary="20 captured calls and the batched statement gave the same 80 rows.",
            compared_calls=20,
            compared_rows=80,
            calls_ms=6.2,
            batched_ms=0.7,
        ),
        benefit_ms=5_300.0,
    )
    rejected = msgspec.structs.replace(index, id="ix2", title="Index stock (tags)", benefit_ms=12.0)
    for advice, state, kind in (
        (index, "new", "index"),
        (batch, "new", "batch"),
        (rejected, "rejected", "index"),
    ):
        store.save_advice(
            AdviceRecord(
                id=advice.id,
                kind=kind,
                state=state,
                title=advice.title,
                database=advice.database,
                benefit_ms=advice.benefit_ms,
                created_at=NOW - 60,
                updated_at=NOW - 60,
                reason="table is truncated nightly" if state == "rejected" else "",
                document=msgspec.json.encode(advice),
            )
        )


class Driver:
    """The application under test: presses keys, waits for what they start, reads the screen as text."""

    def __init__(self, app: PgcoachApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Presses keys one by one, each after all that the one before started is through."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def settle(self) -> None:
        """Until no worker runs and every message that workers sent was handled."""
        await settle(self.pilot)

    async def type(self, text: str) -> None:
        """Types a text; ``press`` takes a plus sign or a colon for something else."""
        await self.pilot.press(*map(_character_to_key, text))
        await self.settle()

    @property
    def text(self) -> str:
        """What stands on the screen, line by line, without colours."""
        strips = self.app.screen._compositor.render_strips()
        lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
        return "\n".join(lines).rstrip() + "\n"


OpenApp = Callable[..., AbstractAsyncContextManager[Driver]]


@pytest.fixture
def open_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OpenApp:
    """Opens the application on a store: ``async with open_app(path, size=(80, 24)) as driver``.

    Paths on the screen are the same on every machine: the store is named relative to the working directory,
    which is also the home directory.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DATABASE_URL", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    @asynccontextmanager
    async def opened(store: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driver]:
        location = str(store.relative_to(tmp_path))
        app = PgcoachApp(location, now=lambda: NOW, refresh_seconds=None)
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            await driver.settle()
            yield driver

    return opened


SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def matches_snapshot() -> Callable[[str, str], None]:
    """Compares a screen's text with the file of that name; PGCOACH_UPDATE_SNAPSHOTS=1 writes the file."""

    def check(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        if os.environ.get("PGCOACH_UPDATE_SNAPSHOTS"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        expected = path.read_text(encoding="utf-8")
        assert text == expected, f"{path.name} differs; PGCOACH_UPDATE_SNAPSHOTS=1 accepts the new one"

    return check
