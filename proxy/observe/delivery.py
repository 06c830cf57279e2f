"""Complete executions on their way to the observer, held until the ReadyForQuery of their window."""

from __future__ import annotations

from proxy.observe.execution import Execution, Kind, Observer, Outcome, Quality
from proxy.observe.limits import TapLimits
from proxy.observe.memory import Budget, Share


class Delivery:
    """Executions that are done, in the order in which the server answered them."""

    __slots__ = ("_limit", "_observer", "_share", "_text_limit", "_texts", "done", "results")

    def __init__(self, observer: Observer, limits: TapLimits, budget: Budget) -> None:
        self._observer = observer
        self._limit = limits.window
        self._share = Share(budget, limits.window_result_bytes)
        self.done: list[Execution] = []
        self._text_limit = limits.window_sql_bytes
        self._texts = 0
        self.results = 0
        """Bytes of result chunks that they keep alive."""

    def add(self, execution: Execution) -> None:
        """Take over an execution. A window that grows too long is delivered in parts, which have no
        ReadyForQuery and no time of their own.
        """
        self._texts += len(execution.sql)
        if len(self.done) >= self._limit or (self._texts > self._text_limit and self.done):
            for waiting in self.done:
                if waiting.quality < Quality.SHARED:
                    waiting.quality = Quality.SHARED
                self._unknown_total(waiting)
            self.flush()
            self._texts = len(execution.sql)
        rows = execution.row_data
        if rows is not None:
            self.results += rows.size
            if self.results > self._share.room and not self._share.grow(self.results):
                self.results -= rows.size
                execution.row_data = None
                self._observer.count("bypass.rows")
        self.done.append(execution)

    def batch(self, sql: bytes, statements: int, failed: bool) -> None:
        """The Query message that the latest executions came from is over, with that many statements."""
        for execution in self.done:
            if execution.kind == Kind.SIMPLE:
                # EXECUTE stands for another text, which is one statement.
                if execution.sql is sql:
                    execution.statements = 0 if failed else statements
                if statements > 1 and execution.quality < Quality.SHARED:
                    execution.quality = Quality.SHARED

    def _unknown_total(self, execution: Execution) -> None:
        """It is delivered before its Query message is over. (EXECUTE stands for one statement.)"""
        if execution.kind == Kind.SIMPLE and not execution.statement_name:
            execution.statements = 0

    def ready(self, now: float, status: int) -> None:
        """ReadyForQuery came: the executions know all they can know."""
        for execution in self.done:
            execution.t_ready = now
            execution.transaction = status
        self.flush()

    def flush(self) -> None:
        """Hand over what is done, as it is."""
        done = self.done
        self.done = []
        self.results = 0
        self._texts = 0
        if self._share.taken:
            self._share.shrink(0)
        executed = self._observer.executed
        for execution in done:
            executed(execution)

    def give_up(self, pending: list[Execution]) -> None:
        """Observation ends here: deliver what is done, and the rest as aborted. Never raises."""
        for execution in pending:
            execution.outcome = Outcome.ABORTED
            execution.quality = Quality.PARTIAL
            execution.stalled = 0.0
        for execution in self.done:
            self._unknown_total(execution)
        done = self.done + pending
        self.done = []
        self.results = 0
        for execution in done:
            try:
                self._observer.executed(execution)
            except Exception:
                return
