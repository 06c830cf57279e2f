"""COPY, items K1 to K5, and the rows of the experiments about it."""

from __future__ import annotations

import pytest

from proxy.observe.execution import Outcome, Quality
from proxy.observe.tap import Side
from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    Complete,
    CopyBoth,
    CopyData,
    CopyDone,
    CopyFail,
    CopyIn,
    CopyOut,
    DataRow,
    DescribePortal,
    EmptyQuery,
    Error,
    Execute,
    Flush,
    NoData,
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


def test_k1_sync_sent_before_copy_done_is_swallowed(script: Script) -> None:
    """What libpq does: it learns that the statement is a COPY after it sent the Sync."""
    script >> client(Parse("copy t from stdin"), Bind(), DescribePortal(), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, NoData, CopyIn)
    script.at(2) >> client(CopyData("1\n"), CopyData("2\n"), CopyDone, Sync)
    script.at(2.5) >> server(Complete("COPY 2"), Z())
    script << ran(
        "copy t from stdin",
        rows=2,
        quality=Quality.CLIENT_BOUND,
        stalled=2.0,
        duration=0.5,
        outcome=Outcome.OK,
    )
    script.ends()


def test_k1_sync_sent_ahead_together_with_the_data(script: Script) -> None:
    script >> client(Parse("copy"), Bind(), Execute(), Sync, CopyData("1\n"), CopyDone, Sync)
    script >> server(ParseComplete, BindComplete, CopyIn, Complete("COPY 1"), Z())
    script << ran("copy", rows=1)
    script.ends()


def test_k1_flush_and_sync_while_copying_are_swallowed(script: Script) -> None:
    script >> client(Parse("copy"), Bind(), Execute(), Flush) >> server(ParseComplete, BindComplete, CopyIn)
    script >> client(CopyData("1\n"), Sync, Flush, Sync, CopyData("2\n"), CopyDone, Sync)
    script >> server(Complete("COPY 2"), Z()) << ran("copy", rows=2)
    script.ends()


def test_k1_failed_copy_after_a_swallowed_sync(script: Script) -> None:
    script >> client(Parse("copy"), Bind(), Execute(), Sync) >> server(ParseComplete, BindComplete, CopyIn)
    script >> client(CopyData("bad\n"), CopyDone, Sync) >> server(Error("22P02"), Z())
    script << ran("copy", outcome=Outcome.ERROR, sqlstate=b"22P02")
    script.ends()


def test_k1_failed_copy_leaves_a_sync_that_was_sent_after_the_bad_data(script: Script) -> None:
    script >> client(Parse("copy"), Bind(), Execute(), Flush) >> server(ParseComplete, BindComplete, CopyIn)
    script >> client(CopyData("bad\n"), Sync, CopyDone, Sync) >> server(Error("22P02"), Z(), Z())
    script << ran("copy", outcome=Outcome.ERROR)
    script.ends()


def test_k2_late_copy_messages_create_no_expectations(script: Script) -> None:
    script >> client(Query("copy t from stdin")) >> server(CopyIn)
    script >> client(CopyData("bad\n")) >> server(Error("22P02"), Z())
    script << ran("copy t from stdin", outcome=Outcome.ERROR)
    script >> client(CopyData("more\n"), CopyDone, Query("select 1"))
    script >> server(Complete("SELECT 1"), Z()) << ran("select 1")
    script.ends()


def test_k2_rest_of_a_failed_copy_pipelined_with_the_next_query(script: Script) -> None:
    script >> client(Query("copy t from stdin")) >> server(CopyIn)
    script >> client(CopyData("bad\n"), CopyData("x\n"), CopyDone, Query("select 1"))
    script >> server(Error("22P02"), Z(), Complete("SELECT 1"), Z())
    script << [ran("copy t from stdin", outcome=Outcome.ERROR), ran("select 1", outcome=Outcome.OK)]
    script.ends()


def test_k3_copy_fail_is_told_from_a_cancelled_query(script: Script) -> None:
    script >> client(Query("copy")) >> server(CopyIn) >> client(CopyFail()) >> server(Error("57014"), Z())
    script << ran("copy", outcome=Outcome.ERROR, sqlstate=b"57014")
    assert script.observer.counters == {"copy_failed_by_client": 1}
    script.ends()


def test_k4_copy_out_counts_bytes_and_takes_rows_from_the_tag(script: Script) -> None:
    data = CopyData("a\n") + CopyData("b\n")
    script >> client(Query("copy t to stdout"))
    script.at(0.1) >> server(CopyOut, data)
    script.at(0.4) >> server(CopyDone, Complete("COPY 2"), Z())
    script << ran(
        "copy t to stdout",
        rows=2,
        bytes_out=len(CopyOut + data + CopyDone + Complete("COPY 2")),
        row_data=None,
        t_first=0.1,
        duration=0.4,
        quality=Quality.EXACT,
    )


def test_k4_bytes_of_copy_in(script: Script) -> None:
    data = CopyData("a\n") * 3
    script >> client(Query("copy")) >> server(CopyIn) >> client(data, CopyDone)
    script >> server(Complete("COPY 3"), Z()) << ran("copy", bytes_in=len(Query("copy") + data))


def test_copy_between_selects_in_one_query(script: Script) -> None:
    sql = "select 1; copy t from stdin; select 2"
    script >> client(Query(sql))
    script >> server(RowDescription("a"), DataRow("1"), Complete("SELECT 1"), CopyIn)
    script >> client(CopyData("1\n"), CopyDone)
    script >> server(Complete("COPY 1"), RowDescription("a"), DataRow("2"), Complete("SELECT 1"), Z())
    script << [ran(sql, ordinal=i, rows=1, statements=3, quality=Quality.SHARED) for i in range(3)]
    script.ends()


def test_two_copies_in_one_query(script: Script) -> None:
    script >> client(Query("copy a; copy b"), CopyData("1"), CopyDone, CopyData("2"), CopyDone, Sync)
    script >> server(CopyIn, Complete("COPY 1"), CopyIn, Complete("COPY 1"), Z(), Z())
    script << [ran("copy a; copy b", rows=1), ran("copy a; copy b", rows=1)]
    script.ends()


def test_a_busy_server_is_no_client_stall(script: Script) -> None:
    """While the relay cannot pass data on, it is the server that takes its time."""
    script >> client(Query("copy")) >> server(CopyIn)
    script.at(1) >> client(CopyData("1\n"))
    script.tap.paused(Side.CLIENT, 101.0)
    script.tap.resumed(Side.CLIENT, 104.0)
    script.at(5) >> client(CopyDone)
    script.at(6) >> server(Complete("COPY 1"), Z()) << ran("copy", stalled=2.0, duration=4.0)


def test_k5_copy_both_makes_the_session_opaque(script: Script) -> None:
    script >> client(Query("start_replication")) >> server(CopyBoth)
    assert script.tap.opaque
    assert script.observer.counters == {"opaque.copy_both": 1}
    assert [e.outcome for e in script.observer.executions] == [Outcome.ABORTED]


@pytest.mark.parametrize("answer", [EmptyQuery, Suspended], ids=["empty", "suspended"])
def test_f2_copy_that_ends_as_no_copy_can_makes_the_session_opaque(script: Script, answer: bytes) -> None:
    script >> client(Parse("copy t from stdin"), Bind(), Execute(), Flush)
    script >> server(ParseComplete, BindComplete, CopyIn, answer) >> client(CopyData("1\n"))
    assert script.session.opaque_reason == "unexpected_answer"
    assert script.observer.counters["opaque.unexpected_answer"] == 1
