"""Server to client: every answer is held against the first expectation; complete statements come out."""

from __future__ import annotations

from typing import Final

from proxy.observe import expectations as kinds
from proxy.observe.completion import Completion
from proxy.observe.conversation import IDLE, Conversation
from proxy.observe.execution import Execution, Outcome, Quality
from proxy.observe.expectations import Batch
from proxy.observe.failures import Failures
from proxy.observe.lifetimes import Lifetimes
from proxy.wire import messages
from proxy.wire.framing import Messages, ProtocolError

KNOWN: Final = b"RvSKNAEZ123tTnDCsIGHWdcV"
"""Everything that a server may send."""
DATA_ROW: Final = 0x44
READY: Final = 0x5A
ASYNCHRONOUS: Final = b"NAS"
REPLICATION: Final = "replication"
"""Reason for which a session is opaque on purpose."""
_DESCRIBES: Final = (kinds.DESCRIBE_STATEMENT, kinds.DESCRIBE_PORTAL)


class Replies:
    """Handlers of the messages that a server sends."""

    __slots__ = ("_completion", "_expectations", "_failures", "_lifetimes", "_queue", "_state", "messages")

    def __init__(self, state: Conversation) -> None:
        self._state = state
        self._lifetimes = Lifetimes(state)
        self._completion = Completion(state, self._lifetimes)
        self._failures = Failures(state, self._lifetimes, self._completion)
        self._expectations = state.expectations
        self._queue = state.expectations.queue
        table = Messages(KNOWN, b"Dd", self.rows)
        columns = state.limits.columns_bytes
        table.handle(ord("1"), self.parse_complete, 0)
        table.handle(ord("2"), self.bind_complete, 0)
        table.handle(ord("3"), self.close_complete, 0)
        table.handle(ord("t"), self.parameter_description, columns)
        table.handle(ord("T"), self.row_description, columns)
        table.handle(ord("n"), self.no_data, 0)
        table.handle(ord("C"), self.command_complete, 256)
        table.handle(ord("s"), self.portal_suspended, 0)
        table.handle(ord("I"), self.empty_query, 0)
        table.handle(ord("G"), self.copy_in, 0)
        table.handle(ord("H"), self.copy_out, 0)
        table.handle(ord("W"), self.copy_both, 0)
        table.handle(ord("c"), self.copy_done, 0)
        table.handle(ord("V"), self.function_result, 0)
        table.handle(ord("E"), self.error, 8_192)
        table.handle(ord("Z"), self.ready, 1)
        table.handle(ord("S"), self.parameter_status, 4_096)
        table.handle(ord("K"), self.backend_key, 4)
        table.handle(ord("v"), self.negotiate_version, 0)
        self.messages = table

    # Acknowledgements.

    def parse_complete(self, buffer: bytes, start: int, end: int, size: int) -> None:
        entry = self._expectations.first(0x31)
        self._queue.popleft()
        self._lifetimes.define(entry.name, entry.statement)

    def bind_complete(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        entry = self._expectations.first(0x32)
        self._queue.popleft()
        before = state.portals.confirm(entry.name, entry.portal)
        if before is not None and before.suspended is not None:
            self._lifetimes.close_portal(before, Outcome.OK)
        if len(state.portals.live) > state.limits.names:
            del state.portals.live[entry.name]
            state.observer.count("bypass.names")

    def close_complete(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        entry = self._expectations.first(0x33)
        self._queue.popleft()
        if entry.kind == kinds.CLOSE_STATEMENT:
            self._lifetimes.define(entry.name, None)
            return
        before = state.portals.confirm(entry.name, None)
        if before is not None and before.suspended is not None:
            self._lifetimes.close_portal(before, Outcome.OK)

    def parameter_description(self, buffer: bytes, start: int, end: int, size: int) -> None:
        entry = self._expectations.first(0x74)
        if entry.statement is not None and end - start == size:
            entry.statement.oids = messages.parameter_description(buffer, start, end)

    def row_description(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        entry = self._expectations.first(0x54)
        columns: bytes | None = None
        if size <= state.limits.columns_bytes:
            columns = buffer[start:end]
        else:
            state.observer.count("bypass.columns")
        if entry.kind in _DESCRIBES:
            if entry.statement is not None:
                self._lifetimes.describe(entry.statement, columns)
            self._queue.popleft()
            return
        execution = entry.execution
        if execution is None:
            execution = self._completion.next_child(entry)
        execution.columns = columns
        execution.bytes_out += size + 5
        if execution.t_first == 0.0:
            execution.t_first = state.now

    def no_data(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._expectations.first(0x6E)
        self._queue.popleft()

    # Results.

    def _running(self, answer: int) -> Execution:
        """The statement that this answer belongs to."""
        entry = self._expectations.first(answer)
        execution = entry.execution
        if execution is None:
            execution = self._completion.next_child(entry)
        if execution.t_first == 0.0:
            execution.t_first = self._state.now
        return execution

    def rows(self, kind: int, chunk: bytes, start: int, end: int, count: int) -> None:
        """A run of DataRow or CopyData messages."""
        state = self._state
        execution = self._running(kind)
        execution.bytes_out += end - start
        if kind != DATA_ROW:
            return
        results = state.results
        if results.active:
            results.rows(count, end)
        elif execution.rows == 0 and state.limits.result_bytes:
            results.begin(chunk, start, state.limits.result_bytes)
            results.rows(count, end)
        execution.rows += count

    def message_begins(self, kind: int, chunk: bytes, offset: int) -> None:
        """The chunk ends within a message: what it belongs to has its first byte, and perhaps its rows."""
        state = self._state
        if not state.authenticated or kind in ASYNCHRONOUS or not state.expectations.waiting():
            return
        entry = state.expectations.queue[0]
        execution = entry.execution
        if kind not in kinds.ANSWERS[entry.kind]:
            return
        if execution is None:
            if kind == READY or not isinstance(entry, Batch) or entry.failed:
                return
            execution = self._completion.next_child(entry)
        if execution.t_first == 0.0:
            execution.t_first = state.now
        if (
            kind == DATA_ROW
            and execution.rows == 0
            and not state.results.active
            and state.limits.result_bytes
        ):
            state.results.begin(chunk, offset, state.limits.result_bytes)

    def copy_in(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        execution = self._running(0x47)
        execution.bytes_out += size + 5
        if execution.quality < Quality.CLIENT_BOUND:
            execution.quality = Quality.CLIENT_BOUND
        state.expectations.copying = True
        for entry in state.expectations.queue:
            if entry.kind == kinds.COPY_END:
                # The data was sent ahead: nobody waits for the client.
                return
        state.timing.copy_begins(state.now)

    def copy_out(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._running(0x48).bytes_out += size + 5

    def copy_both(self, buffer: bytes, start: int, end: int, size: int) -> None:
        raise ProtocolError("copy_both")

    def copy_done(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._running(0x63).bytes_out += size + 5

    # Completions.

    def command_complete(self, buffer: bytes, start: int, end: int, size: int) -> None:
        execution = self._running(0x43)
        tag = messages.command_tag(buffer, start, end)
        execution.tag = tag
        execution.bytes_out += size + 5
        if execution.rows == 0:
            execution.rows = messages.tag_rows(tag)
        if self._expectations.copying:
            self._expectations.end_copy(succeeded=True)
        self._completion.complete(execution, Outcome.OK)

    def empty_query(self, buffer: bytes, start: int, end: int, size: int) -> None:
        execution = self._running(0x49)
        self._not_copying()
        execution.bytes_out += size + 5
        self._completion.complete(execution, Outcome.EMPTY)

    def portal_suspended(self, buffer: bytes, start: int, end: int, size: int) -> None:
        execution = self._running(0x73)
        self._not_copying()
        execution.bytes_out += size + 5
        self._completion.suspend(execution)

    def _not_copying(self) -> None:
        """A COPY FROM STDIN ends with its tag or an error, and in no other way."""
        if self._expectations.copying:
            raise ProtocolError("unexpected_answer")

    def function_result(self, buffer: bytes, start: int, end: int, size: int) -> None:
        execution = self._running(0x56)
        execution.bytes_out += size + 5
        self._completion.complete(execution, Outcome.OK)

    def ready(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        status = buffer[start] if end > start else IDLE
        if not state.authenticated:
            state.authenticated = True
            state.status = status
            state.timing.ready(state.now)
            state.observer.session_opened(state.session)
            if state.session.replication:
                raise ProtocolError(REPLICATION)
            return
        entry = self._expectations.first(READY)
        if entry.execution is not None:
            raise ProtocolError("incomplete_result")
        self._queue.popleft()
        self._completion.ready(entry, status)

    def error(self, buffer: bytes, start: int, end: int, size: int) -> None:
        state = self._state
        sqlstate = messages.sqlstate(buffer, start, end)
        if not state.authenticated:
            state.observer.count("login_failed." + sqlstate.decode("ascii", "replace"))
        elif not state.expectations.waiting():
            # Nobody asked: the server says why it ends the session.
            state.observer.count("session_notice." + sqlstate.decode("ascii", "replace"))
        else:
            self._failures.error(sqlstate, size + 5)

    # What concerns the session.

    def parameter_status(self, buffer: bytes, start: int, end: int, size: int) -> None:
        session = self._state.session
        name, value = messages.parameter_status(buffer, start, end)
        text = value.decode("utf-8", "backslashreplace")
        if name == b"application_name":
            session.application_name = text
        elif name == b"client_encoding":
            session.client_encoding = text
        elif name == b"server_version":
            session.server_version = text
        elif name == b"standard_conforming_strings":
            session.standard_conforming_strings = value != b"off"

    def backend_key(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._state.session.backend_pid = messages.backend_pid(buffer, start, end)

    def negotiate_version(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self._state.observer.count("protocol_negotiated")
