"""What-if by HypoPG and by real, rolled-back builds: same questions, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import psycopg
import pytest

from advisor.catalog import Catalog, load_catalog
from advisor.model import IndexCandidate, IndexKey
from advisor.prove.explain import Explained, ExplainError
from advisor.prove.statements import Explainable, make_explainable
from advisor.prove.whatif import WhatIf, WhatIfError, open_what_if
from advisor.scratch import ScratchServer
from proxy.dsn import Dsn, parse_dsn

MakeWarehouse = Callable[[ScratchServer], str]

QUERY = make_explainable(1, "SELECT * FROM orders WHERE customer_id = 17", [], {})
ORDERED = make_explainable(2, "SELECT * FROM orders ORDER BY total LIMIT 5", [], {})
CUSTOMER = IndexCandidate(
    schema="public", table="orders", keys=(IndexKey(column="customer_id"),), name="ix_orders_customer_id"
)
TOTAL = IndexCandidate(
    schema="public", table="orders", keys=(IndexKey(column="total"),), name="ix_orders_total"
)
BROKEN = IndexCandidate(schema="public", table="orders", keys=(IndexKey(column="gone"),), name="ix_broken")


async def catalog_of(dsn: Dsn) -> Catalog:
    connection = await asyncpg.connect(**dsn.connect_kwargs())
    try:
        return await load_catalog(connection)
    finally:
        await connection.close()


async def plans(judge: WhatIf, *queries: Explainable) -> dict[int, Explained]:
    answers = await judge.costs(queries)
    found = {}
    for id, answer in answers.items():
        assert isinstance(answer, Explained)
        found[id] = answer
    return found


def everything(dsn: str) -> list[tuple[object, ...]]:
    """What a left-over would show up in."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT c.relname, c.relkind, c.relfilenode, i.indisvalid, i.indcheckxmin FROM pg_class c "
            "LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace "
            "ORDER BY 1"
        ).fetchall()


async def exercise(judge: WhatIf) -> None:
    failures = await judge.prepare([CUSTOMER, TOTAL, BROKEN])
    assert list(failures) == [BROKEN]
    assert "gone" in failures[BROKEN]
    before = await plans(judge, QUERY, ORDERED)
    assert before[1].plans[0].indexes == frozenset()
    assert before[2].plans[0].indexes == frozenset()

    await judge.create(CUSTOMER)
    with_one = await plans(judge, QUERY, ORDERED)
    assert with_one[1].plans[0].indexes == {"ix_orders_customer_id"}
    assert with_one[1].cost < before[1].cost / 5
    assert with_one[2].cost == before[2].cost

    await judge.create(TOTAL)
    with_both = await plans(judge, QUERY, ORDERED)
    assert with_both[1].cost == with_one[1].cost
    assert with_both[2].plans[0].indexes == {"ix_orders_total"}

    await judge.drop(CUSTOMER)
    await judge.drop(TOTAL)
    again = await plans(judge, QUERY, ORDERED)
    assert [again[1].cost, again[2].cost] == [before[1].cost, before[2].cost]


async def test_real_builds_judge_and_leave_nothing(warehouse: str) -> None:
    dsn = parse_dsn(warehouse)
    before = everything(warehouse)
    messages: list[str] = []
    async with open_what_if(dsn, await catalog_of(dsn), "build", own_server=True) as judge:
        assert judge.method == "build"
        await exercise(judge)
        await judge.prepare([CUSTOMER], messages.append)
        size = await judge.size(CUSTOMER)
    assert everything(warehouse) == before
    assert messages == ["building ix_orders_customer_id to see what it does (1/1)"]
    with psycopg.connect(warehouse) as connection:
        connection.execute("CREATE INDEX ix_real ON orders (customer_id)")
        [real] = connection.execute("SELECT pg_relation_size('ix_real')").fetchone() or [None]
        connection.rollback()
    assert size == real


async def test_a_failing_run_leaves_nothing_either(warehouse: str) -> None:
    dsn = parse_dsn(warehouse)
    before = everything(warehouse)

    async def interrupted() -> None:
        async with open_what_if(dsn, await catalog_of(dsn), "build", own_server=True) as judge:
            await judge.prepare([CUSTOMER, TOTAL])
            await judge.create(CUSTOMER)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await interrupted()
    assert everything(warehouse) == before


async def test_an_index_over_broken_hot_chains_is_judged_all_the_same(warehouse: str) -> None:
    """CREATE INDEX hides such an index from older snapshots, which would look like an index of no use."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders SET (fillfactor = 50, autovacuum_enabled = off)")
        connection.execute("VACUUM FULL orders")
        connection.execute("ANALYZE orders")
        holder = psycopg.connect(warehouse)
        holder.execute("SET default_transaction_isolation = 'repeatable read'")
        holder.commit()
        holder.execute("SELECT count(*) FROM orders")
        connection.execute("UPDATE orders SET customer_id = customer_id + 1 WHERE id % 3 = 0")
    try:
        dsn = parse_dsn(warehouse)
        async with open_what_if(dsn, await catalog_of(dsn), "build", own_server=True) as judge:
            await judge.prepare([CUSTOMER])
            await judge.create(CUSTOMER)
            assert (await plans(judge, QUERY))[1].plans[0].indexes == {"ix_orders_customer_id"}
    finally:
        holder.close()


async def test_hypopg_judges_without_building(pg15: ScratchServer, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(pg15)
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "Ext"')
        try:
            connection.execute('CREATE EXTENSION hypopg SCHEMA "Ext"')
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("needs HypoPG: apt-get install postgresql-15-hypopg")
    dsn = parse_dsn(warehouse)
    before = everything(warehouse)
    async with open_what_if(dsn, await catalog_of(dsn)) as judge:
        assert judge.method == "hypopg"
        await exercise(judge)
        size = await judge.size(CUSTOMER)
        assert size is not None
    with psycopg.connect(warehouse) as connection:
        connection.execute("CREATE INDEX ix_real ON orders (customer_id)")
        [real] = connection.execute("SELECT pg_relation_size('ix_real')").fetchone() or [0]
        connection.rollback()
    assert size == pytest.approx(real, rel=0.1)
    assert everything(warehouse) == before


async def test_the_candidates_name_may_belong_to_an_invalid_left_over(warehouse: str) -> None:
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("CREATE INDEX ix_orders_customer_id ON orders (customer_id)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_orders_customer_id'::regclass"
        )
    dsn = parse_dsn(warehouse)
    async with open_what_if(dsn, await catalog_of(dsn), "build", own_server=True) as judge:
        assert await judge.prepare([CUSTOMER]) == {}


async def test_one_query_that_fails_does_not_stop_the_others(warehouse: str) -> None:
    dsn = parse_dsn(warehouse)
    broken = make_explainable(3, "SELECT * FROM nowhere", [], {})
    async with open_what_if(dsn, await catalog_of(dsn), "build", own_server=True) as judge:
        answers = await judge.costs([broken, QUERY])
    assert isinstance(answers[3], ExplainError)
    assert isinstance(answers[1], Explained)


async def test_without_extension_and_without_permission_it_says_what_to_do(
    pg18: ScratchServer, make_warehouse: MakeWarehouse
) -> None:
    dsn = parse_dsn(make_warehouse(pg18))
    catalog = await catalog_of(dsn)
    for mode, message in (("auto", "postgresql-18-hypopg"), ("hypopg", "hypopg"), ("build", "--own-server")):
        with pytest.raises(WhatIfError, match=message):
            async with open_what_if(dsn, catalog, mode):  # type: ignore[arg-type]
                pass


async def test_available_but_not_created_is_told_apart(
    pg15: ScratchServer, make_warehouse: MakeWarehouse
) -> None:
    dsn = parse_dsn(make_warehouse(pg15))
    catalog = await catalog_of(dsn)
    if "hypopg" not in catalog.available_extensions:
        pytest.skip("needs HypoPG: apt-get install postgresql-15-hypopg")
    with pytest.raises(WhatIfError, match=f"CREATE EXTENSION hypopg in database {dsn.database}"):
        async with open_what_if(dsn, catalog):
            pass


async def test_building_needs_a_superuser(pg18: ScratchServer, make_warehouse: MakeWarehouse) -> None:
    warehouse = make_warehouse(pg18)
    with psycopg.connect(warehouse, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS plain_role")
        admin.execute("CREATE ROLE plain_role LOGIN")
    dsn = parse_dsn(f"{warehouse} user=plain_role")
    with pytest.raises(WhatIfError, match="superuser, and plain_role is none"):
        async with open_what_if(dsn, await catalog_of(dsn), own_server=True):
            pass
