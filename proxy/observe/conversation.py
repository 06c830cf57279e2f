"""What both directions of one session share: the one place of its state."""

from __future__ import annotations

from proxy.observe.delivery import Delivery
from proxy.observe.execution import Execution, Observer, Session
from proxy.observe.expectations import QUERY, Expectations
from proxy.observe.limits import TapLimits
from proxy.observe.memory import Budget, Share
from proxy.observe.names import Namespace, Portal, Statement
from proxy.observe.results import ResultKeeper
from proxy.observe.timing import Timing

REQUEST_BYTES = 512
"""What a request without an answer takes besides text and values; measured, an Execution included."""
PATIENCE = 256
"""Requests after which a session that got no memory asks again."""
IDLE = 0x49
"""Transaction status ``I``."""


class Conversation:
    """State of one session. ``Requests`` and ``Replies`` act on it, ``SessionTap`` feeds them."""

    __slots__ = (
        "authenticated",
        "copy_data_sent",
        "delivery",
        "expectations",
        "in_flight_bytes",
        "limits",
        "now",
        "observer",
        "portals",
        "refusals",
        "results",
        "segment",
        "session",
        "share",
        "statements",
        "statements_bytes",
        "status",
        "timing",
        "window",
    )

    def __init__(
        self, session: Session, observer: Observer, limits: TapLimits, budget: Budget | None = None
    ) -> None:
        """``budget`` is the process's; without one the session stands alone."""
        if budget is None:
            budget = Budget(limits.process_bytes)
        self.session = session
        self.observer = observer
        self.limits = limits
        self.now = 0.0
        """When the chunk being walked was read."""
        self.authenticated = False
        self.status = IDLE
        """Transaction status of the last ReadyForQuery."""
        self.expectations = Expectations()
        self.statements: Namespace[Statement] = Namespace()
        self.statements_bytes = 0
        """Texts and columns of the statements in force."""
        self.share = Share(budget, limits.session_bytes)
        self.in_flight_bytes = 0
        """What requests without an answer hold, at least; exact after ``has_room``."""
        self.refusals = 0
        """Requests for which there is no use in asking for memory."""
        self.portals: Namespace[Portal] = Namespace()
        self.timing = Timing()
        self.delivery = Delivery(observer, limits, budget)
        self.results = ResultKeeper()
        self.window = 1
        """Number of the Sync window that the client is filling."""
        self.segment: Execution | None = None
        """First execution asked for since the last Sync, Flush or Query: a second one shares its time."""
        self.copy_data_sent = False
        """The client sent CopyData since its last Query or Execute."""

    def has_room(self, more: int) -> bool:
        """Whether so many bytes may be kept beside what is kept already. Only needed when ``share.room`` is
        not enough for the books, which may say too much.
        """
        if self.refusals > 0:
            self.refusals -= 1
            return False
        self.in_flight_bytes = self._count_in_flight() + more
        size = self.statements_bytes + self.in_flight_bytes
        if size <= self.share.room or self.share.grow(size):
            return True
        self.refusals = PATIENCE
        return False

    def _count_in_flight(self) -> int:
        """Texts and values of requests without an answer and of open portals."""
        total = 0
        for entry in self.expectations.queue:
            total += REQUEST_BYTES
            execution = entry.execution
            if entry.portal is not None:
                if execution is None:
                    total += entry.portal.head.size
            elif entry.kind == QUERY and execution is not None:
                total += len(execution.sql)
            elif entry.statement is not None:
                total += len(entry.statement.sql)
        for portal in self.portals.live.values():
            total += portal.head.size
        return total

    def settle(self) -> None:
        """Nothing is in flight: give back what was taken for it, and ask again when more is needed."""
        self.in_flight_bytes = 0
        self.refusals = 0
        if self.share.taken:
            self.share.shrink(self.statements_bytes)

    def in_flight(self) -> list[Execution]:
        """Executions that were asked for and are not complete, in order."""
        queue = self.expectations.queue
        found = [entry.execution for entry in queue if entry.execution is not None]
        suspended = [portal.suspended for portal in self.portals.live.values()]
        return [execution for execution in suspended if execution is not None] + found

    def forget(self) -> None:
        """Let go of everything that grows."""
        self.expectations.queue.clear()
        self.statements.forget_proposals()
        self.statements.live.clear()
        self.statements_bytes = 0
        self.portals.forget_proposals()
        self.portals.live.clear()
        self.results.drop()
        self.segment = None
        self.settle()

    def propose_again(self) -> None:
        """After an error: names mean what is in force, and what the requests still on their way define."""
        statements = self.statements
        portals = self.portals
        statements.forget_proposals()
        portals.forget_proposals()
        for entry in self.expectations.queue:
            entry.propose(statements, portals)
