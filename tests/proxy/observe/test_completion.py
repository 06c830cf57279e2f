"""Completions: what the end of a statement, a fetch and a window makes of executions."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.completion import Completion
from proxy.observe.conversation import IDLE, Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.expectations import SYNC_BEFORE_DATA, Batch, Expected
from proxy.observe.lifetimes import Lifetimes
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.wire.framing import ProtocolError
from proxy.wire.messages import Bind
from tests.proxy.wirekit import DataRow, Recorder


class Room:
    """A completion with everything around it."""

    def __init__(self) -> None:
        self.observer = Recorder()
        self.state = Conversation(Session(1, "", 0.0), self.observer, TapLimits())
        self.lifetimes = Lifetimes(self.state)
        self.completion = Completion(self.state, self.lifetimes)

    def query(self, sql: bytes) -> Batch:
        batch = Batch(kinds.QUERY, UNNAMED, Execution(self.state.session, Kind.SIMPLE, sql, len(sql), 1.0))
        self.state.expectations.queue.append(batch)
        return batch

    def execute(self, portal: Portal | None, statement: Statement | None, sent: float) -> Execution:
        execution = Execution(self.state.session, Kind.EXTENDED, b"select 1", 8, sent)
        self.state.expectations.queue.append(Expected(kinds.EXECUTE, b"", statement, portal, execution))
        return execution

    def done(self, execution: Execution, tag: bytes, at: float) -> None:
        self.state.now = at
        execution.tag = tag
        self.completion.complete(execution, Outcome.OK)


@pytest.fixture
def room() -> Room:
    return Room()


def portal(statement: Statement | None = None) -> Portal:
    return Portal(statement, Bind(b"", b""), 0)


def test_statements_of_one_message_follow_each_other(room: Room) -> None:
    batch = room.query(b"select 1; select 2")
    room.done(batch.template, b"SELECT 1", 2.0)
    second = room.completion.next_child(batch)
    room.done(second, b"SELECT 1", 3.0)
    assert (second.ordinal, second.t_start, second.t_done) == (1, 2.0, 3.0)
    assert room.state.delivery.done == [batch.template, second]
    assert list(room.state.expectations.queue) == [batch]


def test_only_a_message_that_has_not_failed_has_a_next_statement(room: Room) -> None:
    batch = room.query(b"select 1; select 2")
    batch.failed = True
    with pytest.raises(ProtocolError):
        room.completion.next_child(batch)
    with pytest.raises(ProtocolError):
        room.completion.next_child(Expected(kinds.EXECUTE, b"", None, None, None))


def test_a_later_statement_of_a_message_changes_names_by_its_own_text(room: Room) -> None:
    batch = room.query(b"select ';'; prepare p as select 3; execute p")
    room.done(batch.template, b"SELECT 1", 2.0)
    room.done(room.completion.next_child(batch), b"PREPARE", 3.0)
    assert room.state.statements.live[b"p"].sql == b"select 3"
    third = room.completion.next_child(batch)
    room.done(third, b"SELECT 1", 4.0)
    assert (third.sql, third.ordinal, third.statements) == (b"select 3", 0, 1)


def test_an_execution_knows_what_was_described_by_now(room: Room) -> None:
    statement = Statement(b"s", b"select $1", 9, (23,))
    statement.columns = b"columns"
    execution = room.execute(portal(statement), statement, 1.0)
    room.done(execution, b"SELECT 1", 2.0)
    assert (execution.param_oids, execution.columns) == ((23,), b"columns")
    assert not room.state.expectations.queue


def test_fetches_add_up_without_the_time_between_them(room: Room) -> None:
    of = portal()
    first = room.execute(of, None, 1.0)
    first.rows = 5
    room.state.now = 1.5
    room.completion.suspend(first)
    assert room.state.delivery.done == []
    last = room.execute(of, None, 9.0)
    last.rows = 2
    room.done(last, b"SELECT 2", 9.25)
    (whole,) = room.state.delivery.done
    assert whole is first
    assert (whole.rows, whole.tag, whole.quality) == (7, b"SELECT 2", Quality.CLIENT_BOUND)
    assert whole.duration == pytest.approx(0.75)


def test_a_fetch_of_a_portal_that_nobody_knows_stands_alone(room: Room) -> None:
    fetch = room.execute(None, None, 1.0)
    room.completion.suspend(fetch)
    assert room.state.delivery.done == [fetch]


def test_a_portal_at_its_end_is_not_called_again(room: Room) -> None:
    of = portal()
    room.done(room.execute(of, None, 1.0), b"SELECT 3", 2.0)
    room.done(room.execute(of, None, 3.0), b"SELECT 0", 4.0)
    assert len(room.state.delivery.done) == 1
    assert of.open_rows == 0


@pytest.mark.parametrize(("tag", "rows"), [(b"SELECT 3", 3), (b"INSERT 0 3", -1)])
def test_only_an_open_select_waits_to_be_counted_by_the_server(room: Room, tag: bytes, rows: int) -> None:
    of = portal()
    execution = room.execute(of, None, 1.0)
    execution.rows = 3
    room.done(execution, tag, 2.0)
    assert of.open_rows == rows


def test_rows_that_did_not_fit_are_counted(room: Room) -> None:
    execution = room.execute(None, None, 1.0)
    chunk = DataRow("a") + DataRow("b")
    room.state.results.begin(chunk, 0, 1000)
    room.state.results.rows(1, len(DataRow("a")))
    execution.rows = 2
    room.done(execution, b"SELECT 2", 2.0)
    assert execution.row_data is not None
    assert execution.row_data.held == 1
    assert room.observer.counters == {"bypass.rows": 1}


def test_ready_ends_the_window_and_with_it_an_implicit_transaction(room: Room) -> None:
    part = portal()
    part.suspended = Execution(room.state.session, Kind.EXTENDED, b"fetched", 7, 0.0)
    room.state.portals.live[b"p"] = part
    room.state.now = 5.0
    room.completion.ready(SYNC_BEFORE_DATA, ord("T"))
    assert set(room.state.portals.live) == {b"p"}
    assert (room.state.status, room.observer.executions) == (ord("T"), [])
    room.lifetimes.rolled_back = True
    room.completion.ready(SYNC_BEFORE_DATA, IDLE)
    assert room.state.portals.live == {}
    assert [(e.sql, e.outcome, e.t_ready) for e in room.observer.executions] == [
        (b"fetched", Outcome.ABORTED, 5.0)
    ]
    assert not room.lifetimes.rolled_back


def test_ready_after_a_message_drops_what_was_unnamed(room: Room) -> None:
    room.lifetimes.define(UNNAMED, Statement(UNNAMED, b"select 1", 8, ()))
    assert room.state.statements_bytes == 8
    batch = room.query(b"select 2")
    batch.drops_unnamed = True
    batch.propose(room.state.statements, room.state.portals)
    room.done(batch.template, b"SELECT 1", 2.0)
    room.state.expectations.queue.popleft()
    room.completion.ready(batch, IDLE)
    assert (room.state.statements.live, room.state.statements_bytes) == ({}, 0)
    assert [e.statements for e in room.observer.executions] == [1]
