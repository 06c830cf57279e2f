"""Which executions become samples, by time, by number and by size."""

from __future__ import annotations

from itertools import pairwise

from proxy.observe.execution import Execution, Kind, Session
from workload.capture.samples import (
    A_FLUSH,
    BYTES_A_FLUSH,
    EARLY,
    LATER,
    MAX_VALUE,
    STATEMENT_A_FLUSH,
    SampleChooser,
    SampleState,
)

KEY = b"k" * 32


def execution(at: float) -> Execution:
    made = Execution(Session(1, "here", 0.0), Kind.EXTENDED, b"SELECT $1", 9, at)
    made.t_done = at
    made.rows = 3
    return made


def offer(chooser: SampleChooser, state: SampleState, at: float, value: bytes = b"v", us: int = 10) -> bool:
    if not chooser.due(state, at, us):
        return False
    chooser.take(state, 1, execution(at), (value,), (25,), (), us)
    return True


def test_early_ones_at_once_later_ones_now_and_then() -> None:
    chooser, state = SampleChooser(KEY, "full"), SampleState()
    taken_at = []
    for eighth in range(800):
        at = eighth / 8
        if offer(chooser, state, at):
            taken_at.append(at)
        if eighth % 8 == 7:
            chooser.drain(0.0)
    assert len([at for at in taken_at if at < EARLY / STATEMENT_A_FLUSH]) == EARLY
    later = taken_at[EARLY:]
    assert later
    assert all(after - before >= LATER for before, after in pairwise(later))


def test_one_that_takes_much_longer_is_taken_in_between() -> None:
    chooser, state = SampleChooser(KEY, "full"), SampleState()
    for second in range(EARLY):
        assert offer(chooser, state, float(second))
        chooser.drain(0.0)
    assert not offer(chooser, state, EARLY + 0.5, us=15)
    assert offer(chooser, state, EARLY + 0.5, us=25)


def test_a_flush_is_bounded_in_number_and_bytes() -> None:
    chooser = SampleChooser(KEY, "full")
    for _ in range(A_FLUSH + 7):
        offer(chooser, SampleState(), 1.0)
    assert len(chooser.drain(0.0)) == A_FLUSH
    assert chooser.dropped == 7
    chooser = SampleChooser(KEY, "full")
    for _ in range(100):
        offer(chooser, SampleState(), 1.0, b"x" * MAX_VALUE)
    assert 0 < len(chooser.drain(0.0)) <= BYTES_A_FLUSH // MAX_VALUE


def test_a_value_that_is_too_long_makes_no_sample() -> None:
    chooser = SampleChooser(KEY, "full")
    offer(chooser, SampleState(), 1.0, b"x" * (MAX_VALUE + 1))
    assert chooser.drain(0.0) == ()
    assert chooser.dropped == 1


def test_modes() -> None:
    shown = {}
    for mode in ("full", "masked", "none"):
        chooser = SampleChooser(KEY, mode)
        offer(chooser, SampleState(), 1.0, b"hidden")
        shown[mode] = [(sample.params, sample.masked, sample.taken_at) for sample in chooser.drain(100.0)]
    assert shown["none"] == []
    assert shown["full"] == [(("hidden",), False, 101.0)]
    ((params, masked, _at),) = shown["masked"]
    assert masked
    assert "hidden" not in str(params)
    assert "6 bytes" in str(params)
