"""Numbers of workers, the queries they stand for, and what must not be forgotten of them."""

from __future__ import annotations

import pytest

from workload.capture import known as module
from workload.capture.known import KnownQuery, Origin, sample_of
from workload.capture.messages import SampleMessage, StatementDef, Step, Unit
from workload.store.writing import MAX_APPLICATIONS

T0 = 1_800_000_000.0


def query(shape: str = "SELECT $1") -> KnownQuery:
    return KnownQuery(StatementDef(1, shape, "shop", False))


def message(*params: str | None) -> SampleMessage:
    return SampleMessage(1, params, (25,) * len(params), -1, 1, T0, False)


def test_samples_come_in_the_order_of_the_stores_text() -> None:
    known = query("SELECT a FROM t WHERE b = $1 AND c = $2")
    known.id = 4
    sample = sample_of(known, "select a from t where b=$2 and c=$1", message("C", None))
    assert sample is not None
    assert (sample.query_id, sample.params, sample.duration_ms) == (4, (None, "C"), None)


@pytest.mark.parametrize("shape", ["SELECT NULL", "SELECT $1, $2"])
def test_a_sample_that_does_not_fit_the_text_is_none(shape: str) -> None:
    known = query()
    known.id = 4
    assert sample_of(known, shape, message("x")) is None


def test_a_query_without_an_id_and_a_sample_of_the_wrong_width_are_none() -> None:
    known = query()
    assert sample_of(known, "SELECT $1", message("x")) is None
    known.id = 4
    assert sample_of(known, "SELECT $1", message("x", "y")) is None


def test_the_store_is_told_each_application_once_and_no_more_than_it_keeps() -> None:
    known = query()
    assert known.untold(["web", "cron"]) == {"web", "cron"}
    assert known.untold(["web", "psql"]) == {"psql"}
    for number in range(100):
        known.untold([f"job {number}"])
    assert len(known.applications) == MAX_APPLICATIONS


def test_a_store_that_lost_the_query_is_told_everything_again() -> None:
    known = query()
    known.first_seen = T0
    known.untold(["web"])
    new = known.to_define()
    assert (new.database, new.text, new.kind, new.seen_at) == ("shop", "SELECT $1", "select", T0)
    assert known.untold(["web"]) == {"web"}


def test_what_runs_is_remembered_whatever_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NUMBERS", 10)
    origin, busy = Origin(), query()
    origin.define(1, busy, "SELECT $1")
    for number in range(2, 200):
        origin.define(number, query(), "SELECT $1")
        assert origin.used(1) is busy
    assert len(origin.statements) <= 10
    assert origin.used(2) is None


def test_shapes_are_bounded_by_their_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHAPE_CHARACTERS", 100)
    origin = Origin()
    for number in range(50):
        origin.define(number, query(), "x" * 20)
        assert sum(len(shape) for _query, shape in origin.statements.values()) <= 100
    assert origin.used(49) is not None


def test_a_definition_told_again_does_not_take_room_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHAPE_CHARACTERS", 100)
    origin = Origin()
    for _ in range(20):
        origin.define(1, query(), "x" * 20)
        origin.define(2, query(), "x" * 20)
    assert list(origin.statements) == [1, 2]


def test_only_queries_with_an_id_are_described() -> None:
    origin, stored = Origin(), query("SELECT a FROM t WHERE b = $1")
    stored.id = 9
    origin.define(1, stored, "select a from t where b = $1")
    origin.define(2, query(), "SELECT $1")
    steps = tuple(Step(number, (), 0, 0, 0, 0, 0, 0) for number in (1, 2, 3))
    unit = Unit(1, "shop", "u", "", "burst", T0, steps, 0, (), {}, {}, {})
    described = origin.described(unit)
    assert list(described) == [1]
    assert (described[1].query_id, described[1].text) == (9, "select a from t where b = $1")
    assert (described[1].fingerprint, described[1].database) == (stored.identity.fingerprint, "shop")
