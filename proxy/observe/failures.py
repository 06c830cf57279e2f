"""Errors: which statement failed, which ones the server then never looked at, and what was rolled back."""

from __future__ import annotations

from typing import Final

from proxy.observe import expectations as kinds
from proxy.observe.completion import Completion
from proxy.observe.conversation import Conversation
from proxy.observe.execution import Execution, Kind, Outcome, Quality
from proxy.observe.expectations import COPY_FAIL, Batch, Expected
from proxy.observe.lifetimes import Lifetimes
from proxy.observe.names import UNNAMED, Statement

_EARLY_ERRORS: Final = (b"42", b"26", b"25")


class Failures:
    """Settles an ErrorResponse; ``Replies`` hands it over."""

    __slots__ = ("_completion", "_lifetimes", "_state")

    def __init__(self, state: Conversation, lifetimes: Lifetimes, completion: Completion) -> None:
        self._state = state
        self._lifetimes = lifetimes
        self._completion = completion

    def error(self, sqlstate: bytes, size: int) -> None:
        """ErrorResponse to the first expectation, which exists."""
        state = self._state
        entry = state.expectations.queue[0]
        if state.expectations.copying:
            self._copy_failed()
        if self._had_dropped_unnamed_portal(entry, sqlstate):
            before = state.portals.live.pop(UNNAMED, None)
            if before is not None:
                self._lifetimes.close_portal(before, Outcome.OK)
        self._lifetimes.rolled_back = True
        for portal in state.portals.live.values():
            if portal is not entry.portal:
                self._lifetimes.fail_portal(portal)
        if entry.kind == kinds.SYNC:
            state.observer.count("commit_failed." + sqlstate.decode("ascii", "replace"))
            return
        if isinstance(entry, Batch):
            if entry.failed:
                # A second one is the server's last word before it closes the connection.
                return
            execution = entry.execution
            if execution is None:
                execution = self._completion.next_child(entry)
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
        self._completion.complete(execution, Outcome.ERROR)

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
            self._lifetimes.remove(UNNAMED)
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
                execution.sqlstate = sqlstate
                execution.bytes_out += size
                self._completion.end(entry, execution, Outcome.ERROR)
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
