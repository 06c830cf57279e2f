"""Reading over spans of time: nothing counted twice, nothing left out, coarse where fine ones are gone."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from workload.capture.histogram import index_of
from workload.store import queries
from workload.store.connection import Database
from workload.store.definitions import define_queries
from workload.store.errors import StoreError
from workload.store.pruning import prune_statistics
from workload.store.queries import FINE_SERIES, segments
from workload.store.schema import COARSE_SPAN, FINE_RETENTION, FINE_SPAN
from workload.store.writing import Batch, Increment, NewQuery, write_batch

T0 = 1_800_000_000.0


def define(connection: Connection, fingerprint: str = "aa") -> int:
    new = NewQuery("shop", fingerprint, f"SELECT {fingerprint}", "select", ("t",), False, T0)
    return define_queries(connection, [new])[0]


def ran(connection: Connection, id: int, at: float, us: int = 1000, calls: int = 1, **more: int) -> None:
    batch = Batch(at=at)
    increment = Increment(id, at, calls=calls, timed_calls=calls, total_us=calls * us, max_us=us)
    increment.histogram = {index_of(us): calls} if calls else {}
    for name, value in more.items():
        setattr(increment, name, value)
    batch.add(increment)
    write_batch(connection, batch)


def read(connection: Connection, id: int, since: float | None, until: float | None) -> int:
    found = queries.find(connection, id, since=since, until=until)
    return 0 if found is None else found.calls


@given(
    st.integers(0, 5000),
    st.one_of(st.none(), st.integers(0, 5000)),
    st.integers(0, 5000),
)
def test_segments_cover_a_span_once(since: int, until: int | None, horizon_at: int) -> None:
    horizon = horizon_at // COARSE_SPAN * COARSE_SPAN
    pieces = segments(float(since), None if until is None else float(until), float(horizon))
    covered: list[tuple[float, float]] = sorted((low, high) for _span, low, high in pieces)
    assert all(before[1] == after[0] for before, after in pairwise(covered))
    for span, low, high in pieces:
        assert low % span == 0
        assert high == inf or high % span == 0
    if until is None:
        assert covered[-1][1] == inf
    if until is not None and until <= since:
        return
    assert covered[0][0] <= since
    assert until is None or covered[-1][1] >= until
    # After the horizon, where fine buckets are, the span is rounded to these only.
    if since >= horizon:
        assert covered[0][0] > since - FINE_SPAN
    if until is not None and since >= horizon and until > horizon:
        assert covered[-1][1] < until + FINE_SPAN


def test_a_span_counts_what_is_in_it_to_a_fine_bucket(opened: Database) -> None:
    with opened.write() as connection:
        id = define(connection)
        for second in range(0, 1200, 10):
            ran(connection, id, T0 + second)
        assert read(connection, id, T0 + 100, T0 + 900) == 80
        assert read(connection, id, T0 + 105, T0 + 895) == 80
        assert read(connection, id, T0, None) == read(connection, id, None, None) == 120
        assert read(connection, id, T0 + 1200, None) == 0
        assert read(connection, id, None, T0) == 0


def test_a_chart_of_long_ago_is_drawn_from_the_buckets_that_are_left(opened: Database) -> None:
    with opened.write() as connection:
        id = define(connection)
        ran(connection, id, T0)
        ran(connection, id, T0 + 20, calls=2)
        hour = (T0, T0 + FINE_SERIES)
        points = queries.series(connection, id, *hour)
        assert [(point.seconds, point.calls) for point in points] == [(FINE_SPAN, 1), (FINE_SPAN, 2)]
        prune_statistics(connection, T0 + FINE_RETENTION + 2 * COARSE_SPAN)
        points = queries.series(connection, id, *hour)
        assert [(point.seconds, point.calls) for point in points] == [(COARSE_SPAN, 3)]


def test_a_percentile_is_never_above_the_longest(opened: Database) -> None:
    with opened.write() as connection:
        id = define(connection)
        ran(connection, id, T0, us=1001)
        query = queries.find(connection, id)
        assert query is not None
        assert query.p50_ms <= query.p99_ms <= query.max_ms == 1.001
        (point,) = queries.series(connection, id, T0, T0 + 10)
        assert point.p95_ms <= 1.001


def test_a_query_without_times_has_none_and_divides_by_nothing(opened: Database) -> None:
    with opened.write() as connection:
        id = define(connection)
        ran(connection, id, T0, us=0, calls=0, errors=3)
        query = queries.find(connection, id)
        assert query is not None
        assert (query.errors, query.mean_ms, query.p99_ms, query.max_ms) == (3, 0.0, 0.0, 0.0)
        assert [each.id for each in queries.listed(connection, order="mean_ms")] == [id]


@pytest.mark.parametrize("order", get_args(queries.Order))
def test_every_order_puts_the_largest_first_and_takes_a_limit(opened: Database, order: str) -> None:
    with opened.write() as connection:
        small, large = define(connection, "aa"), define(connection, "bb")
        ran(connection, small, T0, us=100, errors=1, rows=1, bytes=1)
        for at in (T0 + 1, T0 + 2):
            ran(connection, large, at, us=9000, errors=2, rows=2, bytes=2)
        found = queries.listed(connection, order=order)
        # Both were first seen when they were defined, and then the id decides.
        expected = [small, large] if order == "first_seen" else [large, small]
        assert [each.id for each in found] == expected
        assert [each.id for each in queries.listed(connection, order=order, limit=1)] == expected[:1]


def test_an_unknown_order_names_those_that_there_are(opened: Database) -> None:
    with opened.read() as connection, pytest.raises(StoreError, match="total_ms, mean_ms"):
        queries.listed(connection, order="; DROP TABLE query")


def test_search_takes_what_is_typed_literally(opened: Database) -> None:
    with opened.write() as connection:
        for fingerprint in ("a_b", "axb", "100%"):
            ran(connection, define(connection, fingerprint), T0)
        for search, found in (("a_b", ["a_b"]), ("%", ["100%"]), ("SELECT A", ["a_b", "axb"]), ("zz", [])):
            assert sorted(each.fingerprint for each in queries.listed(connection, search=search)) == found
