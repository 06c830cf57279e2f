"""Advice end to end on real servers: what is found, what is turned down and why, what stays behind."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from advisor.advise import AdviseError, AdviseReport, advise, load_advice
from advisor.model import Advice, IndexCandidate
from advisor.scratch import ScratchServer
from proxy.dsn import parse_dsn
from workload.store import Store

AddQuery = Callable[..., int]


def indexes(report: AdviseReport) -> dict[str, Advice]:
    """Advised indexes by ``table(column, …)``."""
    found = {}
    for advice in report.advice:
        assert isinstance(advice.candidate, IndexCandidate)
        keys = ", ".join(key.column for key in advice.candidate.keys)
        found[f"{advice.candidate.table}({keys})"] = advice
    return found


def reasons(report: AdviseReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rejection in report.rejections:
        found.setdefault(rejection.what, []).append(rejection.reason)
    return found


def name_of(dsn: str) -> str:
    return parse_dsn(dsn).database


async def build(store: Store, dsn: str) -> AdviseReport:
    return await advise(store, dsn, what_if="build", own_server=True)


async def test_finds_the_missing_indexes_and_proves_them(
    shop: str, store: Store, add_query: AddQuery
) -> None:
    database = name_of(shop)
    lookup = add_query(
        database, "SELECT * FROM orders WHERE customer_id = $1", ("17",), ("4999",), oids=(20,), ms=5000
    )
    add_query(
        database,
        "SELECT id, total FROM orders WHERE status = $1 AND customer_id = $2 ORDER BY created_at DESC LIMIT $3",
        ("open", "12", "10"),
        ms=3000,
    )
    add_query(database, "SELECT sum(quantity) FROM lines WHERE product_id = $1", ("77",), ms=2000)

    report = await build(store, shop)

    found = indexes(report)
    assert "lines(product_id)" in found
    assert any(name.startswith("orders(customer_id") for name in found)
    product = found["lines(product_id)"]
    assert product.proof.method == "build"
    assert product.proof.index_bytes is not None
    assert 100_000 < product.proof.index_bytes < 5_000_000
    assert product.proof.table_rows == pytest.approx(60_000, rel=0.05)
    [gain] = product.gains
    assert gain.cost_after < gain.cost_before * 0.2
    assert product.benefit_ms == pytest.approx(2000 * (1 - gain.cost_after / gain.cost_before), rel=1e-6)
    assert "ix_lines_product_id" not in str(gain.plan_before)
    assert "ix_lines_product_id" in str(gain.plan_after)
    assert product.ddl == (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_lines_product_id ON public.lines USING btree (product_id);"
    )
    assert product.rollback == "DROP INDEX CONCURRENTLY IF EXISTS public.ix_lines_product_id;"
    helped = {gain.query_id for name, a in found.items() if name.startswith("orders") for gain in a.gains}
    assert lookup in helped
    records = store.advice()
    assert [record.id for record in records] == [advice.id for advice in report.advice]
    assert [load_advice(record) for record in records] == list(report.advice)
    assert store.rejections() == [(r.database, r.what, r.reason) for r in report.rejections]
