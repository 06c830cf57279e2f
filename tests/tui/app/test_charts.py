"""Block charts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.app.charts import axis, bar, columns, latency_bands, resample


def test_columns_reach_from_zero_to_the_greatest_value() -> None:
    assert columns([0, 1, 2, 4], 4, 2) == ["   █", " ▄██"]


def test_a_little_is_never_drawn_as_nothing() -> None:
    assert columns([1, 10_000], 2, 1) == ["▁█"]
    assert bar(0.0001, 5) == "▏    "
    assert bar(0, 5) == "     "
    assert bar(2.0, 3) == "███"


def test_no_traffic_draws_blanks() -> None:
    assert columns([0, 0], 4, 2) == ["    ", "    "]
    assert columns([], 4, 1) == [""]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200), st.integers(1, 80))
def test_resampling_keeps_the_width_and_the_peak(values: list[float], width: int) -> None:
    resampled = resample(values, width)
    assert len(resampled) == width
    assert max(resampled) == max(values)


def test_axis_drops_what_does_not_fit_from_the_right() -> None:
    assert axis("-9 min", ["10 calls", "peak 3/s"], 40).startswith("-9 min")
    assert "10 calls · peak 3/s" in axis("-9 min", ["10 calls", "peak 3/s"], 40)
    narrow = axis("-9 min", ["10 calls", "peak 3/s"], 24)
    assert "10 calls" in narrow
    assert "peak" not in narrow
    assert axis("-9 min", ["10 calls"], 7) == "-9 min"


@pytest.mark.parametrize("width", [20, 40, 79])
def test_axis_fills_the_width(width: int) -> None:
    assert len(axis("-9 min", ["10 calls"], width)) == width


def test_bands_are_in_steps_of_1_2_5_and_keep_the_gaps() -> None:
    bands = latency_bands({0.15: 3, 0.3: 2, 4.0: 1})
    assert [round(band.low_ms, 6) for band in bands] == [0.1, 0.2, 0.5, 1, 2]
    assert [round(band.high_ms, 6) for band in bands] == [0.2, 0.5, 1, 2, 5]
    assert [band.calls for band in bands] == [3, 2, 0, 0, 1]


def test_nothing_measured_has_no_bands() -> None:
    assert latency_bands({}) == []
    assert latency_bands({3.0: 0}) == []


@given(st.dictionaries(st.floats(0.001, 8.64e7), st.integers(1, 1000), min_size=1, max_size=60))
def test_no_call_is_lost_between_bands(latencies: dict[float, int]) -> None:
    bands = latency_bands(latencies)
    assert sum(band.calls for band in bands) == sum(latencies.values())
    assert len(bands) <= 12
    assert all(left.high_ms == right.low_ms for left, right in pairwise(bands))
