"""What goes with time, and what stays because somebody may come back to it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select

from workload.model import AdviceRecord, Column, Finding, Sample
from workload.store import advice, findings, pruning, schema
from workload.store.connection import Database
from workload.store.definitions import define_queries, present
from workload.store.errors import StoreError
from workload.store.pruning import prune_queries, prune_statistics
from workload.store.schema import ALL_QUERIES, COARSE_RETENTION, COARSE_SPAN, FINE_RETENTION, TOTAL_SPAN
from workload.store.store import Store
from workload.store.writing import Batch, Increment, NewQuery, write_batch

T0 = 1_800_000_000.0
LATER = T0 + COARSE_RETENTION + 2 * COARSE_SPAN


def ran(connection: Connection, at: float, *fingerprints: str) -> list[int]:
    """Queries that ran once, with an error and a sample each."""
    ids = define_queries(
        connection,
        [NewQuery("shop", each, f"SELECT {each}", "select", (), False, at) for each in fingerprints],
    )
    batch = Batch(at=at)
    for id in ids:
        batch.add(Increment(id, at, calls=1, errors=1, sqlstates={"23505": 1}))
        batch.samples.append(
            Sample(query_id=id, params=(), param_oids=(), duration_ms=1, rows=1, taken_at=at, masked=False)
        )
    write_batch(connection, batch)
    return ids


def finding(id: str, query_id: int, parent: int | None = None, at: float = T0) -> Finding:
    return Finding(
        id=id,
        cls="n_plus_one_read",
        confidence="high",
        title="",
        database="shop",
        query_id=query_id,
        fingerprint="",
        parent_query_id=parent,
        parent_fingerprint=None,
        child=Column(),
        parent=Column(),
        first_seen=at,
        last_seen=at,
        units=1,
        calls=1,
        wasted_ms=1.0,
        evidence={},
        sample_calls=(),
        sample_oids=(),
    )


def advise(connection: Connection, document: object) -> None:
    record = AdviceRecord(
        id=str(document),
        kind="index",
        state="rejected",
        title="",
        database="shop",
        benefit_ms=1.0,
        created_at=T0,
        updated_at=T0,
        reason="",
        document=document if isinstance(document, bytes) else json.dumps(document).encode(),
    )
    advice.save(connection, record)


def rows_about(connection: Connection, ids: Sequence[int]) -> dict[str, int]:
    return {
        table.name: connection.execute(
            select(func.count()).select_from(table).where(table.c.query_id.in_(ids))
        ).scalar_one()
        for table in (schema.statistics, schema.query_error, schema.sample)
    }


def test_queries_that_nobody_saw_for_the_retention_go_with_all_that_is_about_them(opened: Database) -> None:
    with opened.write() as connection:
        old = ran(connection, T0, "aa", "bb")
        new = ran(connection, LATER - 60, "cc")
        prune_statistics(connection, LATER)
        assert prune_queries(connection, LATER) == 2
        assert present(connection, [*old, *new]) == set(new)
        assert rows_about(connection, old) == {"statistics": 0, "query_error": 0, "sample": 0}
        assert rows_about(connection, new) == {"statistics": 3, "query_error": 1, "sample": 1}
        table = schema.statistics.c
        everything = select(table.calls).where(table.query_id == ALL_QUERIES, table.span == TOTAL_SPAN)
        assert connection.execute(everything).scalar() == 3
        assert prune_queries(connection, LATER) == 0


def test_the_last_bucket_of_the_retention_is_kept(opened: Database) -> None:
    with opened.write() as connection:
        (id, _newest) = ran(connection, T0, "aa", "bb")
        horizon = T0 // COARSE_SPAN * COARSE_SPAN + COARSE_RETENTION
        assert prune_queries(connection, horizon) == 0
        assert present(connection, [id]) == {id}
        assert prune_queries(connection, horizon + COARSE_SPAN) == 1


def test_a_query_that_ran_again_is_not_old(opened: Database) -> None:
    with opened.write() as connection:
        ids = ran(connection, T0, "aa", "bb")
        assert ran(connection, LATER, "aa") == ids[:1]
        ran(connection, LATER, "cc")
        assert prune_queries(connection, LATER) == 1
        assert present(connection, ids) == set(ids[:1])


def test_queries_of_advice_and_of_findings_stay(opened: Database) -> None:
    with opened.write() as connection:
        gaining, child, parent, advised_child, nobodys, _newest = ids = ran(
            connection, T0, "aa", "bb", "cc", "dd", "ee", "ff"
        )
        findings.merge_into(connection, finding("seen", child, parent, LATER))
        findings.merge_into(connection, finding("advised", advised_child))
        advise(connection, {"candidate": {"finding_id": "advised", "type": "batch"}, "gains": []})
        advise(connection, {"candidate": {"table": "t"}, "gains": [{"query_id": gaining, "calls": 1}]})
        assert prune_queries(connection, LATER) == 1
        assert present(connection, ids) == {*ids} - {nobodys}
        assert {each.id for each in findings.listed(connection, None)} == {"seen", "advised"}


def test_a_finding_that_was_not_seen_again_goes_and_keeps_no_query(opened: Database) -> None:
    with opened.write() as connection:
        child, parent, newest = ran(connection, T0, "aa", "bb", "cc")
        findings.merge_into(connection, finding("old", child, parent))
        assert prune_queries(connection, LATER) == 3
        assert findings.listed(connection, None) == []
        assert present(connection, [child, parent, newest]) == {newest}


@pytest.mark.parametrize("document", [b"not json", b"[]", {"gains": [{"query": 1}]}, {}])
def test_advice_that_is_not_readable_hinders_nothing(opened: Database, document: object) -> None:
    with opened.write() as connection:
        ran(connection, T0, "aa", "bb")
        advise(connection, document)
        assert prune_queries(connection, LATER) == 1


def test_no_id_is_used_twice(opened: Database) -> None:
    with opened.write() as connection:
        old = ran(connection, T0, "aa", "bb", "cc")
        prune_queries(connection, LATER)
        assert present(connection, old) == {old[-1]}
        (again,) = ran(connection, LATER, "aa")
        assert again not in old


def test_more_than_fit_one_transaction_all_go(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "QUERIES_AT_ONCE", 2)
    with opened.write() as connection:
        ids = ran(connection, T0, *(f"{number:x}" for number in range(8)))
    with Store.open(opened.path) as store:
        store.prune(LATER)
        assert store.present(ids) == {ids[-1]}


def test_the_file_shrinks(opened: Database) -> None:
    with opened.write() as connection:
        ran(connection, T0, *(f"{number:x}" + "x" * 3000 for number in range(200)))

    def pages() -> int:
        with opened.read() as connection:
            return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())

    before = pages()
    with Store.open(opened.path) as store:
        store.prune(LATER)
    assert pages() < before // 2


def test_fine_buckets_go_before_coarse_ones_and_the_horizon_is_noted(opened: Database) -> None:
    with opened.write() as connection:
        (id,) = ran(connection, T0, "aa")
        assert prune_statistics(connection, T0) == 0
        # One row of this query and one of all queries together, a resolution.
        assert prune_statistics(connection, T0 + FINE_RETENTION + COARSE_SPAN) == 2
        spans = select(schema.statistics.c.span).where(schema.statistics.c.query_id == id)
        assert set(connection.execute(spans).scalars()) == {COARSE_SPAN, TOTAL_SPAN}
        assert prune_statistics(connection, LATER) == 2
        assert set(connection.execute(spans).scalars()) == {TOTAL_SPAN}
        horizon = select(schema.meta.c.value).where(schema.meta.c.key == pruning.FINE_HORIZON)
        assert int(connection.execute(horizon).scalar_one()) == (LATER - FINE_RETENTION) // 300 * 300


def test_a_finding_of_a_newer_version_is_an_error_that_says_so(opened: Database) -> None:
    with opened.write() as connection:
        strange = msgspec.json.encode(finding("f", 1)).replace(b"n_plus_one_read", b"of_the_future")
        connection.execute(
            insert(schema.finding).values(id="f", database="shop", wasted_ms=1, document=strange)
        )
    with Store.open(opened.path) as store:
        with pytest.raises(StoreError, match="another version of pgcoach"):
            store.findings()
        with pytest.raises(StoreError, match="another version of pgcoach"):
            store.prune(LATER)
