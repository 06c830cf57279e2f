"""The server's messages before anybody asked, and what each answer does to the first expectation."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.expectations import COPY_DONE, SYNC_BEFORE_DATA, Batch, Expected
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.observe.replies import REPLICATION, Replies
from proxy.wire import messages
from proxy.wire.framing import Framer, ProtocolError
from tests.proxy.wirekit import (
    GREETING,
    AuthenticationOk,
    BackendKey,
    BindComplete,
    CloseComplete,
    Complete,
    CopyBoth,
    CopyIn,
    DataRow,
    Error,
    NoData,
    Notice,
    ParameterDescription,
    ParameterStatus,
    ParseComplete,
    Recorder,
    RowDescription,
    Z,
    message,
)


class Server:
    """The server's direction alone, with a queue that the test fills."""

    def __init__(self, limits: TapLimits | None = None, *, greeted: bool = True) -> None:
        self.observer = Recorder()
        self.state = Conversation(Session(1, "", 0.0), self.observer, limits or TapLimits())
        self._framer = Framer(Replies(self.state).messages)
        if greeted:
            self.send(GREETING)

    def send(self, *data: bytes, at: float = 1.0) -> None:
        self.state.now = at
        for chunk in data:
            self._framer.feed(chunk)

    def expect(
        self,
        kind: int,
        name: bytes = b"",
        statement: Statement | None = None,
        portal: Portal | None = None,
        execution: Execution | None = None,
    ) -> Expected:
        entry = Expected(kind, name, statement, portal, execution)
        entry.propose(self.state.statements, self.state.portals)
        self.state.expectations.queue.append(entry)
        return entry

    def running(self) -> Execution:
        execution = Execution(self.state.session, Kind.EXTENDED, b"select 1", 8, 1.0)
        self.expect(kinds.EXECUTE, execution=execution)
        return execution


@pytest.fixture
def server() -> Server:
    return Server()


def statement(name: bytes = b"s") -> Statement:
    return Statement(name, b"select 1", 8, ())


def portal() -> Portal:
    return Portal(None, messages.Bind(b"", b""), 0)


def test_the_greeting_opens_the_session() -> None:
    server = Server(greeted=False)
    server.send(AuthenticationOk, BackendKey(42), ParameterStatus("application_name", "shop\xe9"))
    assert server.observer.opened == []
    server.send(Z())
    assert server.observer.opened == [server.state.session]
    assert (server.state.session.backend_pid, server.state.session.application_name) == (42, "shopé")


def test_a_login_that_fails_is_counted_and_opens_nothing() -> None:
    server = Server(greeted=False)
    server.send(Error("28P01", "FATAL"))
    assert server.observer.counters == {"login_failed.28P01": 1}
    assert server.observer.opened == []


def test_replication_is_opened_and_then_left_alone() -> None:
    server = Server(greeted=False)
    server.state.session.replication = True
    with pytest.raises(ProtocolError) as caught:
        server.send(GREETING)
    assert caught.value.reason == REPLICATION
    assert server.observer.opened == [server.state.session]


def test_parameters_that_change_are_followed(server: Server) -> None:
    for name, value in (
        ("client_encoding", "LATIN1"),
        ("standard_conforming_strings", "off"),
        ("server_version", "18.0"),
        ("TimeZone", "UTC"),
    ):
        server.send(ParameterStatus(name, value))
    session = server.state.session
    assert (session.client_encoding, session.server_version) == ("LATIN1", "18.0")
    assert session.standard_conforming_strings is False


def test_an_older_protocol_is_counted(server: Server) -> None:
    server.send(message("v", b"\0\0\0\0\0\0\0\0"))
    assert server.observer.counters == {"protocol_negotiated": 1}


def test_an_error_that_answers_nobody_is_the_servers_goodbye(server: Server) -> None:
    server.state.expectations.queue.append(COPY_DONE)
    server.send(Notice(), Error("57P01", "FATAL"))
    assert server.observer.counters == {"session_notice.57P01": 1}


def test_acknowledgements_put_names_in_force(server: Server) -> None:
    meaning, bound = statement(), portal()
    server.expect(kinds.PARSE, b"s", meaning)
    server.expect(kinds.BIND, b"p", portal=bound)
    server.send(ParseComplete, BindComplete)
    assert server.state.statements.live == {b"s": meaning}
    assert server.state.portals.live == {b"p": bound}
    server.expect(kinds.CLOSE_PORTAL, b"p")
    server.expect(kinds.CLOSE_STATEMENT, b"s")
    server.send(CloseComplete, CloseComplete)
    assert (server.state.statements.live, server.state.portals.live) == ({}, {})
    assert not server.state.expectations.queue


def test_portals_are_bounded() -> None:
    server = Server(TapLimits(names=1))
    for name in (b"a", b"b"):
        server.expect(kinds.BIND, name, portal=portal())
    server.send(BindComplete, BindComplete)
    assert set(server.state.portals.live) == {b"a"}
    assert server.observer.counters == {"bypass.names": 1}


@pytest.mark.parametrize("end", ["close", "replace"])
def test_a_portal_that_goes_completes_what_was_fetched(server: Server, end: str) -> None:
    part = portal()
    part.suspended = Execution(server.state.session, Kind.EXTENDED, b"part", 4, 0.0)
    server.state.portals.live[b"p"] = part
    if end == "close":
        server.expect(kinds.CLOSE_PORTAL, b"p")
        server.send(CloseComplete)
    else:
        server.expect(kinds.BIND, b"p", portal=portal())
        server.send(BindComplete)
    assert [(e.sql, e.outcome) for e in server.state.delivery.done] == [(b"part", Outcome.OK)]


def test_descriptions_belong_to_the_statement(server: Server) -> None:
    described, silent = statement(), statement()
    server.expect(kinds.DESCRIBE_STATEMENT, statement=described)
    server.expect(kinds.DESCRIBE_STATEMENT, statement=silent)
    server.send(ParameterDescription(23, 25), RowDescription("a"), ParameterDescription(), NoData)
    assert (described.oids, described.columns) == ((23, 25), RowDescription("a")[5:])
    assert (silent.oids, silent.columns) == ((), None)
    assert not server.state.expectations.queue


def test_a_description_beyond_the_limit_is_not_kept() -> None:
    server = Server(TapLimits(columns_bytes=30))
    described = statement()
    server.expect(kinds.DESCRIBE_PORTAL, statement=described)
    server.send(RowDescription("a" * 30))
    assert described.columns is None
    assert server.observer.counters == {"bypass.columns": 1}


def test_rows_bytes_and_the_first_byte(server: Server) -> None:
    execution = server.running()
    rows = DataRow("a") + DataRow("b")
    server.send(rows, at=2.0)
    server.send(Complete("SELECT 2"), at=3.0)
    assert (execution.rows, execution.tag) == (2, b"SELECT 2")
    assert execution.bytes_out == len(rows) + len(Complete("SELECT 2"))
    assert (execution.t_first, execution.t_done) == (2.0, 3.0)
    assert execution.row_data is not None


def test_keeping_no_rows_is_possible() -> None:
    server = Server(TapLimits(result_bytes=0))
    execution = server.running()
    server.send(DataRow("a") + Complete("SELECT 1"))
    assert (execution.rows, execution.row_data) == (1, None)
    assert server.observer.counters == {}


def test_copy_in_is_bound_to_the_client_unless_the_data_was_sent_ahead(server: Server) -> None:
    execution = server.running()
    server.send(CopyIn, at=2.0)
    server.send(Complete("COPY 3"), at=5.0)
    assert (execution.quality, execution.rows) == (Quality.CLIENT_BOUND, 3)
    ahead = server.running()
    server.state.expectations.queue.append(COPY_DONE)
    server.send(CopyIn, Complete("COPY 1"), at=6.0)
    assert (ahead.stalled, ahead.outcome) == (0.0, Outcome.OK)


def test_copy_both_ends_observation(server: Server) -> None:
    server.running()
    with pytest.raises(ProtocolError) as caught:
        server.send(CopyBoth)
    assert caught.value.reason == "copy_both"


def test_ready_before_a_result_is_complete_cannot_be(server: Server) -> None:
    batch = Batch(kinds.QUERY, UNNAMED, Execution(server.state.session, Kind.SIMPLE, b"x", 1, 1.0))
    server.state.expectations.queue.append(batch)
    with pytest.raises(ProtocolError) as caught:
        server.send(Z())
    assert caught.value.reason == "incomplete_result"


def test_ready_delivers(server: Server) -> None:
    server.running()
    server.state.expectations.queue.append(SYNC_BEFORE_DATA)
    server.send(Complete("SELECT 0"))
    assert server.observer.executions == []
    server.send(Z("T"))
    assert [e.transaction for e in server.observer.executions] == [ord("T")]
    assert server.state.status == ord("T")
