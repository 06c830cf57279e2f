"""Names in force: what defines and removes them, what bounds them, and what becomes of portals."""

from __future__ import annotations

import pytest

from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.lifetimes import Lifetimes
from proxy.observe.limits import TapLimits
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.wire.messages import Bind
from tests.proxy.wirekit import Recorder


class Room:
    """Lifetimes with everything around them."""

    def __init__(self, limits: TapLimits | None = None) -> None:
        self.observer = Recorder()
        self.state = Conversation(Session(1, "", 0.0), self.observer, limits or TapLimits())
        self.lifetimes = Lifetimes(self.state)

    def define(self, name: bytes, sql: bytes) -> Statement:
        statement = Statement(name, sql, len(sql), ())
        self.state.statements.propose(name, statement)
        self.lifetimes.define(name, statement)
        return statement

    def portal(self, name: bytes, *, rows: int = -1, suspended: bool = False) -> Portal:
        statement = Statement(b"", b"select 1", 8, ())
        portal = Portal(statement, Bind(name, b""), 0)
        portal.open_rows = rows
        if suspended:
            portal.suspended = Execution(self.state.session, Kind.EXTENDED, b"select 1", 8, 0.0)
        self.state.portals.live[name] = portal
        return portal

    @property
    def names(self) -> set[bytes]:
        return set(self.state.statements.live)


@pytest.fixture
def room() -> Room:
    return Room()


def test_bytes_of_texts_follow_definitions(room: Room) -> None:
    room.define(b"a", b"select 1")
    room.define(b"b", b"select 22")
    assert room.state.statements_bytes == 17
    room.define(b"a", b"select 4444")
    assert room.state.statements_bytes == 20
    room.state.statements.propose(b"b", None)
    room.lifetimes.define(b"b", None)
    room.lifetimes.remove(b"a")
    room.lifetimes.remove(b"never there")
    assert (room.names, room.state.statements_bytes) == (set(), 0)


@pytest.mark.parametrize("limits", [TapLimits(names=2), TapLimits(names_bytes=20)])
def test_a_name_beyond_a_limit_stays_unknown(limits: TapLimits) -> None:
    room = Room(limits)
    for name in (b"a", b"b", b"c"):
        room.define(name, b"select 10")
    assert room.names == {b"a", b"b"}
    assert room.state.statements_bytes == 18
    assert room.observer.counters == {"bypass.names": 1}


def test_sql_prepares_and_deallocates(room: Room) -> None:
    room.lifetimes.names_changed(b"PREPARE", b'/* x */ prepare "A" (int) as select $1; select 2')
    room.lifetimes.names_changed(b"PREPARE", b"prepare A as select 3")
    assert {name: s.sql for name, s in room.state.statements.live.items()} == {
        b"A": b"select $1",
        b"a": b"select 3",
    }
    room.lifetimes.names_changed(b"DEALLOCATE", b"deallocate prepare A")
    assert room.names == {b"A"}
    assert room.state.statements_bytes == len(b"select $1")


def test_what_cannot_be_read_removes_nothing(room: Room) -> None:
    room.define(UNNAMED, b"select 0")
    portal = room.portal(UNNAMED)
    room.lifetimes.names_changed(b"DEALLOCATE", b"deallocate/**/a")
    room.lifetimes.names_changed(b"CLOSE CURSOR", b"close/**/c")
    room.lifetimes.names_changed(b"PREPARE", b"prepare/**/p as select 1")
    assert room.names == {UNNAMED}
    assert room.state.portals.live == {UNNAMED: portal}


@pytest.mark.parametrize(
    ("tag", "statements", "portals"),
    [
        (b"DEALLOCATE ALL", {UNNAMED}, {b"c"}),
        (b"DISCARD ALL", {UNNAMED}, set()),
        (b"CLOSE CURSOR ALL", {UNNAMED, b"a"}, set()),
    ],
)
def test_all_of_them(room: Room, tag: bytes, statements: set[bytes], portals: set[bytes]) -> None:
    room.define(UNNAMED, b"select 0")
    room.define(b"a", b"select 1")
    room.portal(b"c")
    room.lifetimes.names_changed(tag, tag.lower())
    assert room.names == statements
    assert set(room.state.portals.live) == portals
    assert room.state.statements_bytes == 8 * len(statements)


def test_execute_stands_for_what_was_prepared(room: Room) -> None:
    room.define(b"p", b"select $1")
    execution = Execution(room.state.session, Kind.SIMPLE, b"execute p(1)", 12, 0.0)
    execution.ordinal, execution.statements = 2, 3
    room.lifetimes.stand_for(b"other", execution)
    assert execution.sql == b"execute p(1)"
    room.lifetimes.stand_for(b"p", execution)
    assert (execution.sql, execution.sql_length, execution.statement_name) == (b"select $1", 9, b"p")
    assert (execution.ordinal, execution.statements, execution.params) == (0, 1, None)


def test_the_end_of_a_transaction_completes_what_was_fetched_in_part(room: Room) -> None:
    room.portal(b"part", suspended=True)
    room.portal(b"whole", rows=3)
    room.lifetimes.end_portals()
    assert [e.outcome for e in room.state.delivery.done] == [Outcome.OK]
    assert room.observer.taken == []
    assert room.state.portals.live == {}


def test_a_rollback_takes_back_what_was_read_and_aborts_what_was_not(room: Room) -> None:
    room.portal(b"part", suspended=True)
    room.portal(b"whole", rows=3)
    room.portal(b"bound")
    room.lifetimes.rolled_back = True
    room.lifetimes.end_portals()
    assert [(e.outcome, e.quality) for e in room.state.delivery.done] == [(Outcome.ABORTED, Quality.PARTIAL)]
    assert [(e.sql, e.rows) for e in room.observer.taken] == [(b"select 1", 3)]
    assert room.observer.counters == {"uncounted_by_server": 1}


def test_a_portal_is_taken_back_once_and_one_without_a_text_only_counted(room: Room) -> None:
    portal = room.portal(b"c", rows=0)
    portal.statement = None
    room.lifetimes.fail_portal(portal)
    room.lifetimes.fail_portal(portal)
    assert room.observer.taken == []
    assert room.observer.counters == {"uncounted_by_server": 1}
