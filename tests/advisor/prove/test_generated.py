"""Statements put together at random: whatever is proposed for them must come out equal.

A candidate that the comparison refuses would do no harm, but it would be a mistake of the proposer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.model import Advice, Rejection
from advisor.propose.batch import BatchPlan, propose_batch
from advisor.prove.snapshot import prove_batch
from advisor.prove.statement_facts import statement_facts
from workload.model import Finding

_KEYS: dict[str, tuple[str | None, ...]] = {
    "customer_id": ("1", "2", "7", "35", "900", None),
    "id": ("1", "2", "03", "601"),
    "status": ("open", "paid", "x", None),
    "total": ("1.5", "3.0", "1.50", "0"),
    "tenant": ("t0", "t1", "T1"),
    "mood": ("sad", "ok"),
    "weight": ("1", "0.3333333333333333"),
    "placed": ("2026-01-01", "2026-01-02 00:00+00"),
}
_SOURCES = (
    "orders o",
    "orders o JOIN customer c ON c.id = o.customer_id",
    'orders o LEFT JOIN "Line Items" l ON l."order" = o.id',
    "(SELECT * FROM orders WHERE id < 300) o",
    "orders o, (VALUES (1), (2)) v (n)",
)
_PREDICATES = (
    "o.{} = $1",
    "$1 = o.{}",
    "o.{} IN ($1)",
    "o.{} < $1",
    "o.{} IS NOT DISTINCT FROM $1",
    "NOT o.{} <> $1",
    "(o.{} = $1 OR o.id = 5)",
)
_OTHERS = ("", " AND o.id > $2", " AND (o.id < $2 OR o.total > 2)", " AND o.id <> $2 AND o.tenant = 't1'")
_AGGREGATES = (
    "count(*)",
    "count(o.status)",
    "sum(o.total)",
    "sum(o.weight)",
    "max(o.placed)",
    "bool_or(o.status = 'open')",
    "count(DISTINCT o.status)",
    "coalesce(sum(o.total), 0)",
    "string_agg(o.status, ',' ORDER BY o.id, o.total)",
    "array_agg(o.id ORDER BY o.id)",
    "count(*) FILTER (WHERE o.id > 5)",
)
_COLUMNS = ("o.id", "o.customer_id", "o.status AS s", "o.total", "upper(o.tenant)", "o.mood", "o.*")


@st.composite
def statements(draw: st.DrawFn) -> tuple[str, tuple[tuple[str | None, ...], ...]]:
    key = draw(st.sampled_from(sorted(_KEYS)))
    where = draw(st.sampled_from(_PREDICATES)).format(key) + (other := draw(st.sampled_from(_OTHERS)))
    calls = tuple((value, "50") if other else (value,) for value in _KEYS[key])
    source = draw(st.sampled_from(_SOURCES))
    columns = ", ".join(draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, max_size=3, unique=True)))
    aggregates = ", ".join(draw(st.lists(st.sampled_from(_AGGREGATES), min_size=1, max_size=3, unique=True)))
    select = draw(
        st.sampled_from(
            [
                f"SELECT {columns} FROM {source} WHERE {where}",
                f"SELECT {columns} FROM {source} WHERE {where} ORDER BY o.id DESC",
                f"SELECT {columns} FROM {source} WHERE {where} ORDER BY o.id, o.tenant LIMIT 3",
                f"SELECT DISTINCT o.status, o.mood FROM {source} WHERE {where}",
                f"SELECT {aggregates} FROM {source} WHERE {where}",
                f"SELECT o.status, {aggregates} FROM {source} WHERE {where} GROUP BY 1 HAVING count(*) > 1",
                f"SELECT 1 AS a FROM {source} WHERE {where} LIMIT 1",
                f"SELECT EXISTS (SELECT 1 FROM {source} WHERE {where})",
                f"SELECT o.id, row_number() OVER (ORDER BY o.id) FROM orders o WHERE {where}",
                f"SELECT o.id FROM orders o WHERE {where} EXCEPT SELECT id FROM customer",
                f"WITH o AS (SELECT * FROM orders) SELECT {aggregates} FROM o WHERE {where}",
            ]
        )
    )
    return select, calls


async def prove(shop: str, finding: Finding, query: str) -> Advice | Rejection:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        facts = await statement_facts(connection, query, finding.sample_calls, ())
        plan = propose_batch(finding, query, facts)
        assert isinstance(plan, BatchPlan), plan.reason
        return await prove_batch(connection, finding, plan, facts)


@given(statement=statements())
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_proposed_is_equal(
    shop: str, make_finding: Callable[..., Finding], statement: tuple[str, tuple[tuple[str | None, ...], ...]]
) -> None:
    query, calls = statement
    result = asyncio.run(prove(shop, make_finding(*calls), query))
    # How fast it is does not matter here; whether the order can be told does not either.
    assert isinstance(result, Advice) or "not faster" in result.reason or "tell ties" in result.reason, (
        f"{result.reason}: {query}"
    )
