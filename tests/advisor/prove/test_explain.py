"""EXPLAIN on real servers: with values, without them, and what it must never do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from advisor.prove.explain import Connection, ExplainError, connect, explain, run, type_names
from advisor.prove.statements import Explainable, make_explainable
from proxy.dsn import parse_dsn
from workload.model import Sample


@pytest.fixture
async def connection(warehouse: str) -> AsyncIterator[Connection]:
    async with connect(parse_dsn(warehouse)) as opened:
        yield opened


def query(text: str, *values: str | None, oids: tuple[int, ...] = ()) -> Explainable:
    samples = []
    if values:
        samples.append(
            Sample(
                query_id=1,
                params=values,
                param_oids=oids or (0,) * len(values),
                duration_ms=1.0,
                rows=1,
                taken_at=0.0,
                masked=False,
            )
        )
    return make_explainable(1, text, samples, {20: ("pg_catalog", "int8"), 21: ("pg_catalog", "int2")})


async def test_values_give_the_plan_of_those_values(connection: Connection) -> None:
    rare = await explain(connection, query("SELECT * FROM orders WHERE created_at > $1", "2030-01-01"))
    common = await explain(connection, query("SELECT * FROM orders WHERE created_at > $1", "2000-01-01"))
    assert rare.plans[0].indexes == {"orders_created"}
    assert common.plans[0].indexes == frozenset()
    assert rare.cost < common.cost
    assert not rare.generic


async def test_without_values_the_plan_is_generic(connection: Connection) -> None:
    explained = await explain(connection, query("SELECT * FROM orders WHERE id = $1 AND status = $2"))
    assert explained.generic
    assert explained.plans[0].indexes == {"orders_pkey"}
    # Nothing is left of the prepared statement that older servers need for it.
    assert await run(connection, "SELECT name FROM pg_prepared_statements") == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SELECT $1 + $2, count(*) FROM orders", ("1", "2")),
        ("SELECT * FROM orders WHERE total = $1 ORDER BY $2 LIMIT $3", ("5", "1", "10")),
        ("SELECT * FROM orders WHERE created_at > now() - interval $1", ("1 day",)),
        ("INSERT INTO settings VALUES ($1, $2)", ("a", "b")),
        ("UPDATE orders SET note = $1 WHERE id = $2", ("a", "5")),
        ("DELETE FROM orders WHERE id = ANY($1)", ("{1,2}",)),
        ("SELECT * FROM orders WHERE id = $1 FOR UPDATE", ("1",)),
    ],
)
async def test_untyped_literals_find_their_type(
    connection: Connection, text: str, values: tuple[str, ...]
) -> None:
    assert not (await explain(connection, query(text, *values))).generic


async def test_a_type_too_small_for_the_value_is_left_out(connection: Connection) -> None:
    statement = query("SELECT * FROM orders WHERE id = $1", "70000", oids=(21,))
    explained = await explain(connection, statement)
    assert not explained.generic
    assert explained.plans[0].indexes == {"orders_pkey"}


async def test_a_sample_that_does_not_fit_falls_back_to_a_generic_plan(connection: Connection) -> None:
    explained = await explain(connection, query("SELECT * FROM orders WHERE id = $1", "secret-value"))
    assert explained.generic


async def test_errors_tell_the_reason_but_no_value(connection: Connection) -> None:
    with pytest.raises(ExplainError, match="nowhere") as missing:
        await explain(connection, query("SELECT * FROM nowhere WHERE id = $1", "secret-value"))
    assert "secret" not in str(missing.value)
    # A broken value and a statement that has no generic plan either.
    with pytest.raises(ExplainError) as broken:
        await explain(connection, query("SELECT nowhere($1) FROM orders WHERE id = $2", "x", "secret-value"))
    assert "secret" not in str(broken.value)
    # The connection is as usable as before.
    assert await run(connection, "SELECT 1") == [(1,)]


async def test_nothing_is_ever_changed(connection: Connection, warehouse: str) -> None:
    before = _counts(warehouse)
    await explain(connection, query("DELETE FROM lines WHERE order_id > $1", "0"))
    await explain(connection, query("DELETE FROM lines"))
    assert _counts(warehouse) == before
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await run(connection, "DELETE FROM lines")


async def test_a_role_without_rights_is_told_so(warehouse: str) -> None:
    with psycopg.connect(warehouse, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody_much")
        admin.execute("CREATE ROLE nobody_much LOGIN")
    async with connect(parse_dsn(f"{warehouse} user=nobody_much")) as limited:
        with pytest.raises(ExplainError, match="may not read"):
            await explain(limited, query("SELECT * FROM orders WHERE id = $1", "1"))


async def test_a_lock_held_by_somebody_is_not_waited_for(connection: Connection, warehouse: str) -> None:
    await run(connection, "SET lock_timeout = '10ms'")
    with psycopg.connect(warehouse) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ExplainError, match="55P03"):
            await explain(connection, query("SELECT * FROM orders WHERE id = $1", "1"))
    assert not (await explain(connection, query("SELECT * FROM orders WHERE id = $1", "1"))).generic


async def test_type_names(connection: Connection) -> None:
    assert await type_names(connection, [23, 1007, 0, 4_000_000_000]) == {
        23: ("pg_catalog", "int4"),
        1007: ("pg_catalog", "_int4"),
    }
    assert await type_names(connection, []) == {}


def _counts(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT count(*), sum(quantity) FROM lines").fetchall()
