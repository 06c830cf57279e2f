"""Results kept by reference, for as long as later parameters may turn out to come from them.

Two bounds hold at any time: bytes a session and bytes a worker. Within a session the statement that holds
the most gives way first, its oldest result before its newer ones: so the one result that listed the parents
survives the thousand small results of the loop over them. Between sessions the least recently used one
loses all that it kept. Whatever is dropped is counted.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from proxy.observe.execution import Execution, Rows
from workload.capture.steps import StepRecord


class KeptResult:
    """One result with more than one row: where it stands in its unit, and how to read it."""

    __slots__ = ("columns", "formats", "held", "kind", "rows", "sequence", "statement", "step")

    def __init__(
        self,
        execution: Execution,
        rows: Rows,
        columns: bytes,
        statement: int,
        sequence: int,
        step: StepRecord,
    ) -> None:
        self.columns = columns
        self.formats = execution.result_formats
        self.kind = execution.kind
        self.rows = rows
        self.held = rows.held
        self.statement = statement
        self.sequence = sequence
        """Ordinal of its step in the unit, over all parts."""
        self.step = step
        """Sent again with later parts that refer to this result."""


class SessionResults:
    """What one session keeps, by statement in order of arrival."""

    __slots__ = ("by_statement", "bytes", "sizes")

    def __init__(self) -> None:
        self.bytes = 0
        self.by_statement: dict[int, deque[KeptResult]] = {}
        self.sizes: dict[int, int] = {}


class ResultBudget:
    """All sessions of a worker together."""

    def __init__(self, session_bytes: int, worker_bytes: int) -> None:
        self._session_bytes = session_bytes
        self._worker_bytes = worker_bytes
        self._sessions: OrderedDict[int, SessionResults] = OrderedDict()
        self.bytes = 0
        self.dropped = 0
        """Results that were dropped, or never taken, to stay within the bounds."""

    def keep(self, owner: SessionResults, kept: KeptResult) -> None:
        """Take a result for ``owner``; older ones go where there is no room for it."""
        size = kept.rows.size
        if size > self._session_bytes:
            self.dropped += 1
            return
        queue = owner.by_statement.get(kept.statement)
        if queue is None:
            queue = owner.by_statement[kept.statement] = deque()
            owner.sizes[kept.statement] = 0
        queue.append(kept)
        owner.sizes[kept.statement] += size
        owner.bytes += size
        self.bytes += size
        self._sessions[id(owner)] = owner
        self._sessions.move_to_end(id(owner))
        while owner.bytes > self._session_bytes:
            self._evict_from(owner)
        while self.bytes > self._worker_bytes:
            _, stalest = self._sessions.popitem(last=False)
            self.dropped += sum(len(queue) for queue in stalest.by_statement.values())
            self._clear(stalest)

    def release(self, owner: SessionResults) -> None:
        """Forget everything that ``owner`` keeps: nobody will ask for it again."""
        if self._sessions.pop(id(owner), None) is not None:
            self._clear(owner)

    def _evict_from(self, owner: SessionResults) -> None:
        greediest = max(owner.sizes, key=owner.sizes.__getitem__)
        queue = owner.by_statement[greediest]
        size = queue.popleft().rows.size
        owner.sizes[greediest] -= size
        owner.bytes -= size
        self.bytes -= size
        self.dropped += 1
        if not queue:
            del owner.by_statement[greediest], owner.sizes[greediest]

    def _clear(self, owner: SessionResults) -> None:
        self.bytes -= owner.bytes
        owner.bytes = 0
        owner.by_statement.clear()
        owner.sizes.clear()
