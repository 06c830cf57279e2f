"""Protocol messages as bytes, and conversations as tests write them down.

script >> client(Query("select 1"))
script >> server(RowDescription("a"), DataRow("1"), Complete("SELECT 1"), Z())
script << ran("select 1", rows=1)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from proxy.observe.execution import Execution, Session
from proxy.observe.tap import Budget, SessionTap, TapLimits


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def _text(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def z(value: str | bytes) -> bytes:
    return _text(value) + b"\0"


# Client.


def Query(sql: str | bytes) -> bytes:
    return message("Q", z(sql))


def Parse(sql: str | bytes, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    return message("P", z(name) + z(sql) + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def Bind(
    name: str = "",
    *params: str | bytes | None,
    portal: str = "",
    formats: tuple[int, ...] = (),
    result_formats: tuple[int, ...] = (),
) -> bytes:
    values = b"".join(
        struct.pack("!i", -1) if p is None else struct.pack("!i", len(_text(p))) + _text(p) for p in params
    )
    return message(
        "B",
        z(portal)
        + z(name)
        + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
        + struct.pack("!H", len(params))
        + values
        + struct.pack(f"!H{len(result_formats)}H", len(result_formats), *result_formats),
    )


def DescribeStatement(name: str = "") -> bytes:
    return message("D", b"S" + z(name))


def DescribePortal(name: str = "") -> bytes:
    return message("D", b"P" + z(name))


def Execute(portal: str = "", limit: int = 0) -> bytes:
    return message("E", z(portal) + struct.pack("!i", limit))


def CloseStatement(name: str = "") -> bytes:
    return message("C", b"S" + z(name))


def ClosePortal(name: str = "") -> bytes:
    return message("C", b"P" + z(name))


def FunctionCall(oid: int) -> bytes:
    return message("F", struct.pack("!IHHH", oid, 0, 0, 0))


Sync = message("S")
Flush = message("H")
Terminate = message("X")
CopyDone = message("c")


def CopyData(data: str | bytes) -> bytes:
    return message("d", _text(data))


def CopyFail(why: str = "no") -> bytes:
    return message("f", z(why))


# Server.

ParseComplete = message("1")
BindComplete = message("2")
CloseComplete = message("3")
NoData = message("n")
EmptyQuery = message("I")
Suspended = message("s")
AuthenticationOk = message("R", struct.pack("!i", 0))
CopyIn = message("G", b"\0\0\0")
CopyOut = message("H", b"\0\0\0")
CopyBoth = message("W", b"\0\0\0")
FunctionResult = message("V", struct.pack("!i", -1))


def Z(status: str = "I") -> bytes:
    return message("Z", status.encode())


def Complete(tag: str) -> bytes:
    return message("C", z(tag))


def Error(sqlstate: str = "22012", severity: str = "ERROR", text: str = "bad") -> bytes:
    return message("E", b"S" + z(severity) + b"V" + z(severity) + b"C" + z(sqlstate) + b"M" + z(text) + b"\0")


def Notice(text: str = "hello") -> bytes:
    return message("N", b"SNOTICE\0VNOTICE\0C00000\0M" + z(text) + b"\0")


def Notification() -> bytes:
    return message("A", struct.pack("!i", 7) + z("channel") + z("payload"))


def ParameterStatus(name: str, value: str) -> bytes:
    return message("S", z(name) + z(value))


def BackendKey(pid: int = 4711, key: bytes = b"\1\2\3\4") -> bytes:
    return message("K", struct.pack("!i", pid) + key)


def ParameterDescription(*oids: int) -> bytes:
    return message("t", struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def RowDescription(*columns: str, table: int = 0, type_oid: int = 23) -> bytes:
    body = b"".join(
        z(name) + struct.pack("!IhIhih", table, i + 1 if table else 0, type_oid, 4, -1, 0)
        for i, name in enumerate(columns)
    )
    return message("T", struct.pack("!H", len(columns)) + body)


def DataRow(*values: str | bytes | None) -> bytes:
    body = b"".join(
        struct.pack("!i", -1) if v is None else struct.pack("!i", len(_text(v))) + _text(v) for v in values
    )
    return message("D", struct.pack("!H", len(values)) + body)


GREETING = (
    AuthenticationOk
    + ParameterStatus("server_version", "16.4")
    + ParameterStatus("client_encoding", "UTF8")
    + BackendKey()
    + Z()
)


# Conversations.


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes in one direction."""

    from_client: bool
    data: bytes


def client(*parts: bytes) -> Sent:
    return Sent(True, b"".join(parts))


def server(*parts: bytes) -> Sent:
    return Sent(False, b"".join(parts))


@dataclass(frozen=True, slots=True)
class ran:
    """What is expected of one execution; attributes that are not named are not compared."""

    sql: str
    attributes: dict[str, Any]

    def __init__(self, sql: str = "", **attributes: Any) -> None:
        object.__setattr__(self, "sql", sql)
        object.__setattr__(self, "attributes", attributes)


class Recorder:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.counters: dict[str, int] = {}
        self.opened: list[Session] = []
        self.closed: list[tuple[Session, float]] = []
        self.taken: list[Execution] = []

    def session_opened(self, session: Session) -> None:
        self.opened.append(session)

    def executed(self, execution: Execution) -> None:
        self.executions.append(execution)

    def session_closed(self, session: Session, now: float) -> None:
        self.closed.append((session, now))

    def taken_back(self, execution: Execution) -> None:
        self.taken.append(execution)

    def count(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + amount


class Script:
    """One session under test: ``>>`` feeds it, ``<<`` compares what came out since the last ``<<``."""

    def __init__(
        self,
        *,
        greet: bool = True,
        limits: TapLimits | None = None,
        parameters: dict[str, str] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.observer = Recorder()
        self.session = Session(1, "test", 0.0)
        self.tap = SessionTap(self.session, self.observer, limits or TapLimits(), budget)
        self.now = 100.0
        self.piece = 0
        """Feed in pieces of that many bytes; 0 feeds whole."""
        self._seen = 0
        self.tap.started(b"", parameters or {"user": "ann", "database": "shop"}, self.now)
        if greet:
            self.greet()

    def greet(self) -> Script:
        """Authentication succeeds."""
        return self >> server(GREETING)

    def at(self, now: float) -> Script:
        """The clock moves on."""
        self.now = 100.0 + now
        return self

    def __rshift__(self, sent: Sent) -> Script:
        step = self.piece or max(1, len(sent.data))
        feed = self.tap.feed_client if sent.from_client else self.tap.feed_server
        for i in range(0, len(sent.data), step):
            feed(sent.data[i : i + step], self.now)
        return self

    def __lshift__(self, expected: ran | list[ran]) -> Script:
        wanted = expected if isinstance(expected, list) else [expected]
        got = self.observer.executions[self._seen :]
        self._seen = len(self.observer.executions)
        assert [g.sql.decode() for g in got] == [w.sql for w in wanted]
        for g, w in zip(got, wanted, strict=True):
            found = {k: _shown(getattr(g, k)) for k in w.attributes}
            assert found == w.attributes, f"{w.sql}: {found} instead of {w.attributes}"
        assert not self.tap.opaque, self.session.opaque_reason
        return self

    def ends(self) -> Script:
        """Nothing is outstanding: the expectations are in step with the server."""
        assert not self.tap.opaque, self.session.opaque_reason
        assert self.tap.idle
        return self


def _shown(value: object) -> object:
    if isinstance(value, float):
        return round(value - 100.0, 6) if value > 50.0 else round(value, 6)
    return value
