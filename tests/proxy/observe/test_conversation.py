"""The shared state: what is in flight, what is forgotten, and what names mean after an error."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Session
from proxy.observe.expectations import COPY_DONE, SYNC_BEFORE_DATA, Batch, Expected
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.wire.messages import Bind
from tests.proxy.wirekit import DataRow, Recorder


@pytest.fixture
def state() -> Conversation:
    return Conversation(Session(1, "", 0.0), Recorder(), TapLimits())


def execution(state: Conversation, sql: bytes) -> Execution:
    return Execution(state.session, Kind.EXTENDED, sql, len(sql), 0.0)


def portal() -> Portal:
    return Portal(None, Bind(b"", b""), 0)


def test_in_flight_is_what_was_fetched_in_part_and_then_the_queue(state: Conversation) -> None:
    part, asked, batch = (execution(state, sql) for sql in (b"part", b"asked", b"batch"))
    state.portals.live[b"open"] = portal()
    state.portals.live[b"part"] = portal()
    state.portals.live[b"part"].suspended = part
    between = Batch(kinds.QUERY, UNNAMED, execution(state, b"x"))
    between.execution = None
    state.expectations.queue.extend(
        [
            Expected(kinds.EXECUTE, b"", None, None, asked),
            SYNC_BEFORE_DATA,
            COPY_DONE,
            Batch(kinds.QUERY, UNNAMED, batch),
            between,
        ]
    )
    assert state.in_flight() == [part, asked, batch]


def test_forgetting_lets_go_of_everything_that_grows(state: Conversation) -> None:
    statement = Statement(b"a", b"select 1", 8, ())
    state.statements.live[b"a"] = statement
    state.statements_bytes = 8
    state.statements.propose(b"b", statement)
    state.portals.live[b"p"] = portal()
    state.portals.propose(b"q", portal())
    state.expectations.queue.append(SYNC_BEFORE_DATA)
    state.results.begin(DataRow("x"), 0, 100)
    state.segment = execution(state, b"x")
    state.forget()
    assert state.in_flight() == []
    assert not state.expectations.waiting()
    assert (state.statements.live, state.portals.live) == ({}, {})
    assert (state.statements.get(b"b"), state.portals.get(b"q")) == (None, None)
    assert state.statements_bytes == 0
    assert not state.results.active
    assert state.segment is None


def test_after_an_error_names_mean_what_is_still_on_its_way(state: Conversation) -> None:
    old, skipped, later = (Statement(b"a", sql, len(sql), ()) for sql in (b"old", b"skipped", b"later"))
    state.statements.live[b"a"] = old
    state.statements.propose(b"a", skipped)
    state.propose_again()
    assert state.statements.get(b"a") is old
    state.expectations.queue.append(Expected(kinds.PARSE, b"a", later, None, None))
    state.expectations.queue.append(Expected(kinds.CLOSE_STATEMENT, b"b", None, None, None))
    state.propose_again()
    assert state.statements.get(b"a") is later
    assert state.statements.live[b"a"] is old
