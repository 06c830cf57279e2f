"""The extended protocol: items X1 to X12 and the rows of the experiments that pipeline."""

from __future__ import annotations

from proxy.observe.execution import Kind, Outcome, Quality
from proxy.observe.tap import TapLimits
from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    CloseComplete,
    ClosePortal,
    CloseStatement,
    Complete,
    DataRow,
    DescribePortal,
    DescribeStatement,
    EmptyQuery,
    Error,
    Execute,
    Flush,
    FunctionCall,
    NoData,
    ParameterDescription,
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

ONE = Parse("select 1") + Bind() + Execute()
ONE_DONE = ParseComplete + BindComplete + DataRow("1") + Complete("SELECT 1")


def test_x1_one_execution_alone_in_its_window_is_exact(script: Script) -> None:
    script >> client(
        Parse("select $1", "s1", (23,)),
        Bind("s1", "5", None, result_formats=(1,)),
        DescribePortal(),
        Execute(),
        Sync,
    )
    script.at(0.3) >> server(
        ParseComplete, BindComplete, RowDescription("a"), DataRow("1"), Complete("SELECT 1"), Z()
    )
    script << ran(
        "select $1",
        kind=Kind.EXTENDED,
        statement_name=b"s1",
        params=[b"5", None],
        param_formats=(),
        param_oids=(23,),
        result_formats=(1,),
        rows=1,
        quality=Quality.EXACT,
        duration=0.3,
        t_ready=0.3,
        statements=1,
        columns=RowDescription("a")[5:],
    )
    script.ends()


def test_x1_all_kinds_of_answers_in_one_window(script: Script) -> None:
    script >> client(
        Parse("select $1", "s"),
        DescribeStatement("s"),
        Bind("s", "1", portal="p"),
        DescribePortal("p"),
        Execute("p", 1),
        Execute("p"),
        ClosePortal("p"),
        CloseStatement("s"),
        Flush,
        Parse(""),
        Bind(),
        DescribePortal(),
        Execute(),
        Sync,
    )
    script >> server(
        ParseComplete,
        ParameterDescription(23),
        RowDescription("a"),
        BindComplete,
        RowDescription("a"),
        DataRow("1"),
        Suspended,
        DataRow("2"),
        Complete("SELECT 1"),
        CloseComplete,
        CloseComplete,
        ParseComplete,
        BindComplete,
        NoData,
        EmptyQuery,
        Z(),
    )
    script << [
        ran("select $1", rows=2, tag=b"SELECT 1", param_oids=(23,)),
        ran("", outcome=Outcome.EMPTY),
    ]
    script.ends()


def test_two_executes_in_one_sync_share_their_time(script: Script) -> None:
    script >> client(ONE, ONE, Sync)
    script.at(0.405) >> server(ONE_DONE, ONE_DONE, Z())
    script << [
        ran("select 1", quality=Quality.SHARED, duration=None, window=1),
        ran("select 1", quality=Quality.SHARED, duration=None, window=1),
    ]


def test_flush_between_them_gives_exact_times(script: Script) -> None:
    script >> client(ONE, Flush, ONE, Flush, Sync)
    script.at(0.202) >> server(ONE_DONE)
    script.at(0.405) >> server(ONE_DONE)
    script.at(0.406) >> server(Z())
    script << [
        ran("select 1", quality=Quality.EXACT, duration=0.202, t_ready=0.406),
        ran("select 1", quality=Quality.EXACT, duration=0.203, t_start=0.202),
    ]


def test_early_acknowledgements_do_not_start_the_clock(script: Script) -> None:
    """The server's buffer overflows in the first result: 1 and 2 arrive long before the rest."""
    script >> client(ONE, Sync)
    script >> server(ParseComplete, BindComplete)
    script.at(0.202) >> server(DataRow("1"), Complete("SELECT 1"), Z())
    script << ran("select 1", quality=Quality.EXACT, duration=0.202, t_first=0.202)


def test_first_byte_of_a_reply_is_noticed_inside_a_message(script: Script) -> None:
    row = DataRow("x" * 100)
    script >> client(ONE, Sync)
    script.at(0.1) >> server(ParseComplete, BindComplete, row[:50])
    script.at(0.2) >> server(row[50:], Complete("SELECT 1"), Z())
    script << ran("select 1", t_first=0.1, t_done=0.2, rows=1)


def test_x2_after_an_error_the_rest_up_to_sync_is_skipped(script: Script) -> None:
    script >> client(ONE, Parse("fails"), Bind(), Execute(), Parse("third"), Bind(), Execute(), Sync)
    script >> server(ONE_DONE, ParseComplete, Error("22012"), Z())
    script << [
        ran("select 1", outcome=Outcome.OK),
        ran("fails", outcome=Outcome.ERROR, sqlstate=b"22012"),
        ran("third", outcome=Outcome.SKIPPED, quality=Quality.PARTIAL, duration=None),
    ]
    script.ends()


def test_x2_a_simple_query_before_the_sync_is_skipped_too(script: Script) -> None:
    script >> client(Parse("fails"), Query("select 2"), FunctionCall(7), Sync)
    script >> server(Error("42601"), Z())
    script << [
        ran("fails", outcome=Outcome.ERROR, sqlstate=b"42601"),
        ran("select 2", outcome=Outcome.SKIPPED),
        ran("", outcome=Outcome.SKIPPED, kind=Kind.FUNCTION_CALL),
    ]
    script.ends()


def test_x2_what_is_sent_after_the_error_but_before_sync_is_skipped(script: Script) -> None:
    script >> client(Parse("fails", "s"), Flush) >> server(Error("42601"))
    script >> client(
        Parse("a", "a"),
        Bind("a"),
        DescribePortal(),
        Execute(),
        CloseStatement("a"),
        Query("q"),
        FunctionCall(3),
    )
    assert not script.tap.idle
    script >> client(Sync) >> server(Z())
    script << [
        ran("fails", outcome=Outcome.ERROR),
        ran("", outcome=Outcome.SKIPPED),
        ran("q", outcome=Outcome.SKIPPED),
        ran("", outcome=Outcome.SKIPPED),
    ]
    script.ends()


def test_failing_bind_makes_its_execute_the_error(script: Script) -> None:
    script >> client(Parse("select $1::int"), Bind("", "x"), DescribePortal(), Execute(), Sync)
    script >> server(ParseComplete, Error("22P02"), Z())
    script << ran("select $1::int", outcome=Outcome.ERROR, sqlstate=b"22P02", params=[b"x"])


def test_failing_describe_makes_its_execute_the_error(script: Script) -> None:
    script >> client(Bind(), Sync) >> server(Error("26000"), Z()) << []
    script >> client(Parse("x"), Bind(), DescribePortal(), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, Error("25P02"), Z("E"))
    script << ran("x", outcome=Outcome.ERROR)
    assert script.observer.counters["unattributed_error.26000"] == 1


def test_failing_commit_belongs_to_the_sync(script: Script) -> None:
    script >> client(ONE, Sync) >> server(ONE_DONE, Error("23503"), Z())
    script << ran("select 1", outcome=Outcome.OK)
    assert script.observer.counters["commit_failed.23503"] == 1
    script.ends()


def test_x3_every_sync_owns_one_ready(script: Script) -> None:
    script >> client(Sync, Sync, ONE, Sync, Sync)
    script >> server(Z(), Z()) << []
    script >> server(ONE_DONE, Z()) << ran("select 1", window=3)
    script >> server(Z()) << []
    script.ends()


def test_x3_next_query_sent_before_the_reply_was_read(script: Script) -> None:
    script >> client(ONE, Sync) >> client(Parse("two"), Bind(), Execute(), Sync)
    script.at(0.1) >> server(ONE_DONE, Z()) << ran("select 1", rows=1, t_done=0.1)
    script.at(0.3) >> server(ParseComplete, BindComplete, Complete("UPDATE 3"), Z())
    script << ran("two", rows=3, t_start=0.1, t_done=0.3)


def test_x4_reparse_of_a_live_name_fails_and_the_old_statement_stays(script: Script) -> None:
    script >> client(Parse("old", "s"), Sync) >> server(ParseComplete, Z())
    script >> client(Parse("new", "s"), Bind("s"), Execute(), Sync) >> server(Error("42P05"), Z())
    script << ran("new", outcome=Outcome.ERROR, sqlstate=b"42P05")
    script >> client(Bind("s"), Execute(), Sync) >> server(BindComplete, Complete("SELECT 0"), Z())
    script << ran("old", statement_name=b"s")


def test_x4_names_of_skipped_requests_are_rolled_back(script: Script) -> None:
    script >> client(Parse("old", "s"), Parse("t", "t"), Sync) >> server(ParseComplete, ParseComplete, Z())
    script >> client(Parse("bad"), CloseStatement("s"), Parse("new", "s"), CloseStatement("t"), Sync)
    script >> client(Bind("s"), Execute(), Bind("t"), Execute(), Sync)
    script >> server(Error("42601"), Z()) << ran("bad", outcome=Outcome.ERROR)
    script >> client(Bind("s"), Execute(), Sync)
    script >> server(*(BindComplete, Complete("SELECT 0")) * 2, Z(), BindComplete, Complete("SELECT 0"), Z())
    got = [e.sql for e in script.observer.executions[1:]]
    assert got[2] == b"old"


def test_x4_requests_after_the_sync_keep_their_names_when_an_error_comes_before_it(script: Script) -> None:
    script >> client(Parse("bad"), Sync, Parse("good", "g"), Sync)
    script >> server(Error("42601"), Z()) << ran("bad")
    script >> client(Bind("g"), Execute(), Sync)
    script >> server(ParseComplete, Z(), BindComplete, Complete("SELECT 0"), Z())
    script << ran("good")


def test_x5_execute_runs_what_was_bound(script: Script) -> None:
    script >> client(Parse("first", "s"), Bind("s", portal="p"), CloseStatement("s"), Parse("second", "s"))
    script >> client(Execute("p"), Bind("s"), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, CloseComplete, ParseComplete, Complete("SELECT 0"))
    script >> server(BindComplete, Complete("SELECT 0"), Z())
    script << [ran("first"), ran("second")]


def test_x6_portals_die_at_the_end_of_the_transaction(script: Script) -> None:
    script >> client(Parse("a"), Bind(portal="p"), Sync) >> server(ParseComplete, BindComplete, Z())
    script >> client(Execute("p"), Sync) >> server(Error("34000"), Z())
    script << ran("", outcome=Outcome.ERROR)
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Bind(portal="p"), Sync) >> server(Error("26000"), Z("E"))
    script >> client(Query("rollback")) >> server(Complete("ROLLBACK"), Z()) << ran("rollback")
    script.ends()


def test_x6_portals_live_on_inside_a_transaction(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    (
        script
        >> client(Parse("a", "s"), Bind("s", portal="p"), Sync)
        >> server(ParseComplete, BindComplete, Z("T"))
    )
    script >> client(Execute("p"), Sync) >> server(DataRow("1"), Complete("SELECT 1"), Z("T"))
    script << ran("a", rows=1)


def test_x8_fetches_of_one_portal_are_one_call_without_think_time(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script.at(1.0) >> client(Parse("a"), Bind(portal="c"), Execute("c", 2), Sync)
    script.at(1.1) >> server(ParseComplete, BindComplete, DataRow("1"), DataRow("2"), Suspended, Z("T"))
    script << []
    script.at(6.1) >> client(Execute("c", 2), Sync)
    script.at(6.3) >> server(DataRow("3"), DataRow("4"), Suspended, Z("T"))
    script.at(9.0) >> client(Execute("c", 2), Sync)
    script.at(9.4) >> server(DataRow("5"), Complete("SELECT 1"), Z("T"))
    script << ran(
        "a",
        rows=5,
        tag=b"SELECT 1",
        quality=Quality.CLIENT_BOUND,
        t_start=1.0,
        t_done=9.4,
        duration=0.7,
        stalled=7.7,
        outcome=Outcome.OK,
    )


def test_x8_pipelined_fetches(script: Script) -> None:
    script >> client(Parse("a"), Bind(), Execute(limit=2), Execute(limit=2), Execute(limit=2), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), DataRow("2"), Suspended)
    script >> server(DataRow("3"), DataRow("4"), Suspended, DataRow("5"), Complete("SELECT 1"), Z())
    script << ran("a", rows=5, tag=b"SELECT 1", quality=Quality.SHARED)


def test_x8_a_portal_never_fetched_to_its_end_is_delivered_when_it_closes(script: Script) -> None:
    fetch = client(Bind("s", portal="c"), Execute("c", 1), Sync)
    fetched = server(BindComplete, DataRow("1"), Suspended, Z("T"))
    script >> client(Query("begin"), Parse("a", "s"), Sync)
    script >> server(Complete("BEGIN"), Z("T"), ParseComplete, Z("T")) << ran("begin")
    script >> fetch >> fetched << []
    script >> client(ClosePortal("c"), Sync) >> server(CloseComplete, Z("T")) << ran("a", rows=1)
    script >> fetch >> fetched << []
    script >> client(Query("commit")) >> server(Complete("COMMIT"), Z("I"))
    script << [ran("commit"), ran("a", rows=1, outcome=Outcome.OK)]


def test_x8_limit_one_outside_a_transaction_is_delivered_at_its_sync(script: Script) -> None:
    """What asyncpg's fetchrow does."""
    script >> client(Parse("a", "s"), Bind("s"), Execute(limit=1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("I"))
    script << ran("a", rows=1, outcome=Outcome.OK, quality=Quality.CLIENT_BOUND)


def test_x8_rolled_back_portal_is_no_call(script: Script) -> None:
    """PostgreSQL drops it without ExecutorEnd (AtAbort_Portals), so its statistics do not count it."""
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("a", "s"), Bind("s", portal="c"), Execute("c", 1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T"))
    script >> client(Query("rollback")) >> server(Complete("ROLLBACK"), Z("I"))
    script << [ran("rollback"), ran("a", outcome=Outcome.ABORTED, quality=Quality.PARTIAL)]


def test_x8_rollback_to_a_savepoint_leaves_the_portal(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("a", "s"), Bind("s", portal="c"), Execute("c", 1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T"))
    script >> client(Query("rollback to s")) >> server(Complete("ROLLBACK"), Z("T")) << ran("rollback to s")
    script >> client(Execute("c"), Sync) >> server(DataRow("2"), Complete("SELECT 1"), Z("T"))
    script << ran("a", rows=2, outcome=Outcome.OK)


def test_x8_error_in_a_later_fetch_fails_the_whole(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("a", "s"), Bind("s", portal="c"), Execute("c", 1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T"))
    script >> client(Execute("c", 1), Sync) >> server(Error("22012"), Z("E"))
    script << ran("a", rows=1, outcome=Outcome.ERROR, sqlstate=b"22012")


def test_a_portal_that_ran_to_its_end_is_not_called_again(script: Script) -> None:
    script >> client(Parse("a"), Bind(), Execute(), Execute(), Sync)
    script >> server(ONE_DONE, Complete("SELECT 0"), Z())
    script << ran("a", rows=1)


def test_x10_values_with_formats_and_nulls(script: Script) -> None:
    script >> client(Parse("x"), Bind("", b"\0\1", None, "", formats=(1,)), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, Complete("SELECT 0"), Z())
    script << ran("x", params=[b"\0\1", None, b""], param_formats=(1,))


def test_x10_values_over_the_cap_are_not_kept() -> None:
    script = Script(limits=TapLimits(param_bytes=100))
    script >> client(Parse("x"), Bind("", "v" * 200), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, Complete("SELECT 0"), Z()) << ran("x", params=None)
    assert script.observer.counters == {"bypass.params": 1}


def test_x10_type_oids_come_from_the_description_where_parse_had_none(script: Script) -> None:
    script >> client(Parse("x", "s", (0,)), DescribeStatement("s"), Sync)
    script >> server(ParseComplete, ParameterDescription(1700), NoData, Z()) << []
    script >> client(Bind("s", "1"), Execute(), Sync) >> server(BindComplete, Complete("SELECT 0"), Z())
    script << ran("x", param_oids=(1700,), columns=None)


def test_columns_of_a_described_statement_are_known_to_every_execution(script: Script) -> None:
    script >> client(Parse("x", "s"), DescribeStatement("s"), Sync)
    script >> server(ParseComplete, ParameterDescription(), RowDescription("a", "b"), Z())
    for _ in range(2):
        script >> client(Bind("s"), Execute(), Sync)
        script >> server(BindComplete, DataRow("1", "2"), Complete("SELECT 1"), Z())
        script << ran("x", columns=RowDescription("a", "b")[5:])


def test_x12_prepare_only_round_trips_are_no_calls(script: Script) -> None:
    script >> client(Parse("x", "s"), DescribeStatement("s"), Flush)
    script >> server(ParseComplete, ParameterDescription(), NoData)
    script >> client(Sync) >> server(Z())
    script << []
    script.ends()


def test_close_of_an_unknown_name_is_no_error(script: Script) -> None:
    script >> client(CloseStatement("never"), ClosePortal("never"), Sync)
    script >> server(CloseComplete, CloseComplete, Z()) << []
    script.ends()


def test_unnamed_statement_is_gone_after_its_failed_parse(script: Script) -> None:
    script >> client(Parse("old"), Sync) >> server(ParseComplete, Z())
    script >> client(Parse("bad"), Sync) >> server(Error("42601"), Z()) << ran("bad")
    script >> client(Bind(), Execute(), Sync) >> server(Error("26000"), Z()) << ran("")


def test_names_longer_than_postgresql_tells_apart(script: Script) -> None:
    long = "n" * 63
    script >> client(Parse("x", long + "tail"), Sync) >> server(ParseComplete, Z())
    script >> client(Bind(long + "other"), Execute(), Sync) >> server(BindComplete, Complete("SELECT 0"), Z())
    script << ran("x", statement_name=long.encode())


def test_query_in_the_same_window_shares_the_time_of_an_execute(script: Script) -> None:
    script >> client(ONE, Query("q")) >> server(ONE_DONE, Complete("SELECT 0"), Z())
    script << [ran("select 1", quality=Quality.SHARED), ran("q", quality=Quality.SHARED, statements=1)]
    script.ends()


def test_what_follows_a_query_without_sync_is_its_own_window(script: Script) -> None:
    script >> client(Query("q"), ONE, Sync)
    script.at(0.1) >> server(Complete("SELECT 0"), Z())
    script.at(0.3) >> server(ONE_DONE, Z())
    script << [ran("q", quality=Quality.EXACT), ran("select 1", quality=Quality.EXACT, duration=0.2)]


def test_a_select_that_the_server_will_not_count_is_reported_and_counted(script: Script) -> None:
    """Its portal is still open when a text that does not parse fails the transaction."""
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(ONE, Sync) >> server(ONE_DONE, Z("T")) << ran("select 1", outcome=Outcome.OK)
    script >> client(Parse("bad"), Sync, Parse("bad"), Sync)
    script >> server(Error("42601"), Z("E"), Error("25P02"), Z("E")) << [ran("bad"), ran("bad")]
    assert script.observer.counters == {"uncounted_by_server": 1}
    assert [(taken.sql, taken.rows) for taken in script.observer.taken] == [(b"select 1", 1)]


def test_a_select_whose_portal_was_replaced_is_counted_by_the_server(script: Script) -> None:
    script >> client(ONE, ONE, Sync) >> server(ONE_DONE, ParseComplete, Error("22012"), Z())
    script << [ran("select 1", outcome=Outcome.OK), ran("select 1", outcome=Outcome.ERROR)]
    assert script.observer.counters == {}
