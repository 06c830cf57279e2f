"""What many sessions make the observer keep is bounded together; what is beyond is counted (F6)."""

from __future__ import annotations

import tracemalloc

import pytest

from proxy.observe.execution import Outcome
from proxy.observe.memory import ALLOWANCE
from proxy.observe.tap import Budget, TapLimits
from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    CloseComplete,
    CloseStatement,
    Complete,
    Execute,
    Parse,
    ParseComplete,
    Query,
    RowDescription,
    Script,
    Sync,
    Z,
    client,
    ran,
    server,
)

LIMITS = TapLimits()
TEXT = "select " + "x" * 60_000


def sessions(count: int, budget: Budget) -> list[Script]:
    return [Script(limits=LIMITS, budget=budget) for _ in range(count)]


def counted(scripts: list[Script], counter: str) -> int:
    return sum(script.observer.counters.get(counter, 0) for script in scripts)


def test_f6_prepared_statements_of_all_sessions_are_bounded_together() -> None:
    budget = Budget(1_000_000)
    scripts = sessions(10, budget)
    for number in range(10):
        for script in scripts:
            script >> client(Parse(TEXT, f"s{number}"), Sync) >> server(ParseComplete, Z())
    kept = sum(len(script.tap._state.statements.live) for script in scripts)
    assert kept * len(TEXT) <= 1_000_000 + 10 * ALLOWANCE
    assert kept >= 16
    # What does not fit is either not kept when it is sent, or unknown once it is there.
    assert counted(scripts, "bypass.names") + counted(scripts, "bypass.sql") > 0
    assert budget.taken <= 1_000_000
    for script in scripts:
        # Traffic of theirs is still understood, if not always named.
        script >> client(Query("select 1")) >> server(Complete("SELECT 1"), Z())
        script << ran("select 1")
        script.ends()
        script.tap.closed(script.now)
    assert budget.taken == 0


def test_f6_closing_statements_gives_room_to_others() -> None:
    budget = Budget(3 * 64 * 1024)
    greedy, other = sessions(2, budget)
    for number in range(4):
        greedy >> client(Parse(TEXT, f"s{number}"), Sync) >> server(ParseComplete, Z())
    other >> client(Parse(TEXT, "a"), Sync, Parse(TEXT, "b"), Sync)
    assert counted([other], "bypass.sql") > 0
    for number in range(4):
        greedy >> client(CloseStatement(f"s{number}"), Sync) >> server(CloseComplete, Z())
    assert budget.taken == 0


def test_f6_pipelines_nobody_answers_are_bounded_together() -> None:
    """The server holds its answers back for kilobytes, and with them every value sent meanwhile."""
    budget = Budget(2_000_000)
    scripts = sessions(5, budget)
    value = "v" * 8_000
    tracemalloc.start()
    for script in scripts:
        script >> client(Parse("insert into t values ($1)", "s"))
        for _ in range(1_000):
            script >> client(Bind("s", value), Execute())
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 40 MB of values were sent; kept are those of the budget, and the requests themselves.
    assert size < 2_000_000 + 5 * ALLOWANCE + 5 * 1_000 * 1_500
    assert counted(scripts, "bypass.params") > 3_000
    for script in scripts:
        answer = BindComplete + Complete("INSERT 0 1")
        script >> client(Sync) >> server(ParseComplete, answer * 1_000, Z())
        assert [e.outcome for e in script.observer.executions] == [Outcome.OK] * 1_000
        script.ends()
    assert budget.taken == 0


def test_f6_a_session_that_gets_no_memory_goes_opaque_before_its_queue_is_long() -> None:
    limits = TapLimits(detailed=100, session_bytes=100_000)
    script = Script(limits=limits)
    script >> client(Parse("select 1", "s"))
    for _ in range(400):
        script >> client(Bind("s"), Execute())
    assert script.tap.opaque
    assert script.session.opaque_reason == "outstanding"
    assert script.observer.counters["opaque.outstanding"] == 1


@pytest.mark.parametrize("request_", ["simple", "extended"])
def test_f6_texts_beyond_the_cap_of_a_session_are_not_kept(request_: str) -> None:
    script = Script(limits=TapLimits(session_bytes=150_000))
    for _ in range(5):
        script >> client(Query(TEXT) if request_ == "simple" else Parse(TEXT) + Bind() + Execute() + Sync)
    before = BindComplete if request_ == "extended" else b""
    for _ in range(5):
        if request_ == "extended":
            script >> server(ParseComplete)
        script >> server(before, Complete("SELECT 1"), Z())
    executions = script.observer.executions
    assert [e.sql_length for e in executions] == [len(TEXT)] * 5
    assert [bool(e.sql) for e in executions] == [True, True, False, False, False]
    assert script.observer.counters["bypass.sql"] == 3
    # Once they are answered there is room again.
    script >> client(Query("select 2")) >> server(Complete("SELECT 1"), Z())
    assert script.observer.executions[-1].sql == b"select 2"
    script.ends()


def test_f6_columns_count_like_texts() -> None:
    script = Script(limits=TapLimits(names_bytes=2_000))
    wide = RowDescription(*(f"column_{i}" for i in range(50)))
    for number in range(3):
        script >> client(
            Parse("select *", f"s{number}"), b"D" + b"\0\0\0\x08Ss" + b"%d" % number + b"\0", Sync
        )
        script >> server(ParseComplete, b"t\0\0\0\6\0\0", wide, Z())
    assert script.observer.counters["bypass.columns"] == 2
    assert script.tap._state.statements_bytes <= 2_000


def test_f6_a_window_of_long_texts_is_delivered_in_parts() -> None:
    script = Script(limits=TapLimits(window_sql_bytes=200_000))
    for number in range(10):
        script >> client(Parse(TEXT), Bind(), Execute())
        script >> server(ParseComplete, BindComplete, Complete("SELECT 1"))
        assert len(script.observer.executions) == number // 3 * 3
    script >> client(Sync) >> server(Z())
    assert len(script.observer.executions) == 10
    script.ends()
