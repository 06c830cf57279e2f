"""Catalogs for the detectors, read from a real server or done without; findings in the query's own order."""

from __future__ import annotations

import asyncio

import psycopg

from proxy.dsn import parse_dsn
from workload.capture.detection import REFRESH, Catalogs, judge
from workload.capture.known import KnownQuery, Origin
from workload.capture.messages import StatementDef, Step, Unit
from workload.capture.pending import Pending


def unit(database: str = "shop", calls: int = 8) -> Unit:
    steps = tuple(
        Step(
            statement=1,
            params=(7, 100 + number),
            list_length=0,
            rows=1,
            duration_us=500,
            gap_us=100,
            transaction=0,
            result_hash=0,
        )
        for number in range(calls)
    )
    return Unit(
        session=1,
        database=database,
        user="bob",
        application_name="",
        boundary="burst",
        started_at=1.8e9,
        steps=steps,
        dropped_steps=0,
        columns=(),
        calls={1: tuple(("same", str(number)) for number in range(calls))},
        call_oids={1: (25, 23)},
        statement_names={},
    )


def origin(shape: str, text: str) -> Origin:
    query = KnownQuery(StatementDef(1, shape, "shop", False))
    query.id = 5
    query.text = text
    made = Origin()
    made.statements[1] = (query, shape)
    return made


async def test_a_catalog_is_read_once_a_minute_and_used_meanwhile(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE one (id int PRIMARY KEY)")
    dsn = parse_dsn(database)
    catalogs = Catalogs(dsn)
    assert catalogs.get(dsn.database, 100.0) == (False, None)
    await catalogs.finished(within=30)
    ready, first = catalogs.get(dsn.database, 100.0 + REFRESH / 2)
    assert ready
    assert first is not None
    assert [table.name for table in first.tables.values()] == ["one"]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE two (id int PRIMARY KEY)")
    assert catalogs.get(dsn.database, 101.0 + REFRESH) == (True, first)
    await catalogs.finished(within=30)
    _ready, second = catalogs.get(dsn.database, 102.0 + REFRESH)
    assert second is not None
    assert {table.name for table in second.tables.values()} == {"one", "two"}
    await catalogs.close()


async def test_without_a_server_units_do_not_wait_for_ever(tmp_path: object) -> None:
    catalogs = Catalogs(parse_dsn(f"host={tmp_path} port=1 user=x dbname=x"))
    assert catalogs.get("shop", 100.0) == (False, None)
    await catalogs.finished(within=30)
    assert catalogs.get("shop", 101.0) == (True, None)
    assert Catalogs(None).get("shop", 1.0) == (True, None)
    await catalogs.close()


async def test_closing_ends_a_reading_that_runs(tmp_path: object) -> None:
    catalogs = Catalogs(parse_dsn(f"host={tmp_path} port=1 user=x dbname=x"))
    catalogs.get("shop", 100.0)
    await catalogs.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("catalog of")]


def test_sample_calls_are_in_the_order_of_the_querys_text() -> None:
    shape = "SELECT a FROM t WHERE region = $1 AND id = $2"
    for text, expected in (
        (shape, (("same", "0"), (25, 23))),
        ("SELECT a FROM t WHERE region = $2 AND id = $1", (("0", "same"), (23, 25))),
        ("SELECT a FROM t WHERE region = NULL AND id = $1", ((), ())),
    ):
        pending = Pending()
        judge([(origin(shape, text), unit(), None)], pending)
        (finding,) = pending.findings.values()
        assert finding.query_id == 5
        assert ((finding.sample_calls or ((),))[0], finding.sample_oids) == expected


def test_a_unit_that_breaks_a_detector_is_counted_and_ends_nothing() -> None:
    pending = Pending()
    broken = origin("SELECT a FROM t WHERE region = $1 AND id = $2", "")
    broken.statements[1] = (broken.statements[1][0], None)  # type: ignore[assignment]
    shape = "SELECT a FROM t WHERE region = $1 AND id = $2"
    judge([(broken, unit(), None), (origin(shape, shape), unit(), None)], pending)
    assert pending.counters == {"lost.units": 1}
    assert len(pending.findings) == 1
