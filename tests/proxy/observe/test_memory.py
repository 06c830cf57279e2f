"""Memory that sessions share: taken in steps, given back, never more than there is."""

from __future__ import annotations

from proxy.observe.memory import ALLOWANCE, STEP, Budget, Share


def test_a_little_is_free() -> None:
    budget = Budget(0)
    assert Share(budget, 1 << 20).room == ALLOWANCE
    assert Share(budget, 10).room == 10
    assert budget.taken == 0


def test_what_is_beyond_is_taken_in_steps_and_given_back() -> None:
    budget = Budget(10 * STEP)
    share = Share(budget, 1 << 30)
    assert share.grow(ALLOWANCE + 1)
    assert (budget.taken, share.room) == (STEP, ALLOWANCE + STEP)
    assert share.grow(ALLOWANCE + 3 * STEP)
    assert (budget.taken, share.room) == (3 * STEP, ALLOWANCE + 3 * STEP)
    share.shrink(ALLOWANCE + STEP + 1)
    assert (budget.taken, share.room) == (2 * STEP, ALLOWANCE + 2 * STEP)
    share.shrink(5)
    assert (budget.taken, share.room) == (0, ALLOWANCE)


def test_a_session_has_a_cap_of_its_own() -> None:
    budget = Budget(1 << 30)
    share = Share(budget, ALLOWANCE + STEP + 10)
    assert not share.grow(ALLOWANCE + STEP + 11)
    assert budget.taken == 0
    assert share.grow(ALLOWANCE + STEP + 10)
    assert share.room == ALLOWANCE + STEP + 10


def test_what_others_have_is_not_there() -> None:
    budget = Budget(3 * STEP)
    one, two = Share(budget, 1 << 30), Share(budget, 1 << 30)
    assert one.grow(ALLOWANCE + 2 * STEP)
    assert not two.grow(ALLOWANCE + 2 * STEP)
    assert (two.room, budget.taken) == (ALLOWANCE, 2 * STEP)
    one.shrink(0)
    assert two.grow(ALLOWANCE + 2 * STEP)
