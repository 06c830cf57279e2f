"""Batched statements proved on real servers: every shape, odd keys, and planted differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import psycopg
import pytest

from advisor.model import Advice, BatchCandidate, Rejection
from advisor.propose.batch import BatchPlan, propose_batch
from advisor.prove.snapshot import batch_advice, prove_batch
from advisor.prove.statement_facts import statement_facts
from workload.lexer import lex
from workload.model import Column, Finding

MakeFinding = Callable[..., Finding]

REPEAT = 4
"""Few keys are asked for several times, so that one statement is clearly faster however busy the machine."""
KEYS = tuple((str(n),) for n in (1, 2, 3, 5, 8, 13))


def proved(result: Advice | Rejection, shape: str) -> Advice:
    assert isinstance(result, Advice), result.reason
    assert isinstance(result.candidate, BatchCandidate)
    assert result.candidate.shape == shape
    assert result.proof.method == "snapshot"
    assert result.proof.calls_ms is not None
    assert result.proof.batched_ms is not None
    assert result.proof.batched_ms < result.proof.calls_ms
    return result


def refused(result: Advice | Rejection) -> str:
    assert isinstance(result, Rejection)
    return result.reason


def with_constants(*constants: str | None, keys: tuple[tuple[str | None, ...], ...] = KEYS) -> list[tuple]:  # type: ignore[type-arg]
    return [(*key, *constants) for key in keys]


@pytest.mark.parametrize(
    ("query", "constants", "oids", "shape"),
    [
        ("SELECT id, total FROM orders WHERE customer_id = $1", (), (23,), "any"),
        ("SELECT id, total FROM orders WHERE customer_id = $1", (), (20,), "any"),
        ("SELECT id, total FROM orders WHERE customer_id = $1", (), (0,), "any"),
        ("SELECT id, total FROM orders WHERE customer_id = $1::INTEGER", (), (23,), "any"),
        ("SELECT * FROM orders o WHERE $1 = o.customer_id", (), (), "any"),
        ("select orders.* from orders where orders.customer_id in ($1)", (), (), "any"),
        ("SELECT id FROM orders WHERE customer_id = $1 AND status = $2", ("open",), (23, 25), "any"),
        ("SELECT id, placed FROM orders WHERE customer_id = $1 ORDER BY placed DESC", (), (), "any"),
        ("SELECT id, placed FROM orders WHERE customer_id = $1 ORDER BY 1", (), (), "any"),
        ("SELECT id, placed FROM orders WHERE customer_id = $1 ORDER BY $2", ("x",), (), "any"),
        ("SELECT id FROM orders WHERE customer_id = $1 ORDER BY id, $2 LIMIT 2", ("x",), (), "lateral"),
        ("SELECT name FROM customer WHERE id = $1 LIMIT $2", ("21",), (), "any"),
        ("SELECT name FROM customer WHERE id = $1 ORDER BY id LIMIT $2", ("1",), (), "any"),
        (
            "SELECT c.name, o.total FROM orders o JOIN customer c ON c.id = o.customer_id WHERE o.id = $1",
            (),
            (),
            "any",
        ),
        ('SELECT "Qty" FROM "Line Items" WHERE "order" = $1', (), (), "any"),
        ("SELECT id, total FROM orders WHERE total = $1", (), (), "composite"),
        ("SELECT * FROM orders WHERE total = $1", (), (1700,), "composite"),
        ("SELECT id FROM orders WHERE customer_id < $1", (), (), "composite"),
        ("SELECT count(*) FROM orders WHERE customer_id = $1", (), (), "aggregate"),
        (
            "SELECT count(*), sum(total), max(placed), array_agg(status) FROM orders "
            "WHERE customer_id = $1 AND status = $2",
            ("nothing like this",),
            (),
            "aggregate",
        ),
        ("SELECT sum(weight), avg(weight) FROM orders WHERE customer_id = $1", (), (), "aggregate"),
        ("SELECT COALESCE(sum(total), $2) FROM orders WHERE customer_id = $1", ("0",), (), "aggregate"),
        ("SELECT count(DISTINCT status) FROM orders WHERE customer_id = $1", (), (), "aggregate"),
        ("SELECT $2 AS a FROM orders WHERE customer_id = $1 LIMIT $3", ("1", "1"), (), "exists"),
        ("SELECT 1 AS one FROM orders WHERE customer_id = $1 AND status = 'x' LIMIT 1", (), (), "exists"),
        ("SELECT EXISTS (SELECT FROM orders WHERE customer_id = $1) AS any_1", (), (), "exists"),
        (
            "SELECT id, total FROM orders WHERE customer_id = $1 ORDER BY total DESC, id LIMIT $2",
            ("3",),
            (),
            "lateral",
        ),
        ("SELECT * FROM orders WHERE customer_id = $1 ORDER BY id LIMIT 2 OFFSET 1", (), (), "lateral"),
        ("SELECT id, o.* FROM orders o WHERE customer_id = $1 ORDER BY o.id LIMIT 2", (), (), "lateral"),
        ("SELECT DISTINCT status FROM orders WHERE customer_id = $1", (), (), "lateral"),
        ("SELECT id, rank() OVER (ORDER BY total) FROM orders WHERE customer_id = $1", (), (), "lateral"),
        ("SELECT status, count(*) FROM orders WHERE customer_id = $1 GROUP BY 1", (), (), "lateral"),
        (
            "SELECT id FROM orders WHERE customer_id = $1 UNION ALL SELECT id FROM customer WHERE id = $1",
            (),
            (),
            "lateral",
        ),
        ("WITH w AS (SELECT * FROM orders) SELECT count(*) FROM w WHERE customer_id = $1", (), (), "lateral"),
        (
            "SELECT count(*) FROM (SELECT id FROM orders WHERE customer_id = $1 LIMIT $2) sub",
            ("2",),
            (),
            "lateral",
        ),
    ],
)
async def test_shapes(
    shop: str,
    make_finding: MakeFinding,
    query: str,
    constants: tuple[str, ...],
    oids: tuple[int, ...],
    shape: str,
) -> None:
    # 35 is a customer without orders, 30 times k none at all.
    keys = (*KEYS, ("35",), ("900",))
    finding = make_finding(*with_constants(*constants, keys=keys), oids=oids)
    advice = proved(await batch_advice(finding, query, shop), shape)
    assert advice.proof.compared_calls == len(keys)


@pytest.mark.parametrize(
    ("column", "keys", "shape"),
    [
        ("name", ("name 1", "name 2", 'quote" and \\ in, {it}', "", "NULL"), "any"),
        ("email", ("c1@example.org", "c2@example.org", "C1@example.org"), "any"),
        ("code", ("k1", "k2   ", "k3"), "composite"),
        (
            "token",
            ("c4ca4238-a0b9-2382-0dcc-509a6f75849b", "C81E728D9D4C2F636F067F89CC14862C", "0" * 32),
            "any",
        ),
    ],
)
async def test_key_types_without_a_known_oid(
    shop: str, make_finding: MakeFinding, column: str, keys: tuple[str, ...], shape: str
) -> None:
    finding = make_finding(*[(key,) for key in keys * REPEAT])
    proved(await batch_advice(finding, f"SELECT id FROM customer WHERE {column} = $1", shop), shape)


async def test_enum_and_timestamp_keys(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*(("sad",), ("ok",)) * REPEAT)
    proved(await batch_advice(finding, "SELECT id FROM orders WHERE mood = $1", shop), "any")
    times = (("2026-01-01 00:00:00+00",), ("2026-01-02T01:00:00+01:00",), ("infinity",))
    finding = make_finding(*times * REPEAT)
    proved(await batch_advice(finding, "SELECT id FROM orders WHERE placed = $1", shop), "composite")


@pytest.mark.parametrize(
    ("template", "keys", "shape"),
    [
        (
            'SELECT "customer"."id", "customer"."name" FROM "customer" WHERE "customer"."id" = {} LIMIT 21',
            "123",
            "any",
        ),
        ('SELECT COUNT(*) AS "__count" FROM "orders" WHERE "orders"."customer_id" = {}', "459", "aggregate"),
        ('SELECT 1 AS "a" FROM "orders" WHERE "orders"."customer_id" = {} LIMIT 1', "459", "exists"),
        ("SELECT total FROM orders WHERE customer_id = {} AND status IN ('open', 'paid')", "12", ""),
        ("SELECT id FROM orders WHERE customer_id = {} AND status = 'op''en' AND total > -1.5", "123", "any"),
        (
            "SELECT id FROM orders WHERE customer_id = {} AND placed > date '2026-01-02' ORDER BY 1",
            "123",
            "any",
        ),
        ("SELECT id FROM orders WHERE tenant = 't{}' AND placed < now() - interval '1 day'", "01", "any"),
        ("SELECT id FROM orders WHERE weight > {}.25 AND id < 20 /* a comment */", "1234", "composite"),
    ],
)
async def test_literals_of_the_simple_protocol(
    shop: str, make_finding: MakeFinding, template: str, keys: str, shape: str
) -> None:
    statements = [lex(template.format(key))[0] for key in keys]
    (text,) = {statement.shape.text for statement in statements}
    finding = make_finding(*(statement.literals for statement in statements * REPEAT))
    result = await batch_advice(finding, text, shop)
    if shape:
        proved(result, shape)
    else:
        assert "not kept in full" in refused(result)


async def test_several_varying_parameters(shop: str, make_finding: MakeFinding) -> None:
    calls = (("1", "1", "x"), ("1", "2", "x"), ("2", "1", "x"), ("9", "9", "x"))
    finding = make_finding(*calls * REPEAT, oids=(20, 23))
    query = 'SELECT "Qty", $3 AS tag FROM "Line Items" WHERE "order" = $1 AND "No" = $2'
    advice = proved(await batch_advice(finding, query, shop), "composite")
    assert isinstance(advice.candidate, BatchCandidate)
    assert advice.candidate.key_column == "order, No"
    assert "unnest(CAST($1 AS bigint[])" in advice.candidate.batched
    assert "$3 AS tag" in advice.candidate.batched


async def test_null_and_repeated_keys(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*(("1",), (None,), ("1",), ("01",), ("2",)) * REPEAT)
    advice = proved(await batch_advice(finding, "SELECT id FROM orders WHERE customer_id = $1", shop), "any")
    assert advice.proof.compared_calls == 4 * REPEAT
    assert any("NULL" in limit for limit in advice.proof.limits)
    advice = proved(
        await batch_advice(finding, "SELECT count(*) FROM orders WHERE customer_id = $1", shop), "aggregate"
    )
    assert advice.proof.compared_calls == 4 * REPEAT


async def test_null_keys_stay_where_null_finds_rows(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*(("1",), (None,), ("2",)) * REPEAT, oids=(23,))
    query = "SELECT id FROM orders WHERE customer_id IS NOT DISTINCT FROM $1"
    advice = proved(await batch_advice(finding, query, shop), "composite")
    assert advice.proof.compared_calls == 3 * REPEAT


async def test_ties_may_stand_in_any_order(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*KEYS)
    query = "SELECT id, status FROM orders WHERE customer_id = $1 ORDER BY status NULLS FIRST LIMIT 4"
    proved(await batch_advice(finding, query, shop), "lateral")


async def test_direction_of_the_foreign_key_names_the_call(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(
        *KEYS,
        parent=Column(schema="public", table="customer", column="id"),
        child=Column(schema="public", table="orders", column="customer_id"),
        evidence={"orm": "sqlalchemy"},
    )
    advice = proved(await batch_advice(finding, "SELECT id FROM orders WHERE customer_id = $1", shop), "any")
    assert isinstance(advice.candidate, BatchCandidate)
    assert "selectinload(Customer.orders)" in advice.candidate.orm_fix
    finding = make_finding(
        *KEYS,
        parent=Column(schema="public", table="orders", column="customer_id"),
        child=Column(schema="public", table="customer", column="id"),
        evidence={"orm": "django"},
    )
    advice = proved(await batch_advice(finding, "SELECT name FROM customer WHERE id = $1", shop), "any")
    assert isinstance(advice.candidate, BatchCandidate)
    assert 'Order.objects.select_related("customer")' in advice.candidate.orm_fix


async def test_the_same_finding_keeps_its_id(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*KEYS)
    query = "SELECT id FROM orders WHERE customer_id = $1"
    first = proved(await batch_advice(finding, query, shop), "any")
    second = proved(await batch_advice(finding, query, shop), "any")
    assert first.id == second.id
    assert msgspec.json.decode(msgspec.json.encode(first), type=Advice) == first


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT id, random() FROM orders WHERE customer_id = $1", "volatile"),
        ("SELECT nextval('s') FROM orders WHERE customer_id = $1", "volatile"),
        ("SELECT pg_catalog.pg_sleep(1) FROM orders WHERE customer_id = $1", "volatile"),
        ("SELECT guarded() FROM orders WHERE customer_id = $1", "owner"),
        ("SELECT id FROM orders WHERE customer_id = $1 FOR UPDATE", "locks rows"),
        ("SELECT id FROM gone WHERE customer_id = $1", 'relation "gone" does not exist; the application may'),
        ("SELECT id FROM orders WHERE customer_id = ANY($1)", "list already"),
        ("DELETE FROM orders WHERE id = $1", "only SELECT"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT FROM WHERE $1", "parser rejects"),
        ("SELECT id FROM orders WHERE customer_id = $1 AND id IN (2 /*, ... */)", "not kept in full"),
        ("WITH d AS (DELETE FROM orders WHERE id = $1 RETURNING id) SELECT * FROM d", "writes"),
        ("SELECT id FROM orders LIMIT $1", "paging"),
        ("SELECT id FROM orders TABLESAMPLE system (50) WHERE id = $1", "TABLESAMPLE"),
    ],
)
async def test_refusals(shop: str, make_finding: MakeFinding, query: str, reason: str) -> None:
    assert reason in refused(await batch_advice(make_finding(*KEYS), query, shop))


async def test_no_samples_and_no_server(make_finding: MakeFinding) -> None:
    query = "SELECT id FROM orders WHERE customer_id = $1"
    assert "--samples full" in refused(await batch_advice(make_finding(), query, "host=/nonexistent"))
    assert "no connection" in refused(await batch_advice(make_finding(*KEYS), query, "host=/nonexistent"))


async def test_values_stay_out_of_the_reason(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(("secret-1",), ("secret-2",))
    reason = refused(await batch_advice(finding, "SELECT id FROM orders WHERE customer_id = $1", shop))
    assert "secret" not in reason
    assert "22P02" in reason


async def test_slow_statements_run_into_the_timeout(shop: str, make_finding: MakeFinding) -> None:
    query = (
        "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b WHERE a = $1"
    )
    assert "57014" in refused(await batch_advice(make_finding(*KEYS), query, shop))


@pytest.mark.parametrize(
    ("query", "wrong", "reason"),
    [
        (
            "SELECT id, status FROM orders WHERE customer_id = $1",
            "SELECT customer_id, id, status FROM orders WHERE customer_id = ANY($1::int[]) AND id > 100",
            "rows",
        ),
        (
            "SELECT id, status FROM orders WHERE customer_id = $1",
            "SELECT customer_id, id, upper(status) FROM orders WHERE customer_id = ANY($1::int[])",
            "differ",
        ),
        (
            "SELECT id, status FROM orders WHERE customer_id = $1",
            "SELECT customer_id, id::integer, status FROM orders WHERE customer_id = ANY($1::int[])",
            "another type",
        ),
        (
            "SELECT id FROM orders WHERE customer_id = $1",
            "SELECT customer_id, id FROM orders WHERE customer_id = ANY($1::int[]) OR customer_id = 4",
            "not asked for",
        ),
        (
            "SELECT id FROM orders WHERE customer_id = $1 ORDER BY id",
            "SELECT customer_id, id FROM orders WHERE customer_id = ANY($1::int[]) ORDER BY id DESC",
            "order",
        ),
        (
            "SELECT status FROM orders WHERE customer_id = $1",
            "SELECT DISTINCT customer_id, status FROM orders WHERE customer_id = ANY($1::int[])",
            "rows",
        ),
        (
            "SELECT count(*) FROM orders WHERE customer_id = $1",
            "SELECT k, count(*) FROM unnest($1::int[]) k LEFT JOIN orders ON customer_id = k GROUP BY k",
            "differ",
        ),
        (
            "SELECT id FROM orders WHERE customer_id = $1 ORDER BY id LIMIT 2",
            "SELECT k, id FROM unnest($1::int[]) k, LATERAL "
            "(SELECT id FROM orders WHERE customer_id = k ORDER BY id LIMIT 3) s ORDER BY k, id",
            "rows",
        ),
        (
            "SELECT 1 FROM orders WHERE customer_id = $1 LIMIT 1",
            "SELECT k, true FROM unnest($1::int[]) k",
            "does not say",
        ),
    ],
)
async def test_a_wrong_candidate_is_refused(
    shop: str, make_finding: MakeFinding, query: str, wrong: str, reason: str
) -> None:
    finding = make_finding(*KEYS, ("35",))
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        facts = await statement_facts(connection, query, finding.sample_calls, ())
        plan = propose_batch(finding, query, facts)
        assert isinstance(plan, BatchPlan)
        planted = replace(plan, candidate=msgspec.structs.replace(plan.candidate, batched=wrong))
        result = await prove_batch(connection, finding, planted, facts)
    assert reason in refused(result)


async def test_nothing_is_left_in_the_database(shop: str, make_finding: MakeFinding) -> None:
    finding = make_finding(*KEYS)
    await batch_advice(finding, "SELECT id FROM orders WHERE customer_id = $1", shop)
    with psycopg.connect(shop) as connection:
        others = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'"
        ).fetchone()
    assert others == (0,)
