from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.execution import Execution, Kind, Outcome, Quality, Rows, Session
from workload.capture.hashes import NULL_HASH, value_hash
from workload.capture.messages import Unit
from workload.capture.steps import Samples, UnitLimits
from workload.capture.units import UnitTracker

KEY = b"k" * 16
INT4, TEXT = 23, 25
ORDERS = 7_001
BEGIN, COMMIT, PARENT, CHILD, OTHER = 1, 2, 3, 4, 5


def description(columns: Sequence[tuple[str, int, int, int]]) -> bytes:
    """RowDescription body of (name, table OID, attnum, type OID) columns."""
    body = struct.pack("!H", len(columns))
    for name, table, attnum, type_oid in columns:
        body += name.encode() + b"\0" + struct.pack("!IhIhih", table, attnum, type_oid, -1, -1, 0)
    return body


def data_rows(rows: Sequence[Sequence[bytes | None]]) -> Rows:
    data = b""
    for row in rows:
        body = struct.pack("!H", len(row))
        for value in row:
            body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        data += b"D" + struct.pack("!i", len(body) + 4) + body
    return Rows([data], 0, len(rows), len(data))


class Talk:
    """One session that sends statement after statement, and a clock."""

    def __init__(self, tracker: UnitTracker, id: int = 1, now: float = 100.0) -> None:
        self.tracker = tracker
        self.session = Session(id, "127.0.0.1", now)
        self.session.user, self.session.database = "app", "shop"
        self.now = now
        self.window = 0
        self.status = ord("I")

    def run(
        self,
        statement: int,
        params: Sequence[bytes | None] = (),
        *,
        tag: bytes = b"SELECT 1",
        sql: bytes = b"SELECT",
        gap: float = 0.000_5,
        took: float = 0.000_2,
        rows: Sequence[Sequence[bytes | None]] = ((b"x",),),
        columns: Sequence[tuple[str, int, int, int]] = (("x", 0, 0, TEXT),),
        status: str | None = None,
        same_window: bool = False,
        unseen_rows: int = 0,
        list_length: int = 0,
        outcome: Outcome = Outcome.OK,
    ) -> None:
        self.now += gap
        execution = Execution(self.session, Kind.EXTENDED, sql, len(sql), self.now)
        if not same_window:
            self.window += 1
        execution.window = self.window
        execution.tag = tag
        execution.outcome = outcome
        execution.bytes_in = sum(len(p or b"") for p in params)
        execution.rows = len(rows) + unseen_rows
        if rows:
            execution.row_data = data_rows(rows)
            execution.columns = description(columns)
        self.status = ord(status) if status else self.status
        execution.transaction = self.status
        self.now += took
        execution.t_first = execution.t_done = execution.t_ready = self.now
        execution.quality = Quality.EXACT
        self.tracker.executed(execution, statement, tuple(params), (INT4,) * len(params), list_length)

    def parents(self, ids: Sequence[int], table: int = ORDERS, statement: int = PARENT) -> None:
        rows = [[b"%d" % number, b"name %d" % number] for number in ids]
        self.run(statement, rows=rows, columns=[("id", table, 1, INT4), ("label", table, 2, TEXT)])

    def drain(self) -> tuple[Unit, ...]:
        return self.tracker.drain(self.now, self.now + 1_000_000)


@pytest.fixture
def tracker() -> UnitTracker:
    return UnitTracker(KEY, "full")


@pytest.fixture
def talk(tracker: UnitTracker) -> Talk:
    return Talk(tracker)


def loop(talk: Talk, ids: Sequence[int], statement: int = CHILD) -> None:
    for number in ids:
        talk.run(statement, [b"%d" % number])


def after_silence(talk: Talk, seconds: float = 10.0) -> tuple[Unit, ...]:
    talk.now += seconds
    return talk.drain()


IDS = [7, 1, 90, 33, 12, 58]


def test_a_unit_in_which_nothing_repeats_is_forgotten(talk: Talk, tracker: UnitTracker) -> None:
    talk.parents(IDS)
    loop(talk, IDS[:2])
    assert after_silence(talk) == ()
    assert tracker.counters == {}


def test_a_loop_over_a_result_is_sent_with_the_column_it_came_from(talk: Talk) -> None:
    talk.parents(IDS)
    loop(talk, IDS)
    (unit,) = after_silence(talk)
    assert [step.statement for step in unit.steps] == [PARENT] + [CHILD] * 6
    assert unit.started_at == pytest.approx(100.0 + 1_000_000, abs=0.001)
    (column,) = unit.columns
    assert (column.step, column.name, column.table_oid, column.attnum) == (0, "id", ORDERS, 1)
    assert column.values == tuple(value_hash(KEY, b"%d" % number) for number in IDS)
    assert [step.params[0] for step in unit.steps[1:]] == list(column.values)
    assert not column.dense
    assert not column.low_information
    assert unit.calls == {CHILD: tuple((str(number),) for number in IDS)}
    assert unit.call_oids == {CHILD: (INT4,)}
    assert unit.boundary == "burst"


@pytest.mark.parametrize("samples", ["masked", "none"])
def test_values_leave_the_worker_only_as_hashes_unless_samples_are_full(samples: Samples) -> None:
    talk = Talk(UnitTracker(KEY, samples))
    talk.parents(IDS)
    loop(talk, IDS)
    (unit,) = after_silence(talk)
    assert unit.calls == {}
    assert unit.columns


def test_a_dense_range_of_integers_is_marked(talk: Talk) -> None:
    talk.parents(range(1, 20))
    loop(talk, range(1, 20))
    (unit,) = after_silence(talk)
    assert unit.columns[0].dense


def test_a_result_that_came_after_the_calls_is_no_source(talk: Talk) -> None:
    loop(talk, IDS)
    talk.parents(IDS)
    (unit,) = after_silence(talk)
    assert unit.columns == ()


def test_binary_and_text_forms_of_a_value_meet(talk: Talk) -> None:
    rows = [[struct.pack("!i", number)] for number in IDS]
    talk.now += 0.001
    execution = Execution(talk.session, Kind.EXTENDED, b"SELECT", 6, talk.now)
    execution.tag, execution.rows, execution.window = b"SELECT 6", len(rows), 99
    execution.row_data, execution.columns = data_rows(rows), description([("id", ORDERS, 1, INT4)])
    execution.result_formats = (1,)
    execution.t_done = execution.t_ready = talk.now
    talk.tracker.executed(execution, PARENT, (), (), 0)
    loop(talk, IDS)
    (unit,) = after_silence(talk)
    assert unit.columns[0].values == tuple(value_hash(KEY, b"%d" % number) for number in IDS)


def test_a_pause_ends_the_unit(talk: Talk) -> None:
    loop(talk, IDS)
    talk.run(CHILD, [b"8"], gap=0.5)
    loop(talk, [1, 2])
    first, second = after_silence(talk)
    assert [len(first.steps), len(second.steps)] == [3, 6]


def test_a_pause_inside_a_transaction_does_not_end_it(talk: Talk) -> None:
    talk.run(BEGIN, tag=b"BEGIN", status="T", rows=())
    talk.parents(IDS)
    loop(talk, IDS)
    talk.run(CHILD, [b"8"], gap=7.0)
    talk.run(COMMIT, tag=b"COMMIT", status="I", rows=())
    (unit,) = after_silence(talk)
    assert len(unit.steps) == 10
    assert unit.boundary == "transaction"


def test_a_slow_loop_is_one_unit_because_its_own_median_is_the_measure(talk: Talk) -> None:
    talk.parents(IDS)
    for number in IDS:
        talk.run(CHILD, [b"%d" % number], gap=0.150)
    talk.run(CHILD, [b"8"], gap=2.5)
    (unit,) = after_silence(talk)
    assert len(unit.steps) == 8
    assert [column.step for column in unit.columns] == [0]


@pytest.mark.parametrize(
    ("tag", "sql"),
    [
        (b"DISCARD ALL", b"DISCARD ALL"),
        (b"RESET", b"SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;"),
        (b"SET", b"SET ROLE tenant_7"),
        (b"SET", b"set session authorization default"),
    ],
)
def test_what_a_pool_does_between_borrowers_ends_the_unit(talk: Talk, tag: bytes, sql: bytes) -> None:
    loop(talk, [1, 2])
    talk.run(OTHER, tag=tag, sql=sql, rows=())
    loop(talk, [3, 4])
    assert after_silence(talk) == ()


def test_setting_something_else_does_not_end_it(talk: Talk) -> None:
    loop(talk, [1, 2])
    talk.run(OTHER, tag=b"SET", sql=b"SET statement_timeout = 5", rows=())
    loop(talk, [3, 4])
    (unit,) = after_silence(talk)
    assert len(unit.steps) == 5


def test_another_application_name_ends_the_unit(talk: Talk) -> None:
    loop(talk, [1, 2])
    talk.session.application_name = "job"
    loop(talk, [3, 4])
    assert after_silence(talk) == ()


def test_transactions_are_numbered_and_bound_the_unit(talk: Talk) -> None:
    talk.run(BEGIN, tag=b"BEGIN", status="T", rows=())
    loop(talk, [1, 2, 3])
    talk.run(COMMIT, tag=b"COMMIT", status="I", rows=())
    (unit,) = after_silence(talk)
    assert [step.transaction for step in unit.steps] == [1] * 5
    assert unit.boundary == "transaction"
    talk.run(OTHER)
    for _ in range(2):
        talk.run(BEGIN, tag=b"BEGIN", status="T", rows=())
        loop(talk, [1, 2])
        talk.run(OTHER, tag=b"ROLLBACK", rows=())
        talk.run(COMMIT, tag=b"COMMIT", status="I", rows=())
    (unit,) = after_silence(talk)
    assert [step.transaction for step in unit.steps] == [0] + [1] * 5 + [2] * 5
    assert unit.boundary == "burst"


def test_transaction_inside_one_pipeline(talk: Talk) -> None:
    talk.run(BEGIN, tag=b"BEGIN", rows=())
    for number in range(3):
        talk.run(CHILD, [b"%d" % number], same_window=True)
    talk.run(COMMIT, tag=b"COMMIT", rows=(), same_window=True)
    talk.run(OTHER)
    (unit,) = after_silence(talk)
    assert [step.transaction for step in unit.steps] == [1, 1, 1, 1, 1, 0]
    assert [step.gap_us for step in unit.steps[1:5]] == [-1] * 4
    assert unit.steps[5].gap_us == pytest.approx(500, abs=1)


def test_failed_statements_are_no_calls(talk: Talk) -> None:
    loop(talk, [1, 2])
    talk.run(CHILD, [b"3"], outcome=Outcome.ERROR, tag=b"", rows=())
    assert after_silence(talk) == ()


def test_the_same_rows_have_the_same_hash(talk: Talk) -> None:
    for value in (b"a", b"a", b"b", b"a"):
        talk.run(CHILD, [b"1"], rows=[[value]])
    (unit,) = after_silence(talk)
    first, second, third, fourth = (step.result_hash for step in unit.steps)
    assert first == 0
    assert second == fourth != third


def test_null_has_the_hash_of_null(talk: Talk) -> None:
    for value in (b"1", None, b"2"):
        talk.run(CHILD, [value])
    (unit,) = after_silence(talk)
    assert unit.steps[1].params == (NULL_HASH,)
    assert unit.calls[CHILD][1] == (None,)


def test_a_running_unit_is_sent_in_parts_without_counting_twice(talk: Talk) -> None:
    talk.parents(IDS * 1)
    loop(talk, IDS[:3])
    assert talk.drain() == ()
    talk.now += 0
    for number in IDS[3:]:
        talk.run(CHILD, [b"%d" % number], gap=0.009, took=0.35)
    (first,) = talk.drain()
    assert (first.part, first.carried) == (0, 0)
    assert len(first.steps) == 7
    talk.parents([1])
    talk.now -= 0.001
    for number in IDS[:4]:
        talk.run(CHILD, [b"%d" % number], gap=0.009, took=0.35)
    (second,) = talk.drain()
    assert (second.part, second.carried) == (1, 1)
    assert [step.statement for step in second.steps] == [PARENT, PARENT] + [CHILD] * 4
    assert second.columns[0].step == 0
    assert second.prior_calls == {PARENT: 1, CHILD: 6}
    assert after_silence(talk) == ()


def test_steps_beyond_the_limit_are_counted_by_statement() -> None:
    talk = Talk(UnitTracker(KEY, "none", UnitLimits(steps=10)))
    talk.parents(range(0, 100, 5))
    loop(talk, range(0, 100, 5))
    (unit,) = after_silence(talk)
    assert len(unit.steps) == 10
    assert unit.dropped_steps == 11
    ((statement, (calls, total_us)),) = unit.overflow.items()
    assert (statement, calls) == (CHILD, 11)
    assert total_us == pytest.approx(11 * 200, abs=11)


def test_without_a_source_a_unit_is_cut_short() -> None:
    talk = Talk(UnitTracker(KEY, "none", UnitLimits(steps_without_source=5)))
    loop(talk, range(20))
    (unit,) = after_silence(talk)
    assert len(unit.steps) == 5
    assert unit.overflow[CHILD][0] == 15


def test_what_is_over_the_byte_budget_is_counted() -> None:
    tracker = UnitTracker(KEY, "none", UnitLimits(bytes_per_second=300))
    talks = [Talk(tracker, id) for id in range(5)]
    for talk in talks:
        loop(talk, range(10))
        tracker.session_closed(talk.session, talk.now)
    units = talks[0].drain()
    assert len(units) + tracker.counters["units.over_budget"] == 5
    assert 1 <= len(units) < 5


def test_the_listing_survives_a_thousand_results_of_its_loop() -> None:
    tracker = UnitTracker(KEY, "none", UnitLimits(session_bytes=4_000))
    talk = Talk(tracker)
    ids = range(0, 60, 3)
    talk.parents(ids)
    for number in ids:
        rows = [[b"%d" % (number * 1000 + i), b"y" * 100] for i in range(10)]
        talk.run(CHILD, [b"%d" % number], rows=rows, columns=[("id", 8, 1, INT4), ("t", 8, 2, TEXT)])
    (unit,) = after_silence(talk)
    assert [column.step for column in unit.columns] == [0]
    assert tracker.counters["units.results_dropped"] > 0


def test_kept_results_stay_within_the_workers_bound() -> None:
    tracker = UnitTracker(KEY, "none", UnitLimits(worker_bytes=1_500))
    talks = [Talk(tracker, id) for id in range(20)]
    for talk in talks:
        talk.parents(IDS)
        loop(talk, IDS)
    units = after_silence(talks[-1])
    assert len(units) == 20
    with_source = [unit for unit in units if unit.columns]
    assert 0 < len(with_source) < 20
    assert tracker.counters["units.results_dropped"] == 20 - len(with_source)


def test_a_long_parameter_is_hashed_and_never_sampled(talk: Talk) -> None:
    for number in range(3):
        talk.run(CHILD, [b"z" * 1_000 + b"%d" % number])
    (unit,) = after_silence(talk)
    assert unit.calls == {CHILD: ()}
    assert len({step.params for step in unit.steps}) == 3
    assert unit.steps[0].params == (value_hash(KEY, b"z" * 1_000 + b"0"),)


def test_inner_loops_find_their_source_in_many_results(talk: Talk) -> None:
    """Authors, the books of each, the reviews of each book: the inner parameters come from N results."""
    talk.parents(IDS)
    for author in IDS:
        books = [author * 100 + offset for offset in (3, 11, 57)]
        talk.run(
            CHILD,
            [b"%d" % author],
            rows=[[b"%d" % book] for book in books],
            columns=[("id", ORDERS + 1, 1, INT4)],
        )
        loop(talk, books, OTHER)
    (unit,) = after_silence(talk)
    sources = {(unit.steps[column.step].statement, column.table_oid) for column in unit.columns}
    assert sources == {(PARENT, ORDERS), (CHILD, ORDERS + 1)}
    assert sum(column.table_oid == ORDERS + 1 for column in unit.columns) == len(IDS)


def test_steps_that_wait_stay_within_the_workers_bound() -> None:
    tracker = UnitTracker(KEY, "none", UnitLimits(worker_steps=25))
    talks = [Talk(tracker, id) for id in range(5)]
    for talk in talks:
        loop(talk, range(10))
    units = after_silence(talks[-1])
    assert sum(len(unit.steps) for unit in units) == 25
    assert sum(unit.dropped_steps for unit in units) + tracker.counters["units.steps_dropped"] == 25
    loop(talks[0], range(10))
    (unit,) = after_silence(talks[0])
    assert len(unit.steps) == 10


def test_a_session_that_never_rests_nor_repeats_itself_is_many_units() -> None:
    tracker = UnitTracker(KEY, "full", UnitLimits(statements=10))
    talk = Talk(tracker)
    for statement in range(100, 135):
        talk.run(statement)
    (state,) = tracker._sessions.values()
    assert state.unit is not None
    assert len(state.unit.calls) <= 10
    loop(talk, IDS)
    (unit,) = after_silence(talk)
    assert [step.statement for step in unit.steps].count(CHILD) == len(IDS)


def test_a_closed_session_ends_its_unit(talk: Talk, tracker: UnitTracker) -> None:
    loop(talk, IDS)
    tracker.session_closed(talk.session, talk.now)
    (unit,) = talk.drain()
    assert len(unit.steps) == len(IDS)


def test_the_head_of_a_large_result_is_enough(talk: Talk) -> None:
    rows = [[b"%d" % number] for number in range(0, 60, 3)]
    talk.run(PARENT, rows=rows, columns=[("id", ORDERS, 1, INT4)], unseen_rows=180)
    loop(talk, range(0, 600, 3))
    (unit,) = after_silence(talk)
    (column,) = unit.columns
    assert (len(column.values), column.rows) == (20, 200)


def test_an_array_of_one_is_its_element(talk: Talk) -> None:
    talk.parents(IDS)
    for number in IDS:
        talk.run(CHILD, [b"{%d}" % number], list_length=1)
    (unit,) = after_silence(talk)
    assert [column.name for column in unit.columns] == ["id"]
    assert [step.params[0] for step in unit.steps[1:]] == list(unit.columns[0].values)


def test_portals_that_were_left_after_a_row_count_too(talk: Talk) -> None:
    """asyncpg's fetchrow() asks for one row and no more: there is no CommandComplete."""
    for number in IDS:
        talk.run(CHILD, [b"%d" % number], tag=b"")
    (unit,) = after_silence(talk)
    assert len(unit.steps) == len(IDS)


def test_repeated_utility_statements_are_not_suspicious(talk: Talk) -> None:
    for _ in range(10):
        talk.run(OTHER, tag=b"SHOW")
    assert after_silence(talk) == ()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=3),
            st.sampled_from([b"SELECT 1", b"BEGIN", b"COMMIT", b"ROLLBACK", b"RESET", b"SHOW", b""]),
            st.sampled_from([0.0, 0.0005, 0.05, 2.0, 20.0]),
            st.integers(0, 4),
            st.sampled_from(["I", "T", "E"]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_whatever_comes_every_call_is_told_at_most_once(
    events: list[tuple[int, list[bytes | None], bytes, float, int, str, bool, bool]],
) -> None:
    tracker = UnitTracker(KEY, "full", UnitLimits(steps=12, session_bytes=500, waiting=3))
    talk = Talk(tracker)
    ran = 0
    units: list[Unit] = []
    for statement, params, tag, gap, rows, status, same_window, drain in events:
        ran += 1
        values = [[b"%d" % row] for row in range(rows)]
        talk.run(statement, params, tag=tag, gap=gap, rows=values, status=status, same_window=same_window)
        if drain:
            units += talk.drain()
    tracker.session_closed(talk.session, talk.now)
    units += talk.drain()
    told = sum(len(unit.steps) - unit.carried + unit.dropped_steps for unit in units)
    assert told <= ran
    for unit in units:
        assert all(0 <= column.step < len(unit.steps) for column in unit.columns)
        assert unit.dropped_steps == sum(calls for calls, _us in unit.overflow.values())
    assert tracker._waiting == 0
    assert tracker._budget.bytes == 0
