"""The document that a person reviews: what it says of a chosen index, and what it owns up to."""

from __future__ import annotations

from typing import Any

import msgspec

from advisor.catalog import Catalog, Relation, TableColumn
from advisor.choose.greedy import Chosen, Gain
from advisor.index_advice import advice_id, index_advice
from advisor.model import Advice, IndexCandidate, IndexKey
from advisor.propose.indexes import ProposedIndex
from advisor.prove.explain import Explained
from workload.model import Query
from workload.plans.model import parse_plan

RELATION = Relation(
    oid=1,
    schema="public",
    name="orders",
    kind="r",
    rows=40_000.0,
    pages=500,
    bytes=4_096_000,
    readable=True,
    has_statistics=True,
    columns={"a": TableColumn("a", "integer", True, 10.0, 0.0, 4, 0.0)},
    indexes=(),
)
CATALOG = Catalog(
    database="shop",
    version="18.4",
    version_num=180004,
    user="app",
    superuser=False,
    in_recovery=False,
    search_path=("public",),
    relations={("public", "orders"): RELATION},
    extensions={},
    available_extensions=frozenset(),
)
CANDIDATE = IndexCandidate(
    schema="public", table="orders", keys=(IndexKey(column="a", descending=True),), name="ix_orders_a"
)


def query(id: int, text: str, kind: str = "select", calls: int = 7) -> Query:
    return Query(
        id=id,
        fingerprint=f"{id:016x}",
        database="shop",
        query=text,
        first_seen=0.0,
        last_seen=0.0,
        calls=calls,
        errors=0,
        rows=0,
        bytes=0,
        timed_calls=calls,
        total_ms=100.0,
        mean_ms=1.0,
        p50_ms=1.0,
        p95_ms=1.0,
        p99_ms=1.0,
        max_ms=1.0,
        kind=kind,
        tables=("orders",),
        applications=(),
        parse_error=False,
    )


def explained(*costs: float, generic: bool = False) -> Explained:
    documents: tuple[dict[str, Any], ...] = tuple(
        {"Plan": {"Node Type": "Seq Scan", "Total Cost": cost}} for cost in costs
    )
    return Explained(documents, tuple(parse_plan(document) for document in documents), generic)


def advise(gain: Gain, *queries: Query, together: tuple[str, ...] = ()) -> Advice:
    chosen = Chosen(ProposedIndex(CANDIDATE, 1, (1,), 100.0), (gain,), 80.0, 1_000_000, together)
    return index_advice(chosen, CATALOG, {q.id: q for q in queries}, "hypopg", 5.0)


def test_what_it_says() -> None:
    gain = Gain(1, explained(100.0, 300.0), explained(50.0, 30.0), 80.0)
    advice = advise(gain, query(1, "SELECT * FROM orders WHERE a = $1"))
    assert advice.title == "Index orders (a DESC)"
    assert advice.ddl.endswith("ix_orders_a ON public.orders USING btree (a DESC);")
    assert advice.rollback == "DROP INDEX CONCURRENTLY IF EXISTS public.ix_orders_a;"
    assert (advice.proof.method, advice.proof.server_version, advice.proof.made_at) == ("hypopg", "18.4", 5.0)
    assert (advice.proof.index_bytes, advice.proof.table_bytes, advice.proof.table_rows) == (
        1_000_000,
        4_096_000,
        40_000.0,
    )
    [shown] = advice.gains
    assert (shown.cost_before, shown.cost_after, shown.calls) == (200.0, 40.0, 7)
    # The plans are those of the sample that gains most.
    assert shown.plan_before["Plan"]["Total Cost"] == 300.0
    assert shown.plan_after["Plan"]["Total Cost"] == 30.0
    assert msgspec.json.decode(msgspec.json.encode(advice), type=Advice) == advice


def test_what_it_owns_up_to() -> None:
    gain = Gain(1, explained(100.0, generic=True), explained(10.0, generic=True), 80.0)
    text = "SELECT * FROM orders WHERE a IN ($1 /*, ... */)"
    writes = query(2, "UPDATE public.orders SET a = $1", "update", calls=1_234)
    limits = " ".join(advise(gain, query(1, text), writes, together=("ix_b",)).proof.limits)
    for phrase in ("estimate", "generically", "first member", "together with ix_b", "1,234 writes"):
        assert phrase in limits
    plain = advise(
        Gain(1, explained(9.0), explained(1.0), 80.0), query(1, "SELECT * FROM orders WHERE a = 1")
    )
    for phrase in ("generically", "first member", "together with", "writes"):
        assert phrase not in " ".join(plain.proof.limits)


def test_the_id_is_of_what_is_proposed_where() -> None:
    assert advice_id("shop", CANDIDATE) == advice_id(
        "shop", msgspec.structs.replace(CANDIDATE, why="x", name="y")
    )
    others = [
        ("copy", CANDIDATE),
        ("shop", msgspec.structs.replace(CANDIDATE, schema="archive")),
        ("shop", msgspec.structs.replace(CANDIDATE, keys=(IndexKey(column="a"),))),
        ("shop", msgspec.structs.replace(CANDIDATE, include=("b",))),
    ]
    ids = {advice_id(database, candidate) for database, candidate in others}
    assert len(ids | {advice_id("shop", CANDIDATE)}) == 5
