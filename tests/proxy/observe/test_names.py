"""SQL-level names (X7), the namespace itself, and its bounds."""

from __future__ import annotations

from proxy.observe.execution import Outcome
from proxy.observe.names import Namespace
from proxy.observe.tap import TapLimits
from tests.proxy.wirekit import (
    Bind,
    BindComplete,
    CloseComplete,
    CloseStatement,
    Complete,
    DataRow,
    Error,
    Execute,
    Parse,
    ParseComplete,
    Query,
    Script,
    Suspended,
    Sync,
    Z,
    client,
    ran,
    server,
)


def test_x7_execute_is_reported_as_the_prepared_text(script: Script) -> None:
    script >> client(Query("PREPARE p (int) AS select $1;")) >> server(Complete("PREPARE"), Z())
    script << ran("PREPARE p (int) AS select $1;", tag=b"PREPARE")
    script >> client(Query("/* app */ execute P(1)")) >> server(DataRow("1"), Complete("SELECT 1"), Z())
    script << ran("select $1", statement_name=b"p", sql_length=9, statements=1, ordinal=0)


def test_x7_execute_by_the_extended_protocol(script: Script) -> None:
    (
        script
        >> client(Query("prepare p as select 1"))
        >> server(Complete("PREPARE"), Z())
        << [ran("prepare p as select 1")]
    )
    script >> client(Parse("execute p"), Bind(), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Complete("SELECT 1"), Z()) << ran("select 1")


def test_x7_failed_prepare_defines_nothing(script: Script) -> None:
    script >> client(Query("prepare p as selec")) >> server(Error("42601"), Z())
    script >> client(Query("execute p")) >> server(Error("26000"), Z())
    script << [ran("prepare p as selec"), ran("execute p", outcome=Outcome.ERROR)]


def test_x7_prepare_by_the_extended_protocol_and_bind(script: Script) -> None:
    script >> client(Parse("prepare p as select 2"), Bind(), Execute(), Sync)
    script >> server(ParseComplete, BindComplete, Complete("PREPARE"), Z())
    script << ran("prepare p as select 2")
    script >> client(Bind("p"), Execute(), Sync) >> server(BindComplete, Complete("SELECT 1"), Z())
    script << ran("select 2")


def test_x7_names_in_a_text_of_several_statements(script: Script) -> None:
    sql = "select ';'; prepare a as select 'a;b' ; -- ;\n prepare \"B\" as select 2; execute a; deallocate a"
    (
        script
        >> client(Query(sql))
        >> server(
            *(Complete(tag) for tag in ("SELECT 1", "PREPARE", "PREPARE", "SELECT 1", "DEALLOCATE")), Z()
        )
    )
    script << [
        ran(sql, ordinal=0, statements=5),
        ran(sql, ordinal=1),
        ran(sql, ordinal=2),
        ran("select 'a;b'", ordinal=0, statements=1),
        ran(sql, ordinal=4),
    ]
    script >> client(Query("execute a"), Query('execute "B"'))
    script >> server(Error("26000"), Z(), Complete("SELECT 1"), Z())
    script << [ran("execute a"), ran("select 2")]


def test_x7_deallocate_ends_a_protocol_level_name(script: Script) -> None:
    script >> client(Parse("x", "s"), Sync) >> server(ParseComplete, Z())
    script >> client(Query("deallocate prepare s")) >> server(Complete("DEALLOCATE"), Z())
    script << ran("deallocate prepare s")
    script >> client(Bind("s"), Execute(), Sync) >> server(Error("26000"), Z()) << ran("")


def test_x7_discard_all_clears_every_name(script: Script) -> None:
    script >> client(Parse("x", "s"), Sync) >> server(ParseComplete, Z())
    script >> client(Query("discard all")) >> server(Complete("DISCARD ALL"), Z()) << ran("discard all")
    script >> client(Bind("s"), Execute(), Sync) >> server(Error("26000"), Z())
    script << ran("", outcome=Outcome.ERROR, sqlstate=b"26000")


def test_x7_close_ends_a_portal(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("a", "s"), Bind("s", portal="c"), Execute("c", 1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T")) << []
    script >> client(Query("close c")) >> server(Complete("CLOSE CURSOR"), Z("T"))
    script << [ran("close c"), ran("a", rows=1, outcome=Outcome.OK)]


def test_x7_deallocate_all_leaves_portals(script: Script) -> None:
    script >> client(Query("begin")) >> server(Complete("BEGIN"), Z("T")) << ran("begin")
    script >> client(Parse("a", "s"), Bind("s", portal="c"), Execute("c", 1), Sync)
    script >> server(ParseComplete, BindComplete, DataRow("1"), Suspended, Z("T")) << []
    script >> client(Query("deallocate all")) >> server(Complete("DEALLOCATE ALL"), Z("T"))
    script << ran("deallocate all")
    script >> client(Query("close all")) >> server(Complete("CLOSE CURSOR ALL"), Z("T"))
    script << [ran("close all"), ran("a", rows=1)]


def test_more_names_than_the_limit_are_unknown_and_counted() -> None:
    script = Script(limits=TapLimits(names=2))
    for name in ("a", "b", "c"):
        script >> client(Parse(name, name), Sync) >> server(ParseComplete, Z())
    for name, sql in (("a", "a"), ("c", "")):
        script >> client(Bind(name), Execute(), Sync) >> server(BindComplete, Complete("SELECT 0"), Z())
        script << ran(sql)
    assert script.observer.counters == {"bypass.names": 1, "unknown_name": 1}
    script >> client(CloseStatement("a"), Parse("d", "d"), Sync) >> server(CloseComplete, ParseComplete, Z())
    (
        script
        >> client(Bind("d"), Execute(), Sync)
        >> server(BindComplete, Complete("SELECT 0"), Z())
        << ran("d")
    )


def test_more_text_than_the_limit_is_unknown_and_counted() -> None:
    script = Script(limits=TapLimits(names_bytes=10))
    script >> client(Parse("12345678", "a"), Parse("12345678", "b"), Sync)
    script >> server(ParseComplete, ParseComplete, Z())
    assert script.observer.counters == {"bypass.names": 1}
    script >> client(CloseStatement("a"), Parse("87654321", "c"), Bind("c"), Execute(), Sync)
    script >> server(CloseComplete, ParseComplete, BindComplete, Complete("SELECT 0"), Z()) << ran("87654321")


def test_namespace_prefers_what_was_sent_last() -> None:
    names: Namespace[str] = Namespace()
    names.propose(b"a", "one")
    names.propose(b"a", None)
    assert names.get(b"a") is None
    assert names.confirm(b"a", "one") is None
    assert names.get(b"a") is None
    assert names.confirm(b"a", None) == "one"
    assert names.live == {}
