"""Advice end to end on real servers: what is found, what is turned down and why, what stays behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from advisor.advise import GONE, SUPERSEDED, AdviseError, AdviseReport, advise, load_advice
from advisor.model import Advice, BatchCandidate, IndexCandidate
from advisor.scratch import ScratchServer
from proxy.dsn import parse_dsn
from workload.model import AdviceRecord, Column, Finding
from workload.store import Store

AddQuery = Callable[..., int]
MakeWarehouse = Callable[[ScratchServer], str]


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
    warehouse: str, store: Store, add_query: AddQuery
) -> None:
    database = name_of(warehouse)
    lookup = add_query(
        database, "SELECT * FROM orders WHERE customer_id = $1", ("17",), ("4999",), oids=(20,), ms=5000
    )
    add_query(
        database,
        "SELECT id FROM orders WHERE status = $1 AND customer_id = $2 ORDER BY created_at DESC LIMIT $3",
        ("open", "12", "10"),
        ms=3000,
    )
    add_query(database, "SELECT sum(quantity) FROM lines WHERE product_id = $1", ("77",), ms=2000)

    report = await build(store, warehouse)

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
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_lines_product_id "
        "ON public.lines USING btree (product_id);"
    )
    assert product.rollback == "DROP INDEX CONCURRENTLY IF EXISTS public.ix_lines_product_id;"
    helped = {gain.query_id for name, a in found.items() if name.startswith("orders") for gain in a.gains}
    assert lookup in helped
    records = store.advice()
    assert [record.id for record in records] == [advice.id for advice in report.advice]
    assert [load_advice(record) for record in records] == list(report.advice)
    assert store.rejections() == [(r.database, r.what, r.reason) for r in report.rejections]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (
            "SELECT email FROM customers, orders WHERE customer_id = customers.id AND email = $1",
            ("c5@example.org",),
            {"customers(email)", "orders(customer_id)"},
        ),
        (
            "WITH x AS (SELECT * FROM lines WHERE product_id = $1) SELECT * FROM x",
            ("5",),
            {"lines(product_id)"},
        ),
        (
            "SELECT email FROM customers c WHERE c.id = $1 AND EXISTS "
            "(SELECT FROM orders o WHERE o.customer_id = c.id)",
            ("5",),
            {"orders(customer_id)"},
        ),
        ("UPDATE lines SET quantity = $1 WHERE product_id = $2", ("1", "5"), {"lines(product_id)"}),
        ("DELETE FROM lines WHERE product_id = ANY($1)", ("{5,6}",), {"lines(product_id)"}),
        ("SELECT * FROM orders WHERE total = $1", (), {"orders(total)"}),
        ("SELECT * FROM orders ORDER BY total DESC LIMIT $1", ("5",), {"orders(total)"}),
        ("SELECT max(total) FROM orders", (), {"orders(total)"}),
        (
            "SELECT * FROM orders WHERE customer_id = $1 OR total = $2",
            ("5", "600"),
            {"orders(customer_id)", "orders(total)"},
        ),
    ],
)
async def test_the_shapes_that_applications_send(
    pg18: ScratchServer,
    make_warehouse: MakeWarehouse,
    store: Store,
    add_query: AddQuery,
    text: str,
    values: tuple[str, ...],
    expected: set[str],
) -> None:
    dsn = make_warehouse(pg18)
    add_query(name_of(dsn), text, *([values] if values else []))
    report = await build(store, dsn)
    assert set(indexes(report)) == expected, report.rejections
    generic = any("generically" in limit for a in report.advice for limit in a.proof.limits)
    assert generic is (not values and "$" in text)


async def test_what_is_not_advised_has_a_reason(
    pg18: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg18)
    database = name_of(dsn)
    gone = add_query(database, "SELECT * FROM gone WHERE id = $1", ("1",))
    torn = add_query(database, "SELECT * FROM orders WHERE (", parse_error=True)
    add_query(database, "SELECT * FROM orders WHERE created_at > $1", ("2026-01-05",))
    add_query(database, "SELECT * FROM settings WHERE name = $1", ("s5",))
    add_query(database, "SELECT * FROM orders WHERE status IN ($1, $2, $3)", ("open", "paid", "sent"))
    add_query(database, "SELECT * FROM orders WHERE id = $1 AND status = $2", ("5", "open"))
    add_query(database, "VACUUM orders", kind="utility")
    add_query("elsewhere", "SELECT * FROM lines WHERE product_id = $1", ("5",))

    report = await build(store, dsn)

    assert report.advice == ()
    assert store.advice() == []
    why = reasons(report)
    assert "no relation gone" in why[f"query {gone}: SELECT * FROM gone WHERE id = $1"][0]
    assert "parser rejects" in why[f"query {torn}: SELECT * FROM orders WHERE ("][0]
    assert why["index on public.orders (created_at)"] == ["already covered by orders_created"]
    assert "too small" in why["index on public.settings"][0]
    assert "planner does not use it" in why["index on public.orders (status)"][0]
    assert "orders_pkey is unique" in why["index on public.orders (status, id)"][0]
    assert not any("VACUUM" in what or "lines" in what for what in why)


async def test_the_same_store_gives_the_same_advice_and_nothing_stays_in_the_target(
    warehouse: str, store: Store, add_query: AddQuery
) -> None:
    database = name_of(warehouse)
    add_query(database, "SELECT * FROM orders WHERE customer_id = $1", ("17",), ("4999",))
    add_query(database, "SELECT * FROM lines WHERE product_id = $1", ("17",))
    before = schema_of(warehouse)
    first = await build(store, warehouse)
    second = await build(store, warehouse)
    assert len(first.advice) == 2
    assert [without_time(advice) for advice in first.advice] == [without_time(a) for a in second.advice]
    assert first.rejections == second.rejections
    assert len(store.advice()) == 2
    assert schema_of(warehouse) == before


async def test_advice_that_was_taken_is_not_given_again(
    pg18: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg18)
    add_query(name_of(dsn), "SELECT * FROM orders WHERE customer_id = $1", ("17",))
    [advice] = (await build(store, dsn)).advice
    store.set_advice_state(advice.id, "exported")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(advice.ddl.encode())

    again = await build(store, dsn)

    assert again.advice == ()
    assert reasons(again)["index on public.orders (customer_id)"] == [
        "already covered by ix_orders_customer_id"
    ]
    record = store.advice_record(advice.id)
    assert record is not None
    assert (record.state, record.reason) == ("applied", "the target has ix_orders_customer_id")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(advice.rollback.encode())
        assert connection.execute("SELECT to_regclass('ix_orders_customer_id')").fetchone() == (None,)

    assert [item.id for item in (await build(store, dsn)).advice] == [advice.id]
    record = store.advice_record(advice.id)
    assert record is not None
    assert (record.state, record.reason) == ("new", GONE)


async def test_advice_that_a_better_one_replaces_is_withdrawn_and_comes_back(
    pg18: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg18)
    database = name_of(dsn)
    add_query(database, "SELECT * FROM lines WHERE product_id = $1", ("17",), ms=100.0)
    [narrow] = (await build(store, dsn)).advice
    wide_query = add_query(
        database, "SELECT no FROM lines WHERE product_id = $1 AND quantity = $2", ("17", "1"), ms=90_000.0
    )
    [wide] = (await build(store, dsn)).advice
    assert set(indexes(AdviseReport((wide,), (), ()))) == {"lines(product_id, quantity)"}
    states = {record.id: (record.state, record.reason) for record in store.advice()}
    assert states == {wide.id: ("new", ""), narrow.id: ("rejected", SUPERSEDED)}

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE lines SET quantity = 1")
        connection.execute("VACUUM FULL ANALYZE lines")
    [again] = (await build(store, dsn)).advice
    assert again.id == narrow.id
    assert wide_query in {gain.query_id for gain in again.gains}
    states = {record.id: (record.state, record.reason) for record in store.advice()}
    assert states == {narrow.id: ("new", ""), wide.id: ("rejected", SUPERSEDED)}


async def test_a_server_that_goes_away_is_a_clear_error_and_leaves_nothing(
    warehouse: str, store: Store, add_query: AddQuery
) -> None:
    add_query(name_of(warehouse), "SELECT * FROM lines WHERE product_id = $1", ("17",))
    before = schema_of(warehouse)
    ended: list[object] = []

    def end_session(message: str) -> None:
        if message.startswith("building"):
            with psycopg.connect(warehouse, autocommit=True) as connection:
                ended.extend(
                    connection.execute(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                        "WHERE application_name = 'pgcoach' AND datname = current_database()"
                    ).fetchall()
                )

    with pytest.raises(AdviseError, match="cannot be used"):
        await advise(store, warehouse, own_server=True, progress=end_session)
    assert ended == [(True,)]
    assert schema_of(warehouse) == before


async def test_hypopg_is_taken_where_it_is_installed(
    pg15: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg15)
    with psycopg.connect(dsn, autocommit=True) as connection:
        try:
            connection.execute("CREATE EXTENSION hypopg")
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("needs HypoPG: apt-get install postgresql-15-hypopg")
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
    add_query(name_of(dsn), "SELECT * FROM orders WHERE customer_id = $1", ("17",))
    before = schema_of(dsn)
    # A role that may only read is enough.
    report = await advise(store, f"{dsn} user=reader")
    [advice] = report.advice
    assert advice.proof.method == "hypopg"
    assert "ix_orders_customer_id" in str(advice.gains[0].plan_after)
    assert schema_of(dsn) == before


async def test_without_a_way_to_judge_the_run_goes_on_and_says_so(
    pg18: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg18)
    add_query(name_of(dsn), "SELECT * FROM orders WHERE customer_id = $1", ("17",))
    report = await advise(store, dsn)
    assert report.advice == ()
    [note] = report.notes
    assert "hypopg" in note
    assert "--own-server" in note
    assert reasons(report)["index on public.orders (customer_id)"] == ["not judged: see the note"]
    with pytest.raises(AdviseError, match="hypopg"):
        await advise(store, dsn, what_if="hypopg")


async def test_a_role_without_rights_gets_reasons_instead_of_an_error(
    pg15: ScratchServer, make_warehouse: MakeWarehouse, store: Store, add_query: AddQuery
) -> None:
    dsn = make_warehouse(pg15)
    with psycopg.connect(dsn, autocommit=True) as connection:
        try:
            connection.execute("CREATE EXTENSION hypopg")
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("needs HypoPG: apt-get install postgresql-15-hypopg")
        connection.execute("DROP ROLE IF EXISTS outsider")
        connection.execute("CREATE ROLE outsider LOGIN")
    id = add_query(name_of(dsn), "SELECT * FROM orders WHERE customer_id = $1", ("17",))
    report = await advise(store, f"{dsn} user=outsider")
    assert report.advice == ()
    assert "may not read" in reasons(report)[f"query {id}: SELECT * FROM orders WHERE customer_id = $1"][0]
    assert any("GRANT pg_read_all_data TO outsider" in note for note in report.notes)


async def test_a_document_of_another_version_stands_in_nobodys_way(database: str, store: Store) -> None:
    store.save_advice(
        AdviceRecord(
            id="later",
            kind="index",
            state="new",
            title="what a later version thought of",
            database=parse_dsn(database).database,
            benefit_ms=1.0,
            created_at=1.0,
            updated_at=1.0,
            reason="",
            document=b'{"id": "later", "candidate": {"type": "matview"}}',
        )
    )
    assert (await build(store, database)).advice == ()
    assert [(record.id, record.state) for record in store.advice()] == [("later", "new")]


async def test_an_empty_store_says_what_to_do(database: str, store: Store) -> None:
    report = await advise(store, database)
    assert report.advice == ()
    assert any("send its traffic through the proxy" in note for note in report.notes)


@pytest.mark.parametrize(
    "target", ["host=/nonexistent dbname=x user=y", "host=127.0.0.1 port=1 dbname=x user=y", "nonsense=1"]
)
async def test_an_unreachable_target_is_a_clear_error(store: Store, target: str) -> None:
    with pytest.raises(AdviseError):
        await advise(store, target)


async def test_progress_is_told(warehouse: str, store: Store, add_query: AddQuery) -> None:
    add_query(name_of(warehouse), "SELECT * FROM lines WHERE product_id = $1", ("17",))
    said: list[str] = []
    await advise(store, warehouse, own_server=True, progress=said.append)
    assert said[0].startswith("reading the catalog")
    assert any("ix_lines_product_id" in message for message in said)


def loop(query_id: int, database: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "id": "1",
        "cls": "n_plus_one_read",
        "confidence": "high",
        "title": "lines by product_id",
        "database": database,
        "query_id": query_id,
        "fingerprint": "f" * 16,
        "parent_query_id": None,
        "parent_fingerprint": None,
        "child": Column(schema="public", table="lines", column="product_id"),
        "parent": Column(),
        "first_seen": 1.0,
        "last_seen": 2.0,
        "units": 3,
        "calls": 60,
        "wasted_ms": 100.0,
        "evidence": {},
        "sample_calls": tuple((str(key),) for key in range(1, 21)),
        "sample_oids": (23,),
    }
    return Finding(**{**values, **changes})


async def test_one_loop_gets_one_statement_and_mere_repetition_none(
    warehouse: str, store: Store, add_query: AddQuery
) -> None:
    database = name_of(warehouse)
    query = add_query(database, "SELECT no, quantity FROM lines WHERE product_id = $1", ("17",), oids=(23,))
    store.merge_finding(
        loop(query, database, id="1", confidence="medium", title="no parent seen", wasted_ms=900.0)
    )
    store.merge_finding(loop(query, database, id="2", title="for each product"))
    store.merge_finding(
        loop(query, database, id="3", cls="repeated_query", confidence="low", title="repeated")
    )
    report = await advise(store, warehouse, own_server=True)
    batches = [advice for advice in report.advice if isinstance(advice.candidate, BatchCandidate)]
    assert [advice.candidate.finding_id for advice in batches] == ["2"]  # type: ignore[union-attr]
    why = reasons(report)
    assert why["no parent seen"] == ["the same statement for another finding covers it"]
    assert why["repeated"] == ["repetition alone does not show that it is a loop"]


def without_time(advice: Advice) -> Advice:
    return replace(advice, proof=replace(advice.proof, made_at=0.0))


def schema_of(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT relname, relkind, relfilenode FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
