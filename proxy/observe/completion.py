"""Statements that are done: their times, their texts, and what they did to names and transactions."""

from __future__ import annotations

from typing import Final

from proxy.observe import expectations as kinds
from proxy.observe.conversation import IDLE, Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality
from proxy.observe.expectations import COPY_FAIL, Batch, Expected
from proxy.observe.names import UNNAMED, Portal, Statement
from proxy.observe.sqltext import closes, deallocates, executes, next_statement, prepares
from proxy.wire.framing import ProtocolError

_NAME_TAGS: Final = frozenset(
    (b"PREPARE", b"DEALLOCATE", b"DEALLOCATE ALL", b"DISCARD ALL", b"CLOSE CURSOR", b"CLOSE CURSOR ALL")
)

_EARLY_ERRORS: Final = (b"42", b"26", b"25")


class Completion:
    """Ends statements, windows and transactions; ``Replies`` tells it which."""

    __slots__ = ("_rolled_back", "_state")

    def __init__(self, state: Conversation) -> None:
        self._state = state
        self._rolled_back = False
        """Since the last ReadyForQuery something was rolled back."""

    # Statements.

    def next_child(self, entry: Expected) -> Execution:
        """The next statement of a Query message begins to be answered."""
        state = self._state
        if not isinstance(entry, Batch) or entry.failed:
            raise ProtocolError("unexpected_answer")
        first = entry.template
        child = Execution(state.session, Kind.SIMPLE, first.sql, first.sql_length, first.t_recv)
        child.t_sent = first.t_sent
        child.window = first.window
        child.ordinal = entry.children
        child.stalled = state.timing.done_total
        child.quality = Quality.SHARED
        child.statements = 0
        entry.execution = child
        return child

    def complete(self, execution: Execution, outcome: Outcome) -> None:
        """The first expectation's statement is done, for better or worse."""
        state = self._state
        entry = state.expectations.queue[0]
        execution.outcome = outcome
        self._finish(execution)
        if isinstance(entry, Batch):
            self._end_child(entry, execution)
        else:
            state.expectations.queue.popleft()
            self._end_execute(entry, execution)

    def _finish(self, execution: Execution) -> None:
        state = self._state
        state.timing.finish(execution, state.now)
        if state.results.active:
            rows = state.results.finish()
            execution.row_data = rows
            if rows is None or rows.held < execution.rows:
                state.observer.count("bypass.rows")

    def _end_child(self, entry: Batch, execution: Execution) -> None:
        """One statement of a Query message (or the FunctionCall) is done; more may follow."""
        state = self._state
        tag = execution.tag
        if entry.children:
            text = self._child_text(entry, execution.sql)
            self._execute_text(executes(text), execution)
        else:
            text = execution.sql
            self._execute_text(entry.name, execution)
        entry.children += 1
        entry.execution = None
        state.delivery.add(execution)
        if tag == b"ROLLBACK":
            self._rolled_back = True
        elif tag in _NAME_TAGS:
            self._names_changed(tag, text)

    def _child_text(self, entry: Batch, sql: bytes) -> bytes:
        """The text of the statement that is done now, for all but the first of a message."""
        if entry.children == 1:
            _, entry.text_at = next_statement(sql)
        text, entry.text_at = next_statement(sql, entry.text_at)
        return text

    def _execute_text(self, name: bytes, execution: Execution) -> None:
        """``EXECUTE name`` is reported as the statement that was prepared, as the server counts it."""
        if not name:
            return
        prepared = self._state.statements.live.get(name)
        if prepared is None:
            return
        execution.sql = prepared.sql
        execution.sql_length = prepared.sql_length
        execution.statement_name = prepared.name
        execution.params = None
        execution.param_formats = ()
        execution.ordinal = 0
        execution.statements = 1

    def _end_execute(self, entry: Expected, execution: Execution) -> None:
        portal = entry.portal
        tag = execution.tag
        self._describe(entry, execution)
        if portal is not None:
            if portal.suspended is not None:
                execution = self._merge(portal, execution)
                portal.suspended = None
            elif portal.finished and execution.outcome == Outcome.OK:
                # The portal had run to its end: the server did nothing, and does not count it either.
                return
            portal.finished = True
            counts_later = execution.outcome == Outcome.OK and tag.startswith(b"SELECT ")
            portal.open_rows = execution.rows if counts_later else -1
        self._state.delivery.add(execution)
        if tag == b"ROLLBACK":
            self._rolled_back = True
        elif tag in _NAME_TAGS and entry.statement is not None:
            self._names_changed(tag, entry.statement.sql)

    def _describe(self, entry: Expected, execution: Execution) -> None:
        """What is known of the prepared statement by now, also from a Describe that was sent with it."""
        statement = entry.statement
        if statement is None:
            return
        execution.param_oids = statement.oids
        execution.columns = statement.columns
        if statement.executes:
            self._execute_text(statement.executes, execution)

    def suspend(self, execution: Execution) -> None:
        """The row limit of an Execute was reached: the portal may be fetched from again."""
        state = self._state
        entry = state.expectations.queue.popleft()
        self._finish(execution)
        self._describe(entry, execution)
        portal = entry.portal
        if portal is None:
            # A portal that we know nothing of: there is nowhere to add its fetches up.
            state.delivery.add(execution)
        else:
            portal.suspended = self._merge(portal, execution)

    def _merge(self, portal: Portal, fetch: Execution) -> Execution:
        """Several fetches of one portal are one execution; the time between them is the client's."""
        portal.net += fetch.t_done - fetch.t_start - fetch.stalled
        whole = portal.suspended
        if whole is None:
            if fetch.quality < Quality.CLIENT_BOUND:
                fetch.quality = Quality.CLIENT_BOUND
            return fetch
        whole.t_done = fetch.t_done
        whole.stalled = whole.t_done - whole.t_start - portal.net
        whole.rows += fetch.rows
        whole.bytes_in += fetch.bytes_in
        whole.bytes_out += fetch.bytes_out
        whole.tag = fetch.tag
        whole.sqlstate = fetch.sqlstate
        whole.outcome = fetch.outcome
        whole.window = fetch.window
        if fetch.quality > whole.quality:
            whole.quality = fetch.quality
        return whole

    # Names.

    def define(self, name: bytes, statement: Statement | None) -> None:
        """The oldest proposal of a statement name is in force; None removes the name."""
        state = self._state
        before = state.statements.confirm(name, statement)
        if before is not None:
            state.statements_bytes -= len(before.sql)
        if statement is not None:
            state.statements_bytes += len(statement.sql)
            self._bound(name)

    def _bound(self, name: bytes) -> None:
        """Too many names, or too much text: this one stays unknown."""
        state = self._state
        live = state.statements.live
        if len(live) > state.limits.names or state.statements_bytes > state.limits.names_bytes:
            state.statements_bytes -= len(live.pop(name).sql)
            state.observer.count("bypass.names")

    def close_portal(self, portal: Portal, outcome: Outcome) -> None:
        """A portal is gone: if it was fetched from in part, that was its one execution."""
        execution = portal.suspended
        if execution is None:
            return
        portal.suspended = None
        execution.outcome = outcome
        if outcome == Outcome.ABORTED:
            execution.quality = Quality.PARTIAL
        self._state.delivery.add(execution)

    def _fail_portal(self, portal: Portal) -> None:
        """The transaction is rolled back over an open portal.

        PostgreSQL drops it without ExecutorEnd (``AtAbort_Portals`` in portalmem.c), so that
        pg_stat_statements never counts it, not even a SELECT that the client read to its end. We did report
        that one, because the client saw it succeed, and take it back.
        """
        if portal.suspended is not None:
            self.close_portal(portal, Outcome.ABORTED)
        if portal.open_rows >= 0:
            self._take_back(portal)

    def _take_back(self, portal: Portal) -> None:
        state = self._state
        statement = portal.statement
        rows = portal.open_rows
        portal.open_rows = -1
        state.observer.count("uncounted_by_server")
        if statement is None:
            return
        execution = Execution(state.session, Kind.EXTENDED, statement.sql, statement.sql_length, state.now)
        execution.rows = rows
        if statement.executes:
            self._execute_text(statement.executes, execution)
        state.observer.taken_back(execution)

    def _end_portals(self) -> None:
        """The transaction ended, and all portals with it."""
        portals = self._state.portals.live
        for portal in portals.values():
            if self._rolled_back:
                self._fail_portal(portal)
            elif portal.suspended is not None:
                self.close_portal(portal, Outcome.OK)
        portals.clear()

    def _close_portals(self) -> None:
        """SQL closed all portals."""
        portals = self._state.portals.live
        for portal in portals.values():
            if portal.suspended is not None:
                self.close_portal(portal, Outcome.OK)
        portals.clear()

    def _names_changed(self, tag: bytes, text: bytes) -> None:
        """SQL defined or removed names of statements and portals."""
        state = self._state
        live = state.statements.live
        if tag == b"PREPARE":
            name, sql = prepares(next_statement(text)[0])
            if name:
                before = live.pop(name, None)
                if before is not None:
                    state.statements_bytes -= len(before.sql)
                live[name] = Statement(name, sql, len(sql), ())
                state.statements_bytes += len(sql)
                self._bound(name)
        elif tag == b"DEALLOCATE":
            before = live.pop(deallocates(text), None)
            if before is not None:
                state.statements_bytes -= len(before.sql)
        elif tag == b"CLOSE CURSOR":
            portal = state.portals.live.pop(closes(text), None)
            if portal is not None:
                self.close_portal(portal, Outcome.OK)
        else:
            if tag != b"CLOSE CURSOR ALL":
                live.clear()
                state.statements_bytes = 0
            if tag != b"DEALLOCATE ALL":
                self._close_portals()

    # Errors.

    def error(self, sqlstate: bytes, size: int) -> None:
        """ErrorResponse to the first expectation, which exists."""
        state = self._state
        entry = state.expectations.queue[0]
        if state.expectations.copying:
            self._copy_failed()
        if self._had_dropped_unnamed_portal(entry, sqlstate):
            before = state.portals.live.pop(UNNAMED, None)
            if before is not None:
                self.close_portal(before, Outcome.OK)
        self._rolled_back = True
        for portal in state.portals.live.values():
            if portal is not entry.portal:
                self._fail_portal(portal)
        if entry.kind == kinds.SYNC:
            state.observer.count("commit_failed." + sqlstate.decode("ascii", "replace"))
            return
        if isinstance(entry, Batch):
            if entry.failed:
                # A second one is the server's last word before it closes the connection.
                return
            execution = entry.execution
            if execution is None:
                execution = self.next_child(entry)
            entry.failed = True
            self._fail(execution, sqlstate, size)
            return
        skipped = state.expectations.skip_to_sync()
        self._fail_first(skipped, sqlstate, size)
        state.propose_again()

    def _had_dropped_unnamed_portal(self, entry: Expected, sqlstate: bytes) -> bool:
        """The server makes room for a new unnamed portal before most errors: not before those about the
        text (class 42), about a missing statement (26) or a failed transaction (25).
        """
        if isinstance(entry, Batch):
            return entry.children > 0 or sqlstate[:2] not in _EARLY_ERRORS
        return entry.kind == kinds.BIND and entry.name == UNNAMED and sqlstate[:2] not in _EARLY_ERRORS

    def _copy_failed(self) -> None:
        state = self._state
        state.timing.copy_data_ended(state.now)
        for entry in state.expectations.queue:
            if entry.kind == kinds.COPY_END:
                if entry is COPY_FAIL:
                    state.observer.count("copy_failed_by_client")
                break
        state.expectations.end_copy(succeeded=False)

    def _fail(self, execution: Execution, sqlstate: bytes, size: int) -> None:
        execution.sqlstate = sqlstate
        execution.bytes_out += size
        self.complete(execution, Outcome.ERROR)

    def _fail_first(self, skipped: list[Expected], sqlstate: bytes, size: int) -> None:
        """Of the requests that the server gave up, the first one failed; the rest was never looked at.

        A statement that cannot be parsed or bound has failed, too: if it was to be executed in the same
        breath, that execution is the error and not a skipped one.
        """
        state = self._state
        first = skipped[0]
        culprit: Expected | None = None
        for entry in skipped:
            if entry.kind == kinds.EXECUTE and (entry is first or self._depends(entry, first)):
                culprit = entry
                break
        if first.kind == kinds.PARSE and first.name == UNNAMED:
            before = state.statements.live.pop(UNNAMED, None)
            if before is not None:
                state.statements_bytes -= len(before.sql)
        if culprit is None and first.statement is not None:
            self._fail_alone(first.statement, sqlstate, size)
        elif culprit is None and first.portal is not None and first.portal.statement is not None:
            self._fail_alone(first.portal.statement, sqlstate, size)
        elif culprit is None:
            state.observer.count("unattributed_error." + sqlstate.decode("ascii", "replace"))
        for entry in skipped:
            execution = entry.execution
            if execution is None:
                continue
            if entry is culprit:
                execution.outcome = Outcome.ERROR
                execution.sqlstate = sqlstate
                execution.bytes_out += size
                self._finish(execution)
                self._end_execute(entry, execution)
            else:
                execution.outcome = Outcome.SKIPPED
                execution.quality = Quality.PARTIAL
                execution.stalled = 0.0
                state.delivery.add(execution)

    def _depends(self, execute: Expected, failed: Expected) -> bool:
        """Does this Execute run what the failed request parses, binds or describes?"""
        if failed.portal is not None:
            return execute.portal is failed.portal
        return failed.statement is not None and execute.statement is failed.statement

    def _fail_alone(self, statement: Statement, sqlstate: bytes, size: int) -> None:
        """A statement failed that nobody was going to execute yet."""
        state = self._state
        execution = Execution(state.session, Kind.EXTENDED, statement.sql, statement.sql_length, state.now)
        execution.statement_name = statement.name
        execution.param_oids = statement.oids
        execution.window = state.window
        execution.outcome = Outcome.ERROR
        execution.sqlstate = sqlstate
        execution.bytes_out = size
        execution.quality = Quality.PARTIAL
        execution.t_first = execution.t_done = state.now
        state.delivery.add(execution)

    # Windows and transactions.

    def ready(self, entry: Expected, status: int) -> None:
        """ReadyForQuery: the request that it ends has left the queue."""
        state = self._state
        if isinstance(entry, Batch):
            if entry.drops_unnamed:
                self.define(UNNAMED, None)
                before = state.portals.confirm(UNNAMED, None)
                if before is not None:
                    self.close_portal(before, Outcome.OK)
            state.delivery.batch(entry.template.sql, entry.children, entry.failed)
        if status == IDLE and state.portals.live:
            self._end_portals()
        self._rolled_back = False
        state.timing.ready(state.now)
        state.status = status
        state.delivery.ready(state.now, status)
