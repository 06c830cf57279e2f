"""The tap that a relay makes by default."""

from __future__ import annotations

from proxy.observe.execution import Session
from proxy.relay.tap import Tap, session_tap
from tests.proxy.wirekit import GREETING, Complete, Query, Recorder, Z


def test_it_understands_the_protocol() -> None:
    observer = Recorder()
    session = Session(1, "test", 0.0)
    tap: Tap = session_tap(session, observer)
    tap.started(b"", {"user": "ann"}, 1.0)
    tap.feed_server(GREETING, 2.0)
    states = [tap.idle]
    tap.feed_client(Query("select 1"), 3.0)
    states.append(tap.idle)
    tap.feed_server(Complete("SELECT 1") + Z(), 4.0)
    tap.closed(5.0)
    assert states == [True, False]
    assert [e.sql for e in observer.executions] == [b"select 1"]
    assert [(s.database, at) for s, at in observer.closed] == [("ann", 5.0)]
