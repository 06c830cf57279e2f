"""Statements, windows and transactions that are done: their times, their texts, their results."""

from __future__ import annotations

from proxy.observe.conversation import IDLE, Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality
from proxy.observe.expectations import Batch, Expected
from proxy.observe.lifetimes import NAME_TAGS, Lifetimes
from proxy.observe.names import UNNAMED, Portal
from proxy.observe.sqltext import executes, next_statement
from proxy.wire.framing import ProtocolError


class Completion:
    """Ends statements, windows and transactions; ``Replies`` and ``Failures`` tell it which."""

    __slots__ = ("_lifetimes", "_state")

    def __init__(self, state: Conversation, lifetimes: Lifetimes) -> None:
        self._state = state
        self._lifetimes = lifetimes

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
        if not isinstance(entry, Batch):
            state.expectations.queue.popleft()
        self.end(entry, execution, outcome)

    def end(self, entry: Expected, execution: Execution, outcome: Outcome) -> None:
        """The same for an expectation that need not stand first: one that left the queue with an error."""
        execution.outcome = outcome
        self._finish(execution)
        if isinstance(entry, Batch):
            self._end_child(entry, execution)
        else:
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
            self._lifetimes.stand_for(executes(text), execution)
        else:
            text = execution.sql
            self._lifetimes.stand_for(entry.name, execution)
        entry.children += 1
        entry.execution = None
        state.delivery.add(execution)
        if tag == b"ROLLBACK":
            self._lifetimes.rolled_back = True
        elif tag in NAME_TAGS:
            self._lifetimes.names_changed(tag, text)

    def _child_text(self, entry: Batch, sql: bytes) -> bytes:
        """The text of the statement that is done now, for all but the first of a message."""
        if entry.children == 1:
            _, entry.text_at = next_statement(sql)
        text, entry.text_at = next_statement(sql, entry.text_at)
        return text

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
            self._lifetimes.rolled_back = True
        elif tag in NAME_TAGS and entry.statement is not None:
            self._lifetimes.names_changed(tag, entry.statement.sql)

    def _describe(self, entry: Expected, execution: Execution) -> None:
        """What is known of the prepared statement by now, also from a Describe that was sent with it."""
        statement = entry.statement
        if statement is None:
            return
        execution.param_oids = statement.oids
        execution.columns = statement.columns
        if statement.executes:
            self._lifetimes.stand_for(statement.executes, execution)

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

    # Windows and transactions.

    def ready(self, entry: Expected, status: int) -> None:
        """ReadyForQuery: the request that it ends has left the queue."""
        state = self._state
        if isinstance(entry, Batch):
            if entry.drops_unnamed:
                self._lifetimes.define(UNNAMED, None)
                before = state.portals.confirm(UNNAMED, None)
                if before is not None:
                    self._lifetimes.close_portal(before, Outcome.OK)
            state.delivery.batch(entry.template.sql, entry.children, entry.failed)
        if status == IDLE and state.portals.live:
            self._lifetimes.end_portals()
        self._lifetimes.rolled_back = False
        state.timing.ready(state.now)
        state.status = status
        state.delivery.ready(state.now, status)
        if not state.expectations.queue and not state.portals.live:
            state.in_flight_bytes = 0
            if state.share.taken or state.refusals:
                state.settle()
