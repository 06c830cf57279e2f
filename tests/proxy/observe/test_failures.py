"""Errors held against the queue: who failed, who was skipped, and what the server threw away with it."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.completion import Completion
from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.expectations import COPY_FAIL, SYNC_BEFORE_DATA, Batch, Expected
from proxy.observe.failures import Failures
from proxy.observe.lifetimes import Lifetimes
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.wire.messages import Bind
from tests.proxy.wirekit import Recorder


class Room:
    """Failures with everything around them."""

    def __init__(self) -> None:
        self.observer = Recorder()
        self.state = Conversation(Session(1, "", 0.0), self.observer, TapLimits())
        self.queue = self.state.expectations.queue
        self.lifetimes = Lifetimes(self.state)
        self.failures = Failures(self.state, self.lifetimes, Completion(self.state, self.lifetimes))

    def execution(self, sql: bytes = b"select 1", kind: Kind = Kind.EXTENDED) -> Execution:
        return Execution(self.state.session, kind, sql, len(sql), 1.0)

    @property
    def outcomes(self) -> list[tuple[bytes, Outcome, bytes]]:
        return [(e.sql, e.outcome, e.sqlstate) for e in self.state.delivery.done]


@pytest.fixture
def room() -> Room:
    return Room()


STATEMENT = Statement(b"s", b"select 1", 8, (23,))


def portal(statement: Statement | None = STATEMENT) -> Portal:
    return Portal(statement, Bind(b"", b""), 0)


def test_the_execute_of_what_cannot_be_parsed_is_the_error_and_the_rest_is_skipped(room: Room) -> None:
    bound, other = portal(), portal(None)
    room.queue.extend(
        [
            Expected(kinds.PARSE, b"s", STATEMENT, None, None),
            Expected(kinds.BIND, b"", None, bound, None),
            Expected(kinds.EXECUTE, b"", STATEMENT, bound, room.execution(b"culprit")),
            Expected(kinds.EXECUTE, b"", None, other, room.execution(b"after")),
            SYNC_BEFORE_DATA,
        ]
    )
    room.failures.error(b"42601", 10)
    assert room.outcomes == [
        (b"culprit", Outcome.ERROR, b"42601"),
        (b"after", Outcome.SKIPPED, b""),
    ]
    assert list(room.queue) == [SYNC_BEFORE_DATA]
    assert not room.state.expectations.skipping


def test_a_statement_that_nobody_was_going_to_execute_fails_alone(room: Room) -> None:
    room.state.now = 4.0
    room.queue.append(Expected(kinds.PARSE, b"s", STATEMENT, None, None))
    room.failures.error(b"42601", 10)
    (failed,) = room.state.delivery.done
    assert (failed.sql, failed.statement_name, failed.param_oids) == (b"select 1", b"s", (23,))
    assert (failed.outcome, failed.quality, failed.t_done) == (Outcome.ERROR, Quality.PARTIAL, 4.0)
    assert room.state.expectations.skipping


def test_a_bind_that_fails_alone_is_its_statements_error(room: Room) -> None:
    room.queue.append(Expected(kinds.BIND, b"p", None, portal(), None))
    room.failures.error(b"22P02", 10)
    assert room.outcomes == [(b"select 1", Outcome.ERROR, b"22P02")]


def test_an_error_that_belongs_to_no_statement_is_counted(room: Room) -> None:
    room.queue.append(Expected(kinds.CLOSE_PORTAL, b"p", None, None, None))
    room.failures.error(b"57014", 10)
    assert room.outcomes == []
    assert room.observer.counters == {"unattributed_error.57014": 1}


def test_an_error_where_a_sync_stands_first_is_a_failed_commit(room: Room) -> None:
    room.queue.append(SYNC_BEFORE_DATA)
    room.failures.error(b"23503", 10)
    assert list(room.queue) == [SYNC_BEFORE_DATA]
    assert room.observer.counters == {"commit_failed.23503": 1}


def test_a_message_fails_once(room: Room) -> None:
    room.queue.append(Batch(kinds.QUERY, UNNAMED, room.execution(b"select 1; select 2", Kind.SIMPLE)))
    room.failures.error(b"22012", 10)
    room.failures.error(b"57P01", 10)
    assert room.outcomes == [(b"select 1; select 2", Outcome.ERROR, b"22012")]
    assert len(room.queue) == 1


def test_an_error_between_two_statements_is_the_next_ones(room: Room) -> None:
    batch = Batch(kinds.QUERY, UNNAMED, room.execution(b"select 1; select 2", Kind.SIMPLE))
    batch.execution, batch.children = None, 1
    room.queue.append(batch)
    room.failures.error(b"22012", 10)
    (failed,) = room.state.delivery.done
    assert (failed.ordinal, failed.outcome) == (1, Outcome.ERROR)


@pytest.mark.parametrize(
    ("sqlstate", "outcome"),
    [(b"22P02", Outcome.OK), (b"42P02", Outcome.ABORTED), (b"26000", Outcome.ABORTED)],
)
def test_the_unnamed_portal_made_room_before_most_errors_of_a_bind(
    room: Room, sqlstate: bytes, outcome: Outcome
) -> None:
    before = portal()
    before.suspended = room.execution(b"before")
    room.state.portals.live[UNNAMED] = before
    room.queue.append(Expected(kinds.BIND, UNNAMED, None, portal(None), None))
    room.failures.error(sqlstate, 10)
    assert room.outcomes == [(b"before", outcome, b"")]


def test_an_error_takes_back_what_other_open_portals_returned(room: Room) -> None:
    read, failing = portal(), portal()
    read.open_rows = 2
    room.state.portals.live.update({b"read": read, b"failing": failing})
    room.queue.append(Expected(kinds.EXECUTE, b"failing", STATEMENT, failing, room.execution()))
    room.failures.error(b"22012", 10)
    assert [e.rows for e in room.observer.taken] == [2]
    assert room.outcomes == [(b"select 1", Outcome.ERROR, b"22012")]


def test_a_failed_parse_leaves_no_unnamed_statement(room: Room) -> None:
    room.lifetimes.define(UNNAMED, Statement(UNNAMED, b"select 0", 8, ()))
    assert room.state.statements_bytes == 8
    room.queue.append(Expected(kinds.PARSE, UNNAMED, STATEMENT, None, None))
    room.failures.error(b"42601", 10)
    assert (room.state.statements.live, room.state.statements_bytes) == ({}, 0)


def test_a_copy_that_the_client_gave_up_is_counted_as_such(room: Room) -> None:
    batch = Batch(kinds.QUERY, UNNAMED, room.execution(b"copy t from stdin", Kind.SIMPLE))
    room.queue.extend([batch, SYNC_BEFORE_DATA, COPY_FAIL])
    room.state.expectations.copying = True
    room.failures.error(b"57014", 10)
    assert room.observer.counters == {"copy_failed_by_client": 1}
    assert not room.state.expectations.copying
    assert list(room.queue) == [batch]
