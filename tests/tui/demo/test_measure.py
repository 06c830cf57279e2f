"""Before and after, query by query."""

from __future__ import annotations

import pytest

from tui.demo.measure import changes, total
from workload.model import Query


def query(id: int, *, calls: int, mean_ms: float, timed_calls: int | None = None) -> Query:
    return Query(
        id=id,
        fingerprint=f"{id:016x}",
        database="shop",
        query=f"SELECT {id}",
        first_seen=0.0,
        last_seen=0.0,
        calls=calls,
        errors=0,
        rows=calls,
        bytes=0,
        timed_calls=calls if timed_calls is None else timed_calls,
        total_ms=calls * mean_ms,
        mean_ms=mean_ms,
        p50_ms=mean_ms,
        p95_ms=mean_ms,
        p99_ms=mean_ms,
        max_ms=mean_ms,
        kind="select",
        tables=(),
        applications=(),
        parse_error=False,
    )


def test_largest_saving_comes_first() -> None:
    before = [query(1, calls=10, mean_ms=4.0), query(2, calls=1_000, mean_ms=1.0)]
    after = [query(1, calls=10, mean_ms=1.0), query(2, calls=1_000, mean_ms=0.5)]
    found = changes(before, after)
    assert [change.query_id for change in found] == [2, 1]
    assert found[0].saved_ms == pytest.approx(500.0)
    assert found[1].factor == pytest.approx(4.0)


def test_what_ran_in_one_run_only_or_without_a_time_is_left_out() -> None:
    before = [query(1, calls=1, mean_ms=1.0), query(2, calls=1, mean_ms=0.0, timed_calls=0)]
    after = [query(2, calls=1, mean_ms=1.0), query(3, calls=1, mean_ms=1.0)]
    assert changes(before, after) == []


def test_a_call_that_got_slower_is_shown_as_such() -> None:
    (change,) = changes([query(1, calls=2, mean_ms=1.0)], [query(1, calls=2, mean_ms=2.0)])
    assert change.factor == pytest.approx(0.5)
    assert change.saved_ms == pytest.approx(-2.0)


def test_totals_of_a_run() -> None:
    run = total("as it is", [query(1, calls=3, mean_ms=2.0), query(2, calls=1, mean_ms=4.0)], 10.0, 11.5)
    assert (run.statements, run.database_ms, run.seconds) == (4, 10.0, 1.5)
