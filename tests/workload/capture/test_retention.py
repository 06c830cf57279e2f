from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.execution import Execution, Kind, Rows, Session
from workload.capture.retention import KeptResult, ResultBudget, SessionResults
from workload.capture.steps import StepRecord

STEP = StepRecord(1, (), 0, 2, 0, 0, 0, 0)


def kept(statement: int, sequence: int, size: int) -> KeptResult:
    execution = Execution(Session(1, "", 0.0), Kind.SIMPLE, b"", 0, 0.0)
    return KeptResult(execution, Rows([], 0, 2, size), b"", statement, sequence, STEP)


def held(owner: SessionResults) -> list[tuple[int, int]]:
    return [(result.statement, result.sequence) for queue in owner.by_statement.values() for result in queue]


def test_the_statement_that_holds_most_gives_way_oldest_first() -> None:
    budget, owner = ResultBudget(100, 1_000), SessionResults()
    budget.keep(owner, kept(1, 1, 30))
    for sequence in range(2, 8):
        budget.keep(owner, kept(2, sequence, 20))
    assert held(owner) == [(1, 1), (2, 5), (2, 6), (2, 7)]
    assert (owner.bytes, budget.bytes, budget.dropped) == (90, 90, 3)


def test_between_sessions_the_least_recently_used_loses_all() -> None:
    budget = ResultBudget(100, 150)
    owners = [SessionResults() for _ in range(3)]
    budget.keep(owners[0], kept(1, 1, 50))
    budget.keep(owners[1], kept(1, 1, 50))
    budget.keep(owners[0], kept(1, 2, 40))
    budget.keep(owners[2], kept(1, 1, 50))
    assert [len(held(owner)) for owner in owners] == [2, 0, 1]
    assert (budget.bytes, budget.dropped) == (140, 1)


def test_what_is_larger_than_a_sessions_share_is_not_taken() -> None:
    budget, owner = ResultBudget(100, 1_000), SessionResults()
    budget.keep(owner, kept(1, 1, 101))
    assert held(owner) == []
    assert budget.dropped == 1


def test_released_bytes_can_be_used_again() -> None:
    budget, owner = ResultBudget(100, 100), SessionResults()
    budget.keep(owner, kept(1, 1, 100))
    budget.release(owner)
    budget.release(owner)
    assert (budget.bytes, held(owner)) == (0, [])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 120), st.booleans()), max_size=80)
)
def test_the_books_balance(moves: list[tuple[int, int, int, bool]]) -> None:
    budget = ResultBudget(100, 250)
    owners = [SessionResults() for _ in range(4)]
    taken = 0
    released = 0
    for sequence, (owner, statement, size, release) in enumerate(moves):
        if release:
            released += len(held(owners[owner]))
            budget.release(owners[owner])
            continue
        taken += 1
        budget.keep(owners[owner], kept(statement, sequence, size))
        sizes = [sum(r.rows.size for q in o.by_statement.values() for r in q) for o in owners]
        assert sizes == [o.bytes for o in owners]
        assert max(sizes) <= 100
        assert sum(sizes) == budget.bytes <= 250
    assert taken == budget.dropped + released + sum(len(held(owner)) for owner in owners)
