"""Executions between their completion and their ReadyForQuery."""

from __future__ import annotations

from proxy.observe.delivery import Delivery
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Rows, Session
from proxy.observe.limits import TapLimits
from proxy.observe.memory import Budget
from tests.proxy.wirekit import Recorder

SESSION = Session(1, "", 0.0)


def execution(sql: bytes = b"select 1", kind: Kind = Kind.SIMPLE, result: int = 0) -> Execution:
    made = Execution(SESSION, kind, sql, len(sql), 1.0)
    if result:
        made.row_data = Rows([bytes(result)], 0, 1, result)
    return made


def test_held_until_ready_and_then_in_order_with_the_status() -> None:
    observer = Recorder()
    delivery = Delivery(observer, TapLimits(), Budget(1 << 30))
    first, second = execution(), execution()
    delivery.add(first)
    delivery.add(second)
    assert observer.executions == []
    delivery.ready(7.0, ord("T"))
    assert observer.executions == [first, second]
    assert [(e.t_ready, e.transaction) for e in observer.executions] == [(7.0, ord("T"))] * 2
    delivery.ready(8.0, ord("I"))
    assert len(observer.executions) == 2


def test_a_full_window_is_delivered_without_a_time_of_its_own() -> None:
    observer = Recorder()
    delivery = Delivery(observer, TapLimits(window=2), Budget(1 << 30))
    for _ in range(3):
        delivery.add(execution())
    assert [(e.quality, e.statements, e.t_ready) for e in observer.executions] == [
        (Quality.SHARED, 0, 0.0),
        (Quality.SHARED, 0, 0.0),
    ]
    assert len(delivery.done) == 1


def test_results_are_bounded_together_and_let_go_with_their_executions() -> None:
    observer = Recorder()
    delivery = Delivery(observer, TapLimits(window_result_bytes=100), Budget(1 << 30))
    kept, dropped, small = execution(result=60), execution(result=41), execution(result=40)
    for one in (kept, dropped, small):
        delivery.add(one)
    assert (kept.row_data is None, dropped.row_data is None, small.row_data is None) == (False, True, False)
    assert observer.counters == {"bypass.rows": 1}
    assert delivery.results == 100
    delivery.ready(1.0, 0x49)
    assert delivery.results == 0


def test_results_after_a_full_window_count_from_the_first_one_on() -> None:
    observer = Recorder()
    delivery = Delivery(observer, TapLimits(window=1, window_result_bytes=100), Budget(1 << 30))
    delivery.add(execution(result=60))
    second = execution(result=60)
    delivery.add(second)
    assert delivery.results == 60
    assert second.row_data is not None


def test_a_message_of_several_statements_tells_each_how_many() -> None:
    delivery = Delivery(Recorder(), TapLimits(), Budget(1 << 30))
    text = b"select 1; execute p"
    plain, prepared, extended = execution(text), execution(b"select $1"), execution(text, Kind.EXTENDED)
    for one in (plain, prepared, extended):
        delivery.add(one)
    delivery.batch(text, 2, failed=False)
    assert [e.statements for e in delivery.done] == [2, 1, 1]
    assert [e.quality for e in delivery.done] == [Quality.SHARED, Quality.SHARED, Quality.EXACT]


def test_the_total_of_a_message_that_failed_is_unknown() -> None:
    delivery = Delivery(Recorder(), TapLimits(), Budget(1 << 30))
    text = b"select 1; select 1/0"
    delivery.add(execution(text))
    delivery.batch(text, 1, failed=True)
    assert delivery.done[0].statements == 0


def test_giving_up_delivers_what_is_done_and_aborts_the_rest() -> None:
    observer = Recorder()
    delivery = Delivery(observer, TapLimits(), Budget(1 << 30))
    done, pending = execution(), execution()
    pending.stalled = 5.0
    delivery.add(done)
    delivery.give_up([pending])
    assert observer.executions == [done, pending]
    assert (done.outcome, done.statements) == (Outcome.OK, 0)
    assert (pending.outcome, pending.quality, pending.stalled) == (Outcome.ABORTED, Quality.PARTIAL, 0.0)
    assert delivery.done == []


def test_giving_up_never_raises() -> None:
    class Broken(Recorder):
        def executed(self, execution: Execution) -> None:
            raise RuntimeError("no")

    delivery = Delivery(Broken(), TapLimits(), Budget(1 << 30))
    delivery.add(execution())
    delivery.give_up([execution()])
    assert delivery.done == []
