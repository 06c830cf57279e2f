"""The session as a whole: log-in, asynchronous messages, stalls, limits, going opaque, ending."""

from __future__ import annotations

import gc
import sys

import pytest

from proxy.observe.execution import Execution, Outcome, Quality, Session
from proxy.observe.tap import SessionTap, Side, TapLimits
from proxy.wire.rows import read_rows
from tests.proxy.wirekit import (
    GREETING,
    AuthenticationOk,
    BackendKey,
    Bind,
    BindComplete,
    CloseComplete,
    Complete,
    DataRow,
    Error,
    Execute,
    Flush,
    FunctionResult,
    Notice,
    Notification,
    ParameterDescription,
    ParameterStatus,
    Parse,
    ParseComplete,
    Query,
    Recorder,
    RowDescription,
    Script,
    Sent,
    Suspended,
    Sync,
    Terminate,
    Z,
    client,
    message,
    ran,
    server,
)


def test_session_is_described_and_opened_at_the_first_ready() -> None:
    script = Script(greet=False, parameters={"user": "ann", "application_name": "web"})
    assert script.session.database == "ann"
    script >> server(
        AuthenticationOk,
        ParameterStatus("application_name", "web2"),
        ParameterStatus("server_version", "16.4"),
    )
    script >> server(BackendKey(99))
    assert script.observer.opened == []
    script >> server(Z())
    assert script.observer.opened == [script.session]
    assert script.tap.authenticated
    assert script.tap.idle
    session = script.session
    assert (session.user, session.application_name, session.server_version) == ("ann", "web2", "16.4")
    assert session.backend_pid == 99


def test_s8_version_negotiation_is_recorded() -> None:
    script = Script(greet=False) >> server(message("v", b"\0\3\0\0\0\0\0\0"), GREETING)
    assert script.tap.authenticated
    assert script.observer.counters == {"protocol_negotiated": 1}


def test_s11_secrets_of_authentication_are_kept_nowhere() -> None:
    script = Script(greet=False) >> server(message("R", b"\0\0\0\3"))
    secret = b"hunter2-" * 3
    for byte in message("p", secret + b"\0")[:-1]:
        script >> client(bytes([byte]))
    kept = [o for o in gc.get_objects() if isinstance(o, bytearray) and b"hunter2" in o]
    assert kept == []
    script >> client(b"\0") >> server(GREETING)
    assert script.tap.authenticated


def test_s13_error_during_log_in_is_a_failed_login() -> None:
    script = Script(greet=False) >> server(Error("28P01", "FATAL"))
    script.tap.closed(script.now)
    assert script.observer.counters == {"login_failed.28P01": 1}
    assert script.observer.executions == []
    assert script.observer.opened == []
    assert script.observer.closed == []


@pytest.mark.parametrize("value", ["true", "database", "1", "on"])
def test_s14_replication_is_opaque_on_purpose(value: str) -> None:
    script = Script(parameters={"user": "ann", "replication": value})
    assert script.session.replication
    assert script.tap.opaque
    assert script.observer.counters == {"sessions.replication": 1}
    script >> client(Query("IDENTIFY_SYSTEM")) >> server(b"anything")
    script.tap.closed(1.0)
    assert script.observer.executions == []
    assert len(script.observer.closed) == 1


def test_s14_replication_turned_off_is_an_ordinary_session() -> None:
    assert not Script(parameters={"user": "ann", "replication": "off"}).tap.opaque


def test_s15_backend_key_may_be_absent() -> None:
    script = Script(greet=False) >> server(AuthenticationOk, Z())
    script.ends()


def test_c7_cancelled_statement_has_its_sqlstate(script: Script) -> None:
    script >> client(Query("select pg_sleep(9)"), ONE, Sync)
    (
        script
        >> server(Error("57014"), Z())
        << ran("select pg_sleep(9)", sqlstate=b"57014", outcome=Outcome.ERROR)
    )
    script >> server(ONE_DONE, Z()) << ran("select 1")
    script.ends()


ONE = Parse("select 1") + Bind() + Execute()
ONE_DONE = ParseComplete + BindComplete + DataRow("1") + Complete("SELECT 1")


def test_a1_asynchronous_messages_never_answer_anything(script: Script) -> None:
    noise = Notice() + Notification() + ParameterStatus("TimeZone", "UTC")
    script >> server(noise)
    script >> client(ONE, Sync) >> server(noise, ParseComplete, noise, BindComplete, noise)
    script >> server(DataRow("1"), noise, DataRow("2"), Complete("SELECT 2"), noise, Z(), noise)
    script << ran("select 1", rows=2)
    rows = script.observer.executions[-1].row_data
    assert rows is not None
    assert list(read_rows(rows)) == [[b"1"], [b"2"]]
    script.ends()


def test_a2_error_while_idle_is_a_notice_about_the_session(script: Script) -> None:
    script >> server(Error("57P01", "FATAL")) << []
    assert script.observer.counters == {"session_notice.57P01": 1}


def test_a3_connection_lost_in_the_middle_of_a_statement(script: Script) -> None:
    script >> client(Query("select 1; select pg_sleep(9)")) >> server(Complete("SELECT 1"))
    script >> client(ONE, Sync)
    script.now = 103.0
    script.tap.closed(103.0)
    script.tap.closed(104.0)
    got = [(e.outcome, e.quality, e.duration) for e in script.observer.executions]
    assert got[1:] == [(Outcome.ABORTED, Quality.PARTIAL, None)]
    assert got[0][0] == Outcome.OK
    assert script.observer.executions[0].statements == 0
    assert script.observer.closed == [(script.session, 103.0)]


def test_a3_fatal_error_ends_the_running_statement(script: Script) -> None:
    script >> client(Query("select pg_sleep(9)")) >> server(Error("57P01", "FATAL"))
    script.tap.closed(script.now)
    script << ran("select pg_sleep(9)", outcome=Outcome.ERROR, sqlstate=b"57P01", t_ready=0.0)


def test_a8_stall_of_the_client_is_taken_off(script: Script) -> None:
    script >> client(Query("big"))
    script.at(0.1) >> server(RowDescription("a"), DataRow("1"))
    script.tap.paused(Side.SERVER, 100.2)
    script.tap.paused(Side.SERVER, 100.3)
    script.tap.resumed(Side.SERVER, 105.2)
    script.tap.resumed(Side.SERVER, 105.3)
    script.at(5.5) >> server(Complete("SELECT 1"), Z())
    script << ran("big", stalled=5.0, duration=0.5, quality=Quality.CLIENT_BOUND)


def test_a8_stall_before_a_statement_began_is_not_its_own(script: Script) -> None:
    script.tap.paused(Side.SERVER, 100.0)
    script.tap.resumed(Side.SERVER, 104.0)
    script.at(5) >> client(Query("q"), Query("r"))
    script.at(6) >> server(Complete("SELECT 0"), Z())
    script.tap.paused(Side.SERVER, 106.5)
    script.at(8) >> server(Complete("SELECT 0"), Z())
    script << [
        ran("q", stalled=0.0, quality=Quality.EXACT, duration=1.0),
        ran("r", stalled=1.5, quality=Quality.CLIENT_BOUND, duration=0.5),
    ]


def test_a8_a_request_that_the_server_took_late_was_sent_late(script: Script) -> None:
    script >> client(Query("early")) >> server(Complete("SELECT 0"), Z()) << ran("early")
    script.at(1) >> client(Query("x" * 1000))
    script.tap.paused(Side.CLIENT, 101.0)
    script.tap.resumed(Side.CLIENT, 103.0)
    script.at(4) >> server(Complete("SELECT 0"), Z())
    script << ran("x" * 1000, t_recv=1.0, t_sent=3.0, duration=1.0)


def test_a11_bytes_after_terminate_are_ignored(script: Script) -> None:
    script >> client(Terminate) >> client(b"\xff\xff\xff\xff\xff")
    assert not script.tap.opaque


def test_a12_idle_only_between_transactions_with_nothing_outstanding(script: Script) -> None:
    begin = Query("begin")
    seen = [script.tap.idle]
    for step in (
        client(begin[:3]),
        client(begin[3:]),
        server(Complete("BEGIN")),
        server(Z("T")),
        client(Query("commit")),
        server(Complete("COMMIT"), Z("I")),
    ):
        script >> step
        seen.append(script.tap.idle)
    assert seen == [True, False, False, False, False, False, True]


class Faulty(Recorder):
    def executed(self, execution: Execution) -> None:
        super().executed(execution)
        raise RuntimeError("secret literal")


def test_a13_failing_observer_makes_the_session_opaque_and_nothing_else() -> None:
    observer = Faulty()
    session = Session(1, "test", 0.0)
    tap = SessionTap(session, observer, TapLimits())
    tap.started(b"", {"user": "ann"}, 0.0)
    tap.feed_server(GREETING, 0.0)
    tap.feed_client(Query("a") + Query("b"), 0.0)
    tap.feed_server(Complete("SELECT 0") + Z() + Complete("SELECT 0") + Z(), 0.0)
    assert tap.opaque
    assert session.opaque_reason == "internal: RuntimeError"
    assert observer.counters == {"opaque.internal": 1}
    tap.feed_client(Query("c"), 0.0)
    tap.closed(1.0)
    assert len(observer.closed) == 1


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("unknown_message", client(b"%\0\0\0\4")),
        ("unknown_message", server(b"%\0\0\0\4")),
        ("bad_length", client(b"Q\0\0\0\3")),
        ("bad_length", server(b"D\0\0\0\0")),
        ("bad_length", server(b"D\xff\xff\xff\xff")),
        ("answer_without_request", server(Complete("SELECT 1"))),
        ("answer_without_request", server(Z())),
    ],
)
def test_f2_what_cannot_be_is_opaque_with_a_counted_reason(script: Script, reason: str, sent: Sent) -> None:
    script >> sent
    assert script.tap.opaque
    assert not script.tap.idle
    assert script.session.opaque_reason == reason
    assert script.observer.counters == {f"opaque.{reason}": 1}


@pytest.mark.parametrize(
    "answer",
    [BindComplete, ParameterDescription(1), Suspended, Z(), FunctionResult, CloseComplete, Complete("A")],
)
def test_an_answer_that_the_table_does_not_allow_is_opaque(script: Script, answer: bytes) -> None:
    script >> client(Parse("x"), Sync) >> server(answer)
    assert script.observer.counters == {"opaque.unexpected_answer": 1}


def test_a_result_without_completion_is_opaque(script: Script) -> None:
    script >> client(Query("x")) >> server(DataRow("1"), Z())
    assert script.observer.counters == {"opaque.incomplete_result": 1}
    assert [e.outcome for e in script.observer.executions] == [Outcome.ABORTED]


def test_going_opaque_delivers_what_is_pending_in_order_and_lets_go(script: Script) -> None:
    script >> client(ONE, Flush, Parse("two"), Bind("", "v"), Execute(), Sync, Query("three"))
    script >> server(ONE_DONE) >> server(b"\0\0\0\0\0")
    got = [(e.sql, e.outcome, e.quality) for e in script.observer.executions]
    assert got == [
        (b"select 1", Outcome.OK, Quality.EXACT),
        (b"two", Outcome.ABORTED, Quality.PARTIAL),
        (b"three", Outcome.ABORTED, Quality.PARTIAL),
    ]


def test_f3_skipped_bodies_are_not_accumulated() -> None:
    """300 MB in each direction; the pieces are one object, so only what is kept could grow."""
    script = Script()
    piece = bytes(1 << 20)
    script.tap.feed_client(b"B" + (300 * len(piece) + 6).to_bytes(4, "big") + b"\0\0", script.now)
    for _ in range(300):
        script.tap.feed_client(piece, script.now)
    script >> client(Execute(), Sync) >> server(BindComplete)
    script.tap.feed_server(b"D" + (300 * len(piece) + 4).to_bytes(4, "big"), script.now)
    for _ in range(300):
        script.tap.feed_server(piece, script.now)
    script >> server(Complete("SELECT 1"), Z())
    script << ran(
        "", rows=1, bytes_out=300 * len(piece) + 5 + len(Complete("SELECT 1")), params=None, row_data=None
    )
    assert script.observer.counters["bypass.params"] == 1
    assert script.observer.counters["bypass.rows"] == 1


def test_f3_long_texts_are_cut_and_their_length_is_known(script: Script) -> None:
    sql = "select " + "x" * 100_000
    script >> client(Query(sql)) >> server(Complete("SELECT 0"), Z())
    got = script.observer.executions[-1]
    assert got.sql == sql[: 64 * 1024].encode()
    assert got.sql_length == len(sql)
    script >> client(Parse(sql, "s", (1, 2)), Bind("s"), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, Complete("SELECT 0"), Z())
    got = script.observer.executions[-1]
    assert got.sql == sql[: 64 * 1024].encode()
    # The type OIDs stand behind the text and were not read.
    assert len(sql) <= got.sql_length <= len(sql) + 8
    assert script.observer.counters == {"bypass.sql": 2}


def test_f6_a_long_window_is_delivered_in_parts() -> None:
    script = Script(limits=TapLimits(window=10))
    script >> client(Parse("x", "s"), *(Bind("s", str(i)) + Execute() for i in range(25)), Sync)
    script >> server(ParseComplete, *(BindComplete + Complete("INSERT 0 1") for _ in range(24)))
    assert len(script.observer.executions) == 20
    script >> server(BindComplete, Complete("INSERT 0 1"), Z())
    got = script.observer.executions
    assert [e.params for e in got] == [[str(i).encode()] for i in range(25)]
    assert {e.quality for e in got} == {Quality.SHARED}
    assert [e.t_ready > 0 for e in got] == [False] * 20 + [True] * 5
    script.ends()


def test_f6_a_hundred_thousand_executions_in_one_sync_stay_small() -> None:
    script = Script()
    observer = script.observer
    observer.executed = lambda execution: None  # type: ignore[method-assign]
    script >> client(Parse("x", "s"))
    script >> server(ParseComplete)
    request = (Bind("s", "value") + Execute()) * 100
    answer = (BindComplete + Complete("INSERT 0 1")) * 100
    sizes = []
    for _ in range(1000):
        script.tap.feed_client(request, script.now)
        script.tap.feed_server(answer, script.now)
        sizes.append(
            sum(1 for _ in script.tap._state.expectations.queue) + len(script.tap._state.delivery.done)
        )
    assert max(sizes) <= 256
    script >> client(Sync) >> server(Z())
    script.ends()


def test_f6_values_of_far_outstanding_requests_are_not_kept() -> None:
    script = Script(limits=TapLimits(detailed=10))
    script >> client(Parse("x", "s"), *(Bind("s", "v") + Execute() for _ in range(10)), Sync)
    script >> server(ParseComplete, *(BindComplete + Complete("INSERT 0 1") for _ in range(10)), Z())
    got = [e.params for e in script.observer.executions]
    assert got[0] == [b"v"]
    assert got[-1] is None
    assert script.observer.counters["bypass.params"] == got.count(None)


def test_f6_too_many_outstanding_requests_turn_the_session_opaque() -> None:
    script = Script(limits=TapLimits(outstanding=10))
    script >> client(Sync * 11)
    assert script.observer.counters == {"opaque.outstanding": 1}


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"SERROR\0", b"SERROR\0Mx\0\0", b"C\0\0", b"Cabc\0\0", b"M\xff\xfe"]
)
def test_f7_malformed_errors_are_errors_still(script: Script, body: bytes) -> None:
    script >> client(Query("x")) >> server(message("E", body), Z())
    script << ran("x", outcome=Outcome.ERROR, sqlstate=b"XX000")
    script.ends()


def test_f4_a_length_of_two_gigabytes_is_believed_and_kept_nowhere() -> None:
    script = Script()
    script.tap.feed_client(b"d\x7f\xff\xff\xff" + bytes(1000), script.now)
    assert not script.tap.opaque
    assert sys.getsizeof(script.tap._client._head) < 100


def test_result_rows_are_held_by_reference_up_to_the_budget() -> None:
    script = Script(limits=TapLimits(result_bytes=1000))
    script >> client(Query("x")) >> server(RowDescription("a"))
    for i in range(20):
        script >> server(DataRow("v" * 100), DataRow(str(i)))
    script >> server(Complete("SELECT 40"), Z())
    got = script.observer.executions[-1]
    assert got.rows == 40
    assert got.row_data is not None
    assert 0 < got.row_data.size <= 1000
    values = list(read_rows(got.row_data))
    assert len(values) == got.row_data.held
    assert values[:4] == [[b"v" * 100], [b"0"], [b"v" * 100], [b"1"]]
    assert script.observer.counters == {"bypass.rows": 1}


def test_small_result_in_a_large_chunk_does_not_keep_the_chunk_alive() -> None:
    script = Script()
    script >> client(Query("x"), Query("y"))
    script >> server(
        DataRow("1"), Complete("SELECT 1"), Z(), DataRow("v" * 50_000), Complete("SELECT 1"), Z()
    )
    small, large = (e.row_data for e in script.observer.executions)
    assert small is not None
    assert large is not None
    assert small.size == len(DataRow("1"))
    assert list(read_rows(small)) == [[b"1"]]
    assert list(read_rows(large)) == [[b"v" * 50_000]]


def test_rows_cut_anywhere_read_back_the_same(script: Script) -> None:
    rows = [[str(i).encode(), None, b"x" * i] for i in range(30)]
    script >> client(Query("q"))
    script >> server(
        RowDescription("a", "b", "c"), *(DataRow(*row) for row in rows), Complete("SELECT 30"), Z()
    )
    got = script.observer.executions[-1].row_data
    assert got is not None
    assert list(read_rows(got)) == rows
    assert list(read_rows(got, 3)) == rows[:3]


def test_no_rows_no_row_data(script: Script) -> None:
    script >> client(Query("q")) >> server(RowDescription("a"), Complete("SELECT 0"), Z())
    script << ran("q", row_data=None, rows=0, columns=RowDescription("a")[5:])


def test_results_of_one_window_are_bounded_together() -> None:
    script = Script(limits=TapLimits(result_bytes=1000, window_result_bytes=1500))
    script >> client(*(Parse("x") + Bind() + Execute() for _ in range(5)), Sync)
    for _ in range(5):
        script >> server(ParseComplete, BindComplete, DataRow("v" * 500), Complete("SELECT 1"))
    script >> server(Z())
    assert [e.row_data is not None for e in script.observer.executions] == [True, True, False, False, False]
    assert script.observer.counters == {"bypass.rows": 3}
