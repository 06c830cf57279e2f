"""What a client's messages append to the queue and propose of names; each handler on its own."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Statement
from proxy.observe.requests import Requests
from proxy.wire.framing import Framer, ProtocolError
from tests.proxy.wirekit import (
    Bind,
    ClosePortal,
    CloseStatement,
    CopyData,
    CopyDone,
    CopyFail,
    DescribePortal,
    DescribeStatement,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Recorder,
    Sync,
    Terminate,
)


class Client:
    """The client's direction alone: nothing is ever answered."""

    def __init__(self, limits: TapLimits | None = None) -> None:
        self.observer = Recorder()
        self.state = Conversation(Session(1, "", 0.0), self.observer, limits or TapLimits())
        self.requests = Requests(self.state)
        self._framer = Framer(self.requests.messages)

    def send(self, *messages: bytes, at: float = 1.0) -> None:
        self.state.now = at
        for message in messages:
            self._framer.feed(message)

    @property
    def kinds(self) -> list[int]:
        return [entry.kind for entry in self.state.expectations.queue]

    @property
    def executions(self) -> list[Execution]:
        return [e.execution for e in self.state.expectations.queue if e.execution is not None]


@pytest.fixture
def client() -> Client:
    return Client()


def test_every_request_waits_for_its_kind_of_answer(client: Client) -> None:
    client.send(Parse("select 1", "s"), Bind("s"), DescribeStatement("s"), DescribePortal(), Execute())
    client.send(ClosePortal(), CloseStatement("s"), Flush, Sync, FunctionCall(7), Query("select 2"))
    assert client.kinds == [
        kinds.PARSE,
        kinds.BIND,
        kinds.DESCRIBE_STATEMENT,
        kinds.DESCRIBE_PORTAL,
        kinds.EXECUTE,
        kinds.CLOSE_PORTAL,
        kinds.CLOSE_STATEMENT,
        kinds.SYNC,
        kinds.FUNCTION_CALL,
        kinds.QUERY,
    ]


def test_names_mean_what_was_sent_before_the_server_agreed(client: Client) -> None:
    client.send(Parse("select 1", "s"), Bind("s", "7", portal="p"), Execute("p"))
    (execution,) = client.executions
    assert (execution.sql, execution.statement_name, execution.params) == (b"select 1", b"s", [b"7"])
    assert client.state.statements.live == {}
    client.send(CloseStatement("s"))
    assert client.state.statements.get(b"s") is None


def test_an_unknown_portal_is_counted_and_has_no_text(client: Client) -> None:
    client.send(Execute("nobody"))
    assert client.executions[0].sql == b""
    assert client.observer.counters == {"unknown_name": 1}


def test_bytes_of_a_bind_belong_to_the_first_execution_of_its_portal(client: Client) -> None:
    bind, execute = Bind("", "x" * 100), Execute()
    client.send(Parse("select $1"), bind, execute, execute)
    assert [e.bytes_in for e in client.executions] == [len(bind) + len(execute), len(execute)]


def test_windows_end_with_sync_query_and_function_call(client: Client) -> None:
    client.send(Execute(), Flush, Execute(), Sync, Query("a"), FunctionCall(1), Execute())
    assert [e.window for e in client.executions] == [1, 1, 2, 3, 4]
    assert [e.quality for e in client.executions] == [Quality.EXACT] * 5


def test_two_between_flushes_share_their_time(client: Client) -> None:
    client.send(Execute(), Execute(), Flush, Execute())
    assert [e.quality for e in client.executions] == [Quality.SHARED, Quality.SHARED, Quality.EXACT]


def test_what_follows_an_error_is_skipped_up_to_the_sync(client: Client) -> None:
    client.state.expectations.skipping = True
    client.send(Parse("a", "s"), Bind("s"), DescribeStatement("s"), Execute(), CloseStatement("s"))
    client.send(Query("b"), FunctionCall(3))
    assert client.kinds == []
    assert client.state.statements.get(b"s") is None
    done = client.state.delivery.done
    assert [(e.kind, e.outcome, e.quality) for e in done] == [
        (kind, Outcome.SKIPPED, Quality.PARTIAL) for kind in (Kind.EXTENDED, Kind.SIMPLE, Kind.FUNCTION_CALL)
    ]
    client.send(Sync, Query("c"))
    assert client.kinds == [kinds.SYNC, kinds.QUERY]


def test_a_query_proposes_the_end_of_what_is_unnamed_only_if_there_is_something(client: Client) -> None:
    client.send(Query("a"))
    client.state.statements.live[UNNAMED] = Statement(UNNAMED, b"x", 1, ())
    client.send(Query("b"))
    drops = [getattr(entry, "drops_unnamed", None) for entry in client.state.expectations.queue]
    assert drops == [False, True]
    assert client.state.statements.get(UNNAMED) is None


def test_texts_and_values_beyond_their_limits() -> None:
    client = Client(TapLimits(sql_bytes=10, param_bytes=20))
    client.send(Query("select " + "x" * 30))
    client.send(Parse("select " + "y" * 3_000, "s"), Bind("s", "z" * 40), Execute())
    simple, extended = client.executions
    assert (simple.sql, simple.sql_length) == (b"select xxx", 37)
    assert (extended.sql, extended.sql_length, extended.params) == (b"select yyy", 3_007, None)
    assert client.observer.counters == {"bypass.sql": 2, "bypass.params": 1}


def test_requests_without_an_answer_are_bounded() -> None:
    client = Client(TapLimits(outstanding=3, detailed=1))
    client.send(Bind("", "a"), Bind("", "b"), Bind("", "c"))
    heads = [e.portal.head.params for e in client.state.expectations.queue if e.portal is not None]
    assert heads == [[b"a"], [b"b"], None]
    with pytest.raises(ProtocolError) as caught:
        client.send(Sync)
    assert caught.value.reason == "outstanding"


def test_copy_data_belongs_to_the_statement_that_reads_it(client: Client) -> None:
    client.send(CopyData("nobody asked"))
    client.send(Query("copy t from stdin"), at=2.0)
    before = client.executions[0].bytes_in
    client.send(CopyData("12345"), CopyDone, Sync)
    assert client.executions[0].bytes_in - before == len(CopyData("12345"))
    assert client.kinds == [kinds.QUERY, kinds.COPY_END, kinds.SYNC]


def test_late_ends_of_a_copy_are_nothing(client: Client) -> None:
    client.send(CopyDone, CopyFail())
    assert client.kinds == []


def test_terminate_is_noted(client: Client) -> None:
    assert client.requests.terminated is False
    client.send(Terminate)
    assert client.requests.terminated is True
