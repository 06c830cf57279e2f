from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload.capture.messages import Step
from workload.detect.cost import loop_cost


def step(rows: int, took_us: int) -> Step:
    return Step(1, (), 0, rows, took_us, 0, 0, 0)


def test_a_line_through_durations_over_rows() -> None:
    cost = loop_cost([step(rows, 1_000 + 100 * rows) for rows in (0, 1, 2, 5)], 0, 0)
    assert cost.spent == pytest.approx(4 + 0.8)
    assert cost.batch == pytest.approx(1.0 + 0.8)
    assert cost.wasted == pytest.approx(3.0)


def test_without_any_time_nothing_is_wasted() -> None:
    assert loop_cost([step(1, -1)] * 5, 0, 0).wasted == 0


def test_dropped_calls_cost_and_bring_rows_as_the_others() -> None:
    cost = loop_cost([step(rows, 1_000 + 100 * rows) for rows in (0, 2)], 2, 2_200)
    assert cost.spent == pytest.approx(2.2 + 2.2)
    assert cost.batch == pytest.approx(1.0 + 0.4)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(-1, 10**6)), min_size=1), st.integers(0, 100))
def test_waste_is_between_nothing_and_everything(calls: list[tuple[int, int]], dropped: int) -> None:
    cost = loop_cost([step(rows, took) for rows, took in calls], dropped, dropped * 100)
    assert 0 <= cost.wasted <= cost.spent + 1e-9
