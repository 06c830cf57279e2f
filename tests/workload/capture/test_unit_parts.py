"""What is told of a unit: which part, how much of it fits, and in what order units get their turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.observe.execution import Session
from workload.capture.hashes import NULL_HASH, value_hash
from workload.capture.messages import Unit
from workload.capture.retention import KeptResult, ResultBudget
from workload.capture.steps import Samples, StepRecord, UnitLimits
from workload.capture.unit_parts import OpenUnit, PartBuilder

KEY = b"k" * 16
PARENT, CHILD = 3, 4
Keep = Callable[..., KeptResult]


def opened(id: int = 1) -> OpenUnit:
    session = Session(id, "here", 0.0)
    session.database, session.user, session.application_name = "shop", "app", "web"
    return OpenUnit(session, 100.0)


def ran(
    unit: OpenUnit, statement: int, *params: bytes | int | None, list_length: int = 0, transaction: int = 0
) -> StepRecord:
    unit.sequence += 1
    unit.calls[statement] = unit.calls.get(statement, 0) + 1
    step = StepRecord(statement, params, list_length, 1, 200, 400, transaction, 0)
    unit.steps.append(step)
    return step


def loop(unit: OpenUnit, *keys: int) -> OpenUnit:
    for key in keys:
        ran(unit, CHILD, b"%d" % key)
    return unit


def listing(unit: OpenUnit, keep: Keep, *keys: int) -> KeptResult:
    """A statement that brings these keys, and the result that it leaves."""
    ran(unit, PARENT)
    columns = [("id", 7001, 1, 23, 0)]
    result = keep(columns, [[b"%d" % key] for key in keys], statement=PARENT, sequence=unit.sequence)
    ResultBudget(1 << 20, 1 << 20).keep(unit.results, result)
    return result


def built(
    *units: OpenUnit, samples: Samples = "full", allowance: int = 1 << 20, limits: UnitLimits | None = None
) -> tuple[tuple[Unit, ...], dict[str, int]]:
    builder = PartBuilder(KEY, samples, limits or UnitLimits())
    return builder.build(units, allowance, 1_000_000.0), dict(builder.take_losses())


def test_a_message_says_whose_unit_it_is_and_when_it_began() -> None:
    (unit,), _ = built(loop(opened(), 1, 2, 3))
    assert (unit.session, unit.database, unit.user, unit.application_name) == (1, "shop", "app", "web")
    assert (unit.started_at, unit.part, unit.carried) == (1_000_100.0, 0, 0)
    assert [step.params for step in unit.steps] == [(value_hash(KEY, b"%d" % key),) for key in (1, 2, 3)]


def test_parts_count_on_and_never_tell_a_step_twice(keep: Keep) -> None:
    unit = opened()
    listing(unit, keep, 5, 6, 7, 8)
    (first,), _ = built(loop(unit, 5, 6, 7))
    (second,), _ = built(loop(unit, 8, 5))
    assert (first.part, first.carried, first.prior_calls) == (0, 0, {})
    assert [column.step for column in first.columns] == [0]
    # The listing is not told again as a step, it is carried for the column to refer to.
    assert (second.part, second.carried, second.prior_calls) == (1, 1, {PARENT: 1, CHILD: 3})
    assert [step.statement for step in second.steps] == [PARENT, CHILD, CHILD]
    assert [column.step for column in second.columns] == [0]
    assert unit.steps == []


def test_a_part_without_repetition_is_not_told() -> None:
    unit = opened()
    ran(unit, PARENT)
    ran(unit, CHILD, b"1")
    unit.sequence += 1
    unit.drop(CHILD, 50)
    messages, losses = built(unit)
    assert messages == ()
    assert losses["units.steps_dropped"] == 1
    assert (unit.part, unit.steps, unit.overflow) == (1, [], {})


def test_dropped_steps_are_told_by_statement_and_come_after_all_that_wait() -> None:
    unit = loop(opened(), 1, 2, 3)
    for _ in range(2):
        unit.sequence += 1
        unit.drop(CHILD, 50)
    assert unit.first_sequence() == 1
    (message,), _ = built(unit)
    assert (message.dropped_steps, message.overflow) == (2, {CHILD: (2, 100)})


def test_what_is_over_the_budget_is_counted_and_not_told_later() -> None:
    first, second = loop(opened(1), 1, 2, 3), loop(opened(2), 1, 2, 3, 4)
    messages, losses = built(first, second, allowance=1)
    assert [message.session for message in messages] == [1]
    assert losses["units.over_budget"] == 1
    assert second.steps == []


def test_losses_are_told_once() -> None:
    builder = PartBuilder(KEY, "none", UnitLimits())
    builder.build([loop(opened(), 1, 2, 3)], 0, 0.0)
    assert dict(builder.take_losses())["units.over_budget"] == 1
    assert set(dict(builder.take_losses()).values()) == {0}


def test_units_with_results_go_first_then_the_shorter_ones(keep: Keep) -> None:
    long, short, sourced = loop(opened(1), *range(9)), loop(opened(2), *range(3)), opened(3)
    listing(sourced, keep, *range(12))
    loop(sourced, *range(12))
    messages, _ = built(long, short, sourced)
    assert [message.session for message in messages] == [3, 2, 1]


def test_without_a_source_a_unit_is_cut_and_the_rest_is_counted(keep: Keep) -> None:
    limits = UnitLimits(steps_without_source=4)
    (cut,), _ = built(loop(opened(), *range(10)), limits=limits)
    assert (len(cut.steps), cut.overflow) == (4, {CHILD: (6, 1200)})
    unit = opened()
    listing(unit, keep, *range(10))
    (whole,), _ = built(loop(unit, *range(10)), limits=limits)
    assert (len(whole.steps), whole.overflow) == (11, {})


@pytest.mark.parametrize(
    ("transactions", "boundary"),
    [((1, 1, 1), "transaction"), ((0, 0, 0), "burst"), ((1, 1, 2), "burst"), ((0, 1, 1), "burst")],
)
def test_only_one_transaction_alone_is_a_boundary(transactions: tuple[int, ...], boundary: str) -> None:
    unit = opened()
    for transaction in transactions:
        ran(unit, CHILD, b"1", transaction=transaction)
    (message,), _ = built(unit)
    assert message.boundary == boundary


@pytest.mark.parametrize("samples", ["masked", "none"])
def test_calls_are_told_in_the_clear_only_with_full_samples(samples: Samples) -> None:
    (message,), _ = built(loop(opened(), 1, 2, 3), samples=samples)
    assert (message.calls, message.call_oids) == ({}, {})
    (message,), _ = built(loop(opened(), 1, 2, 3), samples="full", limits=UnitLimits(sample_calls=2))
    assert message.calls == {CHILD: (("1",), ("2",))}


def test_batches_rare_statements_and_long_values_are_no_sample_calls() -> None:
    unit = opened()
    for _ in range(3):
        ran(unit, 7, b"{1,2}", list_length=2)
        ran(unit, 8, 123456789, b"short")
        ran(unit, CHILD, None)
    ran(unit, 9, b"once")
    (message,), _ = built(unit)
    assert message.calls == {8: (), CHILD: ((None,),) * 3}


def test_hashes_are_of_the_value_of_null_and_of_the_only_element() -> None:
    unit = opened()
    ran(unit, CHILD, b'{"x"}', None, 42, list_length=1)
    loop(unit, 1, 2)
    (message,), _ = built(unit)
    assert message.steps[0].params == (value_hash(KEY, b"x"), NULL_HASH, 42)


def test_names_are_told_of_the_statements_in_the_part_only() -> None:
    unit = loop(opened(), 1, 2, 3)
    unit.names = {CHILD: b"__asyncpg_\xff", 99: b"gone"}
    (message,), _ = built(unit)
    assert message.statement_names == {CHILD: "__asyncpg_\ufffd"}
