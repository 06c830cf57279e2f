"""Client to server: every request appends what it expects; names are proposed, not yet believed."""

from __future__ import annotations

from typing import Final

from proxy.observe import expectations as kinds
from proxy.observe.conversation import REQUEST_BYTES, Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality
from proxy.observe.expectations import Batch, Expected
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.observe.sqltext import MAY_EXECUTE, executes
from proxy.wire import messages
from proxy.wire.framing import Messages, ProtocolError

KNOWN: Final = b"QPBDECHSXFdcfp"
"""Everything that a client may send after the start-up packet. ``p`` (secrets) has no handler."""
COPY_DATA: Final = 0x64
HEAD_SLACK: Final = 2_048
"""Room in a kept head beside text or values: names, counts, a few hundred type OIDs."""
_STATEMENT: Final = 0x53
_PORTAL: Final = 0x50


class Requests:
    """Handlers of the messages that a client sends."""

    __slots__ = (
        "_expectations",
        "_outstanding",
        "_param_bytes",
        "_portals",
        "_queue",
        "_sql_bytes",
        "_state",
        "_statements",
        "messages",
        "terminated",
    )

    def __init__(self, state: Conversation) -> None:
        self._state = state
        # What every message needs, at hand.
        self._expectations = state.expectations
        self._queue = state.expectations.queue
        self._statements = state.statements
        self._portals = state.portals
        self._sql_bytes = state.limits.sql_bytes
        self._param_bytes = state.limits.param_bytes
        self._outstanding = state.limits.outstanding
        self.terminated = False
        """Terminate was sent: whatever follows is ignored."""
        limits = state.limits
        table = Messages(KNOWN, b"d", self.copy_data)
        table.handle(ord("Q"), self.query, limits.sql_bytes)
        table.handle(ord("P"), self.parse, limits.sql_bytes + HEAD_SLACK)
        table.handle(ord("B"), self.bind, limits.param_bytes + HEAD_SLACK)
        table.handle(ord("D"), self.describe, HEAD_SLACK)
        table.handle(ord("E"), self.execute, HEAD_SLACK)
        table.handle(ord("C"), self.close, HEAD_SLACK)
        table.handle(ord("F"), self.function_call, 4)
        table.handle(ord("H"), self.flush, 0)
        table.handle(ord("S"), self.sync, 0)
        table.handle(ord("X"), self.terminate, 0)
        table.handle(ord("c"), self.copy_done, 0)
        table.handle(ord("f"), self.copy_fail, 0)
        self.messages = table

    def _append(self, entry: Expected) -> None:
        if len(self._queue) >= self._outstanding:
            raise ProtocolError("outstanding")
        self._queue.append(entry)

    def _may_keep(self, size: int) -> bool:
        """Whether a request without an answer may hold so many bytes of text or values.

        Raises ProtocolError when it may not and too many such requests wait already.
        """
        state = self._state
        state.in_flight_bytes += size + REQUEST_BYTES
        return state.in_flight_bytes + state.statements_bytes <= state.share.room or self._has_room(size)

    def _has_room(self, size: int) -> bool:
        """The same, when by the books there is no room."""
        state = self._state
        if state.has_room(size + REQUEST_BYTES):
            return True
        if len(self._queue) >= state.limits.detailed:
            raise ProtocolError("outstanding")
        return False

    def _segment(self, execution: Execution) -> None:
        """Statements that go out together between two flushes share one time."""
        first = self._state.segment
        if first is None:
            self._state.segment = execution
        else:
            execution.quality = Quality.SHARED
            if first.quality < Quality.SHARED:
                first.quality = Quality.SHARED

    def _skip(self, execution: Execution) -> None:
        """The server will ignore it, because of an error before it."""
        execution.outcome = Outcome.SKIPPED
        execution.quality = Quality.PARTIAL
        self._state.delivery.add(execution)

    def query(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        sql, length = messages.query(buffer, start, end, size, self._sql_bytes)
        execution = Execution(state.session, Kind.SIMPLE, sql, length, state.now)
        execution.bytes_in = size + 5
        execution.window = state.window
        if length > len(sql):
            state.observer.count("bypass.sql")
        state.copy_data_sent = False
        if self._expectations.skipping:
            self._skip(execution)
            return
        if not self._may_keep(len(sql)):
            execution.sql = sql = b""
            state.observer.count("bypass.sql")
        execution.stalled = state.timing.stalled_until(state.now)
        prepared = executes(sql) if sql and sql[0] in MAY_EXECUTE else UNNAMED
        entry = Batch(kinds.QUERY, prepared, execution)
        if self._statements.get(UNNAMED) is not None or self._portals.get(UNNAMED) is not None:
            entry.drops_unnamed = True
            entry.propose(self._statements, self._portals)
        if state.segment is not None:
            self._segment(execution)
            state.segment = None
        state.window += 1
        self._append(entry)

    def parse(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        cap = self._sql_bytes
        if end - start > cap + HEAD_SLACK:
            end = start + cap + HEAD_SLACK
        name, sql, length, oids = messages.parse(buffer, start, end, size, cap)
        if length > len(sql):
            state.observer.count("bypass.sql")
        if self._expectations.skipping:
            return
        if not self._may_keep(len(sql)):
            sql = b""
            state.observer.count("bypass.sql")
        statement = Statement(name, sql, length, oids)
        if sql and sql[0] in MAY_EXECUTE:
            statement.executes = executes(sql)
        self._statements.propose(name, statement)
        self._append(Expected(kinds.PARSE, name, statement, None, None))

    def bind(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        if self._expectations.skipping:
            return
        cap = self._param_bytes
        if cap and len(self._queue) > state.limits.detailed:
            cap = 0
        head = messages.bind(buffer, start, end, size, cap)
        state.in_flight_bytes += end - start + REQUEST_BYTES
        held = state.in_flight_bytes + state.statements_bytes
        if held > state.share.room and not self._has_room(end - start):
            head.params = None
        if head.params is None and self._param_bytes:
            state.observer.count("bypass.params")
        portal = Portal(self._statements.get(head.statement), head, size + 5)
        self._portals.propose(head.portal, portal)
        self._append(Expected(kinds.BIND, head.portal, None, portal, None))

    def describe(self, buffer: bytes, start: int, end: int, size: int) -> None:
        if self._expectations.skipping:
            return
        what, name = messages.target(buffer, start, end)
        if what == _STATEMENT:
            described = Expected(kinds.DESCRIBE_STATEMENT, name, self._statements.get(name), None, None)
        else:
            portal = self._portals.get(name)
            statement = portal.statement if portal is not None else None
            described = Expected(kinds.DESCRIBE_PORTAL, name, statement, portal, None)
        self._append(described)

    def execute(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        name, _ = messages.execute(buffer, start, end)
        portal = self._portals.get(name)
        statement = portal.statement if portal is not None else None
        if portal is None or statement is None:
            execution = Execution(state.session, Kind.EXTENDED, b"", 0, state.now)
            state.observer.count("unknown_name")
        else:
            execution = Execution(
                state.session, Kind.EXTENDED, statement.sql, statement.sql_length, state.now
            )
            execution.statement_name = statement.name
        execution.bytes_in = size + 5
        if portal is not None:
            head = portal.head
            execution.params = head.params
            execution.param_formats = head.formats
            execution.result_formats = head.result_formats
            execution.bytes_in += portal.bytes_in
            portal.bytes_in = 0
        execution.window = state.window
        state.copy_data_sent = False
        if self._expectations.skipping:
            self._skip(execution)
            return
        execution.stalled = state.timing.stalled_until(state.now)
        state.in_flight_bytes += REQUEST_BYTES
        if state.in_flight_bytes > state.share.room:
            self._has_room(0)
        self._segment(execution)
        self._append(Expected(kinds.EXECUTE, name, statement, portal, execution))

    def close(self, buffer: bytes, start: int, end: int, size: int) -> None:
        if self._expectations.skipping:
            return
        what, name = messages.target(buffer, start, end)
        kind = kinds.CLOSE_STATEMENT if what == _STATEMENT else kinds.CLOSE_PORTAL
        entry = Expected(kind, name, None, None, None)
        entry.propose(self._statements, self._portals)
        self._append(entry)

    def function_call(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        execution = Execution(state.session, Kind.FUNCTION_CALL, b"", 0, state.now)
        execution.tag = b"FUNCTION %d" % messages.function_call(buffer, start, end)
        execution.bytes_in = size + 5
        execution.window = state.window
        if self._expectations.skipping:
            self._skip(execution)
            return
        execution.stalled = state.timing.stalled_until(state.now)
        self._segment(execution)
        state.segment = None
        state.window += 1
        self._append(Batch(kinds.FUNCTION_CALL, UNNAMED, execution))

    def flush(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._state.segment = None

    def sync(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        self._expectations.skipping = False
        state.segment = None
        state.window += 1
        self._append(kinds.SYNC_AFTER_DATA if state.copy_data_sent else kinds.SYNC_BEFORE_DATA)

    def copy_data(self, kind: int, chunk: bytes, start: int, end: int, count: int) -> None:
        state = self._state
        state.copy_data_sent = True
        queue = self._queue
        if self._expectations.copying:
            execution = queue[0].execution
        elif queue:
            # Sent ahead of CopyInResponse: it belongs to the latest statement.
            execution = queue[-1].execution
        else:
            return
        if execution is not None:
            execution.bytes_in += end - start

    def copy_done(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._end_copy(kinds.COPY_DONE)

    def copy_fail(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._end_copy(kinds.COPY_FAIL)

    def _end_copy(self, mark: Expected) -> None:
        state = self._state
        if self._expectations.copying:
            state.timing.copy_data_ended(state.now)
        if self._queue:
            self._append(mark)

    def terminate(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self.terminated = True
