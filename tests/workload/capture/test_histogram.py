"""The latency histogram: its error, its merging, its bytes."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload.capture.histogram import MAX_INDEX, Histogram, index_of, merged, value_of

durations = st.lists(st.floats(min_value=1.0, max_value=86_400e6), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(durations, st.floats(min_value=0.0, max_value=1.0))
def test_percentiles_are_within_one_percent_of_the_nearest_rank(values: list[float], q: float) -> None:
    exact = sorted(values)[max(1, ceil(q * len(values) - 1e-9)) - 1]
    assert filled(values).percentile(q) == pytest.approx(exact, rel=0.0101)


@given(durations, durations)
def test_merging_is_the_same_as_having_seen_everything(left: list[float], right: list[float]) -> None:
    histogram = filled(left)
    histogram.merge(filled(right).counts)
    assert histogram.counts == filled(left + right).counts


@given(st.dictionaries(st.integers(0, MAX_INDEX), st.integers(1, 2**60), max_size=80))
def test_bytes_round_trip(counts: dict[int, int]) -> None:
    assert Histogram.from_bytes(Histogram(counts).to_bytes()).counts == counts


def test_buckets_are_two_percent_wide_and_never_run_away() -> None:
    assert value_of(501) / value_of(500) == pytest.approx(1.02)
    assert index_of(0.0) == index_of(-5.0) == index_of(1.0) == 0
    assert index_of(1e30) == MAX_INDEX
    assert MAX_INDEX < 1300


def test_empty_histogram() -> None:
    assert Histogram().percentile(0.5) == 0.0
    assert Histogram().to_bytes() == b""
    assert Histogram.from_bytes(b"").counts == {}


def test_several_percentiles_come_in_the_asked_order() -> None:
    histogram = filled([100.0] * 90 + [10_000.0] * 9 + [1e6])
    p99, p50, p100 = histogram.percentiles((0.99, 0.5, 1.0))
    assert p50 == pytest.approx(100, rel=0.01)
    assert p99 == pytest.approx(10_000, rel=0.01)
    assert p100 == pytest.approx(1e6, rel=0.01)


def test_small_counts_take_three_bytes_a_bucket() -> None:
    assert len(filled([100.0, 200.0, 400.0]).to_bytes()) == 1 + 3 * 3


def test_merged_blobs_and_garbage() -> None:
    assert merged([filled([5.0]).to_bytes(), b"", filled([5.0]).to_bytes()]).total == 2
    for garbage in (b"\x03abc", b"\x01a", b"\x00\x00\x00"):
        with pytest.raises(ValueError, match="not a latency histogram"):
            Histogram.from_bytes(garbage)
