"""How long names last: what requests, SQL's own commands and the ends of transactions make of them.

Statements live until they are closed or replaced, portals until their transaction ends at the latest. A
portal that was fetched from in part is one execution, which is complete when the portal is gone.
"""

from __future__ import annotations

from typing import Final

from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality
from proxy.observe.names import NOT_IN_FORCE, UNNAMED, Portal, Statement
from proxy.observe.sqltext import closes, deallocates, next_statement, prepares

NAME_TAGS: Final = frozenset(
    (b"PREPARE", b"DEALLOCATE", b"DEALLOCATE ALL", b"DISCARD ALL", b"CLOSE CURSOR", b"CLOSE CURSOR ALL")
)
"""Command tags of statements that define or remove names."""


class Lifetimes:
    """Statements and portals in force. ``Replies``, ``Completion`` and ``Failures`` tell it what happened."""

    __slots__ = ("_state", "rolled_back")

    def __init__(self, state: Conversation) -> None:
        self._state = state
        self.rolled_back = False
        """Since the last ReadyForQuery something was rolled back."""

    # Statements.

    def define(self, name: bytes, statement: Statement | None) -> None:
        """The oldest proposal of a statement name is in force; None removes the name."""
        state = self._state
        before = state.statements.confirm(name, statement)
        if before is not None:
            self._let_go(before)
        if statement is not None:
            self._keep(statement)

    def remove(self, name: bytes) -> None:
        """The name is gone, whatever is still proposed for it."""
        state = self._state
        before = state.statements.live.pop(name, None)
        if before is not None:
            self._let_go(before)

    def describe(self, statement: Statement, columns: bytes | None) -> None:
        """A RowDescription came for it."""
        state = self._state
        before = statement.columns
        statement.columns = columns
        if columns is None or statement.held == NOT_IN_FORCE:
            return
        if before is not None and len(before) == len(columns):
            # The usual case: drivers ask again and again.
            return
        state.statements_bytes += statement.size - statement.held
        statement.held = statement.size
        if state.statements_bytes > state.limits.names_bytes or not self._fits():
            statement.columns = None
            state.statements_bytes += statement.size - statement.held
            statement.held = statement.size
            state.observer.count("bypass.columns")

    def _keep(self, statement: Statement) -> None:
        """It is in force under its name; with too many names, or too much text, it stays unknown."""
        state = self._state
        statement.held = statement.size
        state.statements_bytes += statement.held
        if (
            len(state.statements.live) > state.limits.names
            or state.statements_bytes > state.limits.names_bytes
            or not self._fits()
        ):
            self.remove(statement.name)
            state.observer.count("bypass.names")

    def _let_go(self, statement: Statement) -> None:
        """It is not in force any more."""
        self._state.statements_bytes -= statement.held
        statement.held = NOT_IN_FORCE

    def _fits(self) -> bool:
        state = self._state
        return state.statements_bytes + state.in_flight_bytes <= state.share.room or state.has_room(0)

    def stand_for(self, name: bytes, execution: Execution) -> None:
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

    def names_changed(self, tag: bytes, text: bytes) -> None:
        """SQL defined or removed names of statements and portals."""
        state = self._state
        live = state.statements.live
        if tag == b"PREPARE":
            name, sql = prepares(next_statement(text)[0])
            if name:
                self.remove(name)
                live[name] = Statement(name, sql, len(sql), ())
                self._keep(live[name])
        elif tag == b"DEALLOCATE":
            # An empty name is a text that we could not read, and not the unnamed statement.
            if name := deallocates(text):
                self.remove(name)
        elif tag == b"CLOSE CURSOR":
            if name := closes(text):
                portal = state.portals.live.pop(name, None)
                if portal is not None:
                    self.close_portal(portal, Outcome.OK)
        else:
            if tag != b"CLOSE CURSOR ALL":
                # DropAllPreparedStatements in prepare.c: the unnamed one is not among them.
                unnamed = live.get(UNNAMED)
                for statement in live.values():
                    if statement is not unnamed:
                        self._let_go(statement)
                live.clear()
                if unnamed is not None:
                    live[UNNAMED] = unnamed
            if tag != b"DEALLOCATE ALL":
                self._close_portals()

    # Portals.

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

    def fail_portal(self, portal: Portal) -> None:
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
            self.stand_for(statement.executes, execution)
        state.observer.taken_back(execution)

    def end_portals(self) -> None:
        """The transaction ended, and all portals with it."""
        portals = self._state.portals.live
        for portal in portals.values():
            if self.rolled_back:
                self.fail_portal(portal)
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
