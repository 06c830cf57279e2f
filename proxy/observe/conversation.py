"""What both directions of one session share: the one place of its state."""

from __future__ import annotations

from proxy.observe.delivery import Delivery
from proxy.observe.execution import Execution, Observer, Session
from proxy.observe.expectations import Expectations
from proxy.observe.limits import TapLimits
from proxy.observe.names import Namespace, Portal, Statement
from proxy.observe.results import ResultKeeper
from proxy.observe.timing import Timing

IDLE = 0x49
"""Transaction status ``I``."""


class Conversation:
    """State of one session. ``Requests`` and ``Replies`` act on it, ``SessionTap`` feeds them."""

    __slots__ = (
        "authenticated",
        "copy_data_sent",
        "delivery",
        "expectations",
        "limits",
        "now",
        "observer",
        "portals",
        "results",
        "segment",
        "session",
        "statements",
        "statements_bytes",
        "status",
        "timing",
        "window",
    )

    def __init__(self, session: Session, observer: Observer, limits: TapLimits) -> None:
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
        """Texts of the statements in force."""
        self.portals: Namespace[Portal] = Namespace()
        self.timing = Timing()
        self.delivery = Delivery(observer, limits)
        self.results = ResultKeeper()
        self.window = 1
        """Number of the Sync window that the client is filling."""
        self.segment: Execution | None = None
        """First execution asked for since the last Sync, Flush or Query: a second one shares its time."""
        self.copy_data_sent = False
        """The client sent CopyData since its last Query or Execute."""

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

    def propose_again(self) -> None:
        """After an error: names mean what is in force, and what the requests still on their way define."""
        statements = self.statements
        portals = self.portals
        statements.forget_proposals()
        portals.forget_proposals()
        for entry in self.expectations.queue:
            entry.propose(statements, portals)
