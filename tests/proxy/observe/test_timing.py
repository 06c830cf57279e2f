"""The clockwork on its own: instants in, service time and stall out."""

from __future__ import annotations

from proxy.observe.execution import Execution, Kind, Quality, Session
from proxy.observe.timing import Timing


def sent(at: float, timing: Timing) -> Execution:
    execution = Execution(Session(1, "", 0.0), Kind.SIMPLE, b"", 0, at)
    execution.stalled = timing.stalled_until(at)
    return execution


def finished(execution: Execution, timing: Timing, at: float) -> tuple[float, float, Quality]:
    timing.finish(execution, at)
    return execution.t_start, execution.stalled, execution.quality


def test_begins_when_sent_if_nothing_is_before_it() -> None:
    timing = Timing()
    assert finished(sent(5.0, timing), timing, 7.0) == (5.0, 0.0, Quality.EXACT)


def test_begins_when_the_one_before_is_done() -> None:
    timing = Timing()
    first, second = sent(5.0, timing), sent(5.0, timing)
    timing.finish(first, 7.0)
    assert finished(second, timing, 8.0) == (7.0, 0.0, Quality.EXACT)


def test_begins_after_the_window_before_is_ready() -> None:
    timing = Timing()
    second = sent(5.0, timing)
    timing.ready(7.5)
    assert finished(second, timing, 8.0)[0] == 7.5


def test_done_in_the_same_instant_as_the_one_before() -> None:
    timing = Timing()
    first, second = sent(5.0, timing), sent(5.0, timing)
    timing.finish(first, 7.0)
    assert finished(second, timing, 7.0)[2] == Quality.SHARED


def test_a_clock_that_stands_still_is_no_reason_for_doubt() -> None:
    timing = Timing()
    timing.finish(sent(7.0, timing), 7.0)
    assert finished(sent(7.0, timing), timing, 7.0)[2] == Quality.EXACT


def test_a_stall_that_lasts_is_counted_up_to_now() -> None:
    timing = Timing()
    execution = sent(1.0, timing)
    timing.pause_server(2.0)
    assert finished(execution, timing, 5.0) == (1.0, 3.0, Quality.CLIENT_BOUND)
    after = sent(6.0, timing)
    timing.resume_server(7.0)
    assert finished(after, timing, 9.0) == (6.0, 1.0, Quality.CLIENT_BOUND)


def test_a_stall_between_sending_and_beginning_is_not_its_own() -> None:
    timing = Timing()
    first, second = sent(1.0, timing), sent(1.0, timing)
    timing.pause_server(2.0)
    timing.resume_server(4.0)
    assert finished(first, timing, 5.0)[1] == 2.0
    assert finished(second, timing, 6.0) == (5.0, 0.0, Quality.EXACT)


def test_feeding_a_copy_is_stall_except_where_the_server_was_busy() -> None:
    timing = Timing()
    execution = sent(0.0, timing)
    timing.copy_begins(1.0)
    timing.pause_client(2.0)
    timing.resume_client(5.0)
    timing.copy_data_ended(7.0)
    timing.copy_data_ended(7.5)
    assert finished(execution, timing, 8.0)[1] == 3.0


def test_resuming_what_was_not_paused_changes_nothing() -> None:
    timing = Timing()
    timing.resume_server(3.0)
    timing.resume_client(3.0)
    assert timing.stalled_until(9.0) == 0.0
