"""Rows of the lists: shares, flags, orders."""

from __future__ import annotations

import msgspec
import pytest

from tui.app.rows import (
    QUERY_COLUMNS,
    class_label,
    column,
    finding_order,
    inbox_order,
    query_rows,
    sort_rows,
    state_label,
)
from workload.model import AdviceRecord, Column, Finding, Query


def query(id: int, **changes: object) -> Query:
    plain = Query(
        id=id,
        fingerprint=f"{id:016x}",
        database="shop",
        query=f"SELECT\n {id}",
        first_seen=0,
        last_seen=50,
        calls=10,
        errors=0,
        rows=10,
        bytes=0,
        timed_calls=10,
        total_ms=30,
        mean_ms=3,
        p50_ms=3,
        p95_ms=4,
        p99_ms=5,
        max_ms=6,
        kind="select",
        tables=(),
        applications=(),
        parse_error=False,
    )
    return msgspec.structs.replace(plain, **changes)


def record(id: str, state: str, benefit_ms: float) -> AdviceRecord:
    return AdviceRecord(
        id=id,
        kind="index",
        state=state,
        title=id,
        database="shop",
        benefit_ms=benefit_ms,
        created_at=0,
        updated_at=0,
        reason="",
        document=b"{}",
    )


def test_load_is_the_share_of_all_shown() -> None:
    rows = query_rows([query(1, total_ms=75), query(2, total_ms=25)])
    assert [row.load for row in rows] == [0.75, 0.25]
    assert query_rows([query(1, total_ms=0)])[0].load == 0


def test_flags_say_what_is_known() -> None:
    rows = query_rows(
        [query(1, errors=1, p95_ms=100), query(2), query(3, p95_ms=500, timed_calls=0)], {1}, {1, 2}
    )
    assert [row.flags for row in rows] == ["NASE", "A", ""]


def test_a_query_without_own_times_shows_none() -> None:
    (row,) = query_rows([query(1, timed_calls=0)])
    cells = {each.key: each.cell(row, 60.0) for each in QUERY_COLUMNS}
    assert cells["mean"] == cells["p95"] == "–"
    assert cells["query"] == "SELECT 1"
    assert cells["seen"] == "10 s"


def test_sorting_is_stable_under_refresh() -> None:
    rows = query_rows([query(2, calls=5), query(1, calls=5), query(3, calls=9)])
    assert [row.query.id for row in sort_rows(rows, "calls", True)] == [3, 1, 2]
    assert [row.query.id for row in sort_rows(reversed(rows), "calls", True)] == [3, 1, 2]
    assert [row.query.id for row in sort_rows(rows, "query", False)] == [1, 2, 3]


def test_every_column_sorts_every_row() -> None:
    rows = query_rows([query(1), query(2, total_ms=1)])
    for each in QUERY_COLUMNS:
        assert {row.query.id for row in sort_rows(rows, each.key, each.descending)} == {1, 2}
    with pytest.raises(KeyError):
        column("colour")


def test_columns_fit_80_cells_with_room_for_the_query() -> None:
    narrow = [each for each in QUERY_COLUMNS if not each.wide]
    taken = sum(each.width for each in narrow) + 2 * len(narrow) + 3
    assert 80 - taken >= 20


def test_inbox_shows_what_needs_a_decision_first() -> None:
    records = [
        record("rejected", "rejected", 900),
        record("accepted", "accepted", 50),
        record("small", "new", 1),
        record("big", "new", 100),
    ]
    assert [each.id for each in inbox_order(records)] == ["big", "small", "accepted", "rejected"]


def test_states_carry_a_sign_and_a_word() -> None:
    assert state_label("accepted") == "✓ accepted"
    assert state_label("from the future") == "? from the future"


def finding(id: str, wasted_ms: float) -> Finding:
    return Finding(
        id=id,
        cls="n_plus_one_read",
        confidence="high",
        title=id,
        database="shop",
        query_id=1,
        fingerprint="0" * 16,
        parent_query_id=None,
        parent_fingerprint=None,
        child=Column(),
        parent=Column(),
        first_seen=0,
        last_seen=0,
        units=1,
        calls=1,
        wasted_ms=wasted_ms,
        evidence={},
        sample_calls=(),
        sample_oids=(),
    )


def test_findings_come_by_waste() -> None:
    assert [each.id for each in finding_order([finding("a", 1), finding("b", 2)])] == ["b", "a"]
    assert class_label(finding("a", 1)) == "N+1 read"
