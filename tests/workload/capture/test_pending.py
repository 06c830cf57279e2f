"""What waits for the store is added up and bounded; counts are never dropped."""

from __future__ import annotations

import pytest

from workload.capture import pending as module
from workload.capture.known import Origin
from workload.capture.messages import Delta, SampleMessage, StatementDef, StatementDelta
from workload.capture.pending import Intake

T0 = 1_800_000_000.0


def delta(sequence: int, at: float, *ids: int, define: bool = False, samples: int = 0) -> Delta:
    return Delta(
        worker=1,
        sequence=sequence,
        at=at,
        definitions=tuple(StatementDef(id, f"SELECT a{id}, $1", "shop", False) for id in ids)
        if define
        else (),
        statements=tuple(
            StatementDelta(id, 2, 1, 3, 4, 2, 100, 60, {5: 2}, {"23505": 1}, (2, 0, 0, 0), ("web",))
            for id in ids
        ),
        samples=tuple(SampleMessage(ids[0], ("x",), (25,), 100, 1, at, False) for _ in range(samples)),
        units=(),
        counters={"sessions": 1},
        gauges={"sessions": 2.0},
    )


def total(intake: Intake, name: str) -> int:
    return sum(
        getattr(increment, name)
        for buckets in intake.pending.increments.values()
        for increment in buckets.values()
    )


def test_counts_add_up_by_query_and_bucket() -> None:
    intake, origin = Intake(), Origin()
    intake.receive(origin, delta(1, T0, 1, 2, define=True))
    intake.receive(origin, delta(2, T0 + 1, 1))
    intake.receive(origin, delta(3, T0 + 15, 1))
    assert intake.pending.increment_count == 3
    assert total(intake, "calls") == 8
    assert intake.pending.counters == {"sessions": 3}
    assert intake.pending.gauges == {"workers": 1.0, "sessions": 2.0}


def test_unknown_numbers_are_counted() -> None:
    intake = Intake()
    intake.receive(Origin(), delta(1, T0, 7))
    assert intake.pending.counters["lost.statements"] == 3
    assert intake.pending.increments == {}


def test_what_is_given_back_is_merged_with_what_came_since() -> None:
    intake, origin = Intake(), Origin()
    intake.receive(origin, delta(1, T0, 1, define=True, samples=2))
    taken = intake.take()
    intake.receive(origin, delta(2, T0 + 1, 1, samples=1))
    intake.give_back(taken)
    assert total(intake, "calls") == 4
    assert intake.pending.counters == {"sessions": 2}
    assert len(intake.pending.samples) == 3
    (increment,) = next(iter(intake.pending.increments.values())).values()
    assert (increment.histogram, increment.sqlstates, increment.max_us) == ({5: 4}, {"23505": 2}, 60)
    assert increment.applications == {"web"}


def test_a_long_time_without_a_store_costs_time_resolution_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INCREMENTS", 5)
    monkeypatch.setattr(module, "MAX_SAMPLES", 10)
    intake, origin = Intake(), Origin()
    for number in range(100):
        intake.receive(origin, delta(number + 1, T0 + 10 * number, 1, define=not number, samples=1))
    assert intake.pending.increment_count == 5
    assert total(intake, "calls") == 200
    assert len(intake.pending.samples) == 10
    assert intake.pending.counters["lost.samples"] == 90


def test_forgotten_queries_come_back_by_their_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUERIES", 3)
    intake, origin = Intake(), Origin()
    for id in range(1, 10):
        intake.receive(origin, delta(id, T0, id, define=True))
        for query in intake.queries.values():
            query.id = id
    assert len(intake.queries) <= 3
    intake.receive(origin, delta(10, T0, 1))
    assert total(intake, "calls") == 20


def test_beyond_its_bounds_only_queries_that_do_not_wait_already_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_INCREMENTS", 2)
    intake, origin = Intake(), Origin()
    intake.receive(origin, delta(1, T0, 1, 2, 3, define=True))
    intake.receive(origin, delta(2, T0 + 60, 1, 4, define=True))
    assert len(intake.pending.increments) == 2
    assert total(intake, "calls") == 6
    assert intake.pending.counters["lost.statements"] == 6


def test_the_texts_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUERY_CHARACTERS", 20)
    intake, origin = Intake(), Origin()
    intake.receive(origin, delta(1, T0, *range(1, 10), define=True))
    assert 20 < sum(len(query.text) for query in intake.pending.increments) < 40
    assert intake.pending.counters["lost.statements"] == 3 * (9 - len(intake.pending.increments))


def test_samples_of_unknown_numbers_are_counted() -> None:
    intake = Intake()
    intake.receive(Origin(), delta(1, T0, 7, samples=2))
    assert intake.pending.counters["lost.samples"] == 2
    assert intake.pending.samples == []
