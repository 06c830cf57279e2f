"""The simple protocol: items Q1 to Q6 and the rows of the experiments that use Query."""

from __future__ import annotations

import pytest

from proxy.observe.execution import Kind, Outcome, Quality
from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    Complete,
    DataRow,
    EmptyQuery,
    Error,
    Execute,
    FunctionCall,
    FunctionResult,
    Notice,
    ParameterStatus,
    Parse,
    ParseComplete,
    Query,
    RowDescription,
    Script,
    Suspended,
    Sync,
    Z,
    client,
    ran,
    server,
)


def test_one_statement_is_exact(script: Script) -> None:
    script >> client(Query("select 1"))
    script.at(0.25) >> server(RowDescription("a"), DataRow("1"), Complete("SELECT 1"), Z())
    script << ran(
        "select 1",
        kind=Kind.SIMPLE,
        rows=1,
        tag=b"SELECT 1",
        statements=1,
        ordinal=0,
        quality=Quality.EXACT,
        outcome=Outcome.OK,
        t_recv=0.0,
        t_sent=0.0,
        t_start=0.0,
        t_first=0.25,
        t_done=0.25,
        t_ready=0.25,
        stalled=0.0,
        duration=0.25,
        transaction=ord("I"),
        sql_length=8,
        bytes_in=14,
        bytes_out=len(RowDescription("a") + DataRow("1") + Complete("SELECT 1")),
        params=None,
    )
    script.ends()


def test_q1_three_results_in_one_query_share_one_time(script: Script) -> None:
    sql = "select 1; insert into t values (1),(2); begin"
    script >> client(Query(sql))
    script.at(0.4) >> server(
        RowDescription("a"),
        DataRow("1"),
        Complete("SELECT 1"),
        Complete("INSERT 0 2"),
        Complete("BEGIN"),
        Z("T"),
    )
    script << [
        ran(sql, ordinal=0, statements=3, rows=1, quality=Quality.SHARED, duration=None),
        ran(sql, ordinal=1, statements=3, rows=2, quality=Quality.SHARED, bytes_in=0),
        ran(sql, ordinal=2, statements=3, rows=0, quality=Quality.SHARED, transaction=ord("T")),
    ]


def test_q1_the_failing_statement_is_the_one_at_the_next_ordinal(script: Script) -> None:
    sql = "select 1; select 1/0; select 2"
    (
        script
        >> client(Query(sql))
        >> server(
            RowDescription("a"), DataRow("1"), Complete("SELECT 1"), RowDescription("b"), Error("22012"), Z()
        )
    )
    script << [
        ran(sql, ordinal=0, statements=0, outcome=Outcome.OK, quality=Quality.SHARED),
        ran(sql, ordinal=1, statements=0, outcome=Outcome.ERROR, sqlstate=b"22012", rows=0),
    ]
    script.ends()


def test_a_failing_statement_alone(script: Script) -> None:
    script >> client(Query("selec")) >> server(Error("42601"), Z())
    script << ran("selec", ordinal=0, outcome=Outcome.ERROR, sqlstate=b"42601", statements=0)
    script.ends()


def test_rows_before_the_error_are_counted(script: Script) -> None:
    script >> client(Query("select 1/x")) >> server(RowDescription("a"), DataRow("1"), Error("22012"), Z("E"))
    script << ran("select 1/x", rows=1, outcome=Outcome.ERROR, transaction=ord("E"))


@pytest.mark.parametrize("sql", ["", " ; "])
def test_empty_query(script: Script, sql: str) -> None:
    script >> client(Query(sql)) >> server(EmptyQuery, Z())
    script << ran(sql, outcome=Outcome.EMPTY, rows=0)
    script.ends()


def test_q2_query_destroys_the_unnamed_statement(script: Script) -> None:
    script >> client(Parse("select 'old'"), Sync) >> server(ParseComplete, Z())
    script >> client(Query("select 1")) >> server(Complete("SELECT 1"), Z())
    script << ran("select 1")
    script >> client(Bind(), Execute(), Sync) >> server(Error("26000"), Z())
    script << ran("", outcome=Outcome.ERROR, sqlstate=b"26000")
    script.ends()


def test_q2_query_destroys_the_unnamed_portal_and_ends_its_fetches(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("select a from t"), Bind(), Execute(limit=1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T"))
    script << []
    script >> client(Query("select 2")) >> server(Complete("SELECT 0"), Z("T"))
    script << [ran("select 2"), ran("select a from t", rows=1, outcome=Outcome.OK)]


def test_q3_transaction_state_comes_from_ready_for_query_only(script: Script) -> None:
    (
        script
        >> client(Query("begin"))
        >> server(Complete("BEGIN"), Z("T"))
        << ran("begin", transaction=ord("T"))
    )
    assert not script.tap.idle
    script >> client(Query("oops")) >> server(Error("42601"), Z("E")) << ran("oops", transaction=ord("E"))
    script >> client(Query("commit")) >> server(Complete("ROLLBACK"), Z("I"))
    script << ran("commit", tag=b"ROLLBACK", transaction=ord("I"))
    script.ends()


@pytest.mark.parametrize(
    ("tag", "rows"),
    [
        ("INSERT 0 3", 3),
        ("UPDATE 4", 4),
        ("DELETE 0", 0),
        ("MERGE 2", 2),
        ("SELECT 7", 7),
        ("FETCH 1", 1),
        ("MOVE 5", 5),
        ("COPY 9", 9),
        ("CREATE TABLE", 0),
        ("BEGIN", 0),
    ],
)
def test_q4_rows_of_tags(script: Script, tag: str, rows: int) -> None:
    script >> client(Query("x")) >> server(Complete(tag), Z()) << ran("x", rows=rows, tag=tag.encode())


def test_q4_returned_rows_are_counted_once(script: Script) -> None:
    (
        script
        >> client(Query("insert returning"))
        >> server(RowDescription("a"), DataRow("1"), DataRow("2"), Complete("INSERT 0 2"), Z())
    )
    script << ran("insert returning", rows=2)


def test_q5_text_is_kept_as_bytes_and_its_encoding_is_known(script: Script) -> None:
    script >> client(Query("set client_encoding to latin1"))
    script >> server(Complete("SET"), ParameterStatus("client_encoding", "LATIN1"), Z())
    script >> client(Query("select 'é'".encode("latin1"))) >> server(Complete("SELECT 1"), Z())
    assert script.observer.executions[-1].sql == b"select '\xe9'"
    assert script.session.client_encoding == "LATIN1"


def test_q6_standard_conforming_strings_is_tracked(script: Script) -> None:
    assert script.session.standard_conforming_strings
    script >> client(Query("set standard_conforming_strings to off"))
    script >> server(Complete("SET"), ParameterStatus("standard_conforming_strings", "off"), Z())
    assert not script.session.standard_conforming_strings


def test_notice_then_sleep_does_not_complete_anything(script: Script) -> None:
    script >> client(Query("do")) >> server(Notice())
    script << []
    script.at(0.2) >> server(Complete("DO"), Z()) << ran("do", duration=0.2, t_first=0.2)


def test_pipelined_queries_begin_when_the_one_before_is_ready(script: Script) -> None:
    script >> client(Query("a"), Query("b"))
    script.at(0.2) >> server(Complete("SELECT 0"), Z())
    script.at(0.5) >> server(Complete("SELECT 0"), Z())
    script << [ran("a", duration=0.2, window=1), ran("b", duration=0.3, t_start=0.2, window=2)]


def test_answers_read_together_have_no_time_of_their_own(script: Script) -> None:
    script >> client(Query("a"), Query("b"))
    script.at(0.2) >> server(Complete("SELECT 0"), Z(), Complete("SELECT 0"), Z())
    script << [ran("a", quality=Quality.EXACT), ran("b", quality=Quality.SHARED)]


def test_k6_function_call(script: Script) -> None:
    script >> client(FunctionCall(1598))
    script.at(0.1) >> server(FunctionResult, Z())
    script << ran(kind=Kind.FUNCTION_CALL, tag=b"FUNCTION 1598", outcome=Outcome.OK, duration=0.1)
    script >> client(FunctionCall(1)) >> server(Error("42883"), Z())
    script << ran(kind=Kind.FUNCTION_CALL, outcome=Outcome.ERROR, sqlstate=b"42883")
    script.ends()
