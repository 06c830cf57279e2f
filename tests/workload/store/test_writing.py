"""A batch: how increments come together, and that writing in parts is writing at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload.model import Sample
from workload.store import queries, schema, writing
from workload.store.connection import Database
from workload.store.definitions import define_queries
from workload.store.writing import MAX_APPLICATIONS, Batch, Increment, NewQuery, parts, write_batch

T0 = 1_800_000_000.0


def increment(id: int, at: float, calls: int = 1, **more: object) -> Increment:
    made = Increment(id, at, calls=calls, timed_calls=calls, total_us=calls * 100, max_us=100 * calls)
    made.histogram = {50: calls}
    for name, value in more.items():
        setattr(made, name, value)
    return made


def batch(*increments: Increment) -> Batch:
    made = Batch(at=T0)
    for each in increments:
        made.add(each)
    return made


@pytest.fixture
def ids(opened: Database) -> list[int]:
    with opened.write() as connection:
        return define_queries(
            connection, [NewQuery("shop", each, "SELECT 1", "select", (), False, T0) for each in ("aa", "bb")]
        )


def test_increments_of_one_bucket_are_one_and_stay_themselves() -> None:
    first = increment(1, T0, sqlstates={"23505": 1}, applications={"web"})
    second = increment(1, T0 + 9, 2, sqlstates={"23505": 1, "57014": 1}, applications={"cron"})
    (both,) = batch(first, second).increments.values()
    assert (both.calls, both.total_us, both.max_us, both.at) == (3, 300, 200, T0 + 9)
    assert (both.histogram, both.sqlstates) == ({50: 3}, {"23505": 2, "57014": 1})
    assert both.applications == {"web", "cron"}
    # The recorder writes them again if this batch cannot be written.
    assert (first.calls, first.histogram, first.sqlstates) == (1, {50: 1}, {"23505": 1})
    assert second.calls == 2


@pytest.mark.parametrize(("other", "count"), [((1, T0 + 9.99), 1), ((1, T0 + 10), 2), ((2, T0), 2)])
def test_buckets_and_queries_are_apart(other: tuple[int, float], count: int) -> None:
    assert len(batch(increment(1, T0), increment(*other)).increments) == count


def test_counts_of_a_batch_add_up() -> None:
    made = Batch()
    made.count("a")
    made.count("a", 4)
    assert made.counters == {"a": 5}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 700), st.integers(0, 5)), max_size=20))
def test_a_batch_holds_what_was_added(added: list[tuple[int, int, int]]) -> None:
    made = batch(*(increment(id, T0 + after, calls) for id, after, calls in added))
    assert sum(each.calls for each in made.increments.values()) == sum(calls for *_, calls in added)
    for (id, bucket), each in made.increments.items():
        assert (each.query_id, each.bucket) == (id, bucket)


def test_two_batches_are_as_good_as_one(opened: Database, ids: list[int]) -> None:
    one, other = increment(ids[0], T0, 3, rows=7), increment(ids[1], T0 + 1, 5, errors=2)
    with opened.write() as connection:
        write_batch(connection, batch(one))
        write_batch(connection, batch(other))
        write_batch(connection, batch(one, other))
        found = {each.id: each for each in queries.listed(connection)}
        everything = queries.histogram(connection, None, None, None)
    assert [(found[id].calls, found[id].rows, found[id].errors) for id in ids] == [(6, 14, 0), (10, 0, 4)]
    assert everything.counts == {50: 16}


def test_a_call_that_is_taken_back_is_subtracted(opened: Database, ids: list[int]) -> None:
    with opened.write() as connection:
        write_batch(connection, batch(increment(ids[0], T0, 3)))
        write_batch(connection, batch(Increment(ids[0], T0 + 1, calls=-1, rows=-2)))
        found = queries.find(connection, ids[0])
    assert found is not None
    assert (found.calls, found.timed_calls, found.rows) == (2, 3, -2)


def test_when_it_was_seen_only_widens(opened: Database, ids: list[int]) -> None:
    with opened.write() as connection:
        for at in (T0 + 50, T0 - 50, T0):
            write_batch(connection, batch(increment(ids[0], at)))
        found = queries.find(connection, ids[0])
    assert found is not None
    assert (found.first_seen, found.last_seen) == (T0 - 50, T0 + 50)


def test_applications_are_bounded(opened: Database, ids: list[int]) -> None:
    with opened.write() as connection:
        for number in range(2 * MAX_APPLICATIONS):
            write_batch(connection, batch(increment(ids[0], T0, applications={f"job {number:02}"})))
        found = queries.find(connection, ids[0])
    assert found is not None
    assert len(found.applications) == MAX_APPLICATIONS


def test_samples_of_one_query_do_not_push_out_anothers(opened: Database, ids: list[int]) -> None:
    def sample(id: int, rows: int) -> Sample:
        return Sample(
            query_id=id, params=(), param_oids=(), duration_ms=None, rows=rows, taken_at=T0, masked=True
        )

    many = [sample(ids[0], rows) for rows in range(3 * schema.SAMPLES_PER_QUERY)]
    with opened.write() as connection:
        write_batch(connection, Batch(at=T0, samples=[sample(ids[1], 7), *many]))
        assert len(queries.samples(connection, ids[0], 1000)) == schema.SAMPLES_PER_QUERY
        assert [each.rows for each in queries.samples(connection, ids[1], 1000)] == [7]


def test_an_empty_batch_still_says_that_the_recorder_lives(opened: Database) -> None:
    with opened.write() as connection:
        write_batch(connection, Batch(at=T0))
        last = connection.execute(schema.meta.select().where(schema.meta.c.key == "last_write")).one()
    assert float(last.value) == T0


def test_parts_are_whole_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "KEYS_A_SELECT", 3)
    assert [list(part) for part in parts(range(7))] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(parts([])) == []
