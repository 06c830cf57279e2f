"""What the relay shows of a session, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from proxy.observe.execution import Observer, Session
from proxy.observe.tap import Budget, SessionTap, Side, TapLimits


class Tap(Protocol):
    """Looks at the chunks of one session after they went on. ``now`` is monotonic seconds."""

    @property
    def idle(self) -> bool:
        """Between statements, outside a transaction; False when unknown."""

    def started(self, raw_startup: bytes, parameters: dict[str, str], now: float) -> None:
        """The start-up packet went to the server; every later byte goes through the feeds."""

    def feed_client(self, chunk: bytes, now: float) -> None: ...

    def feed_server(self, chunk: bytes, now: float) -> None: ...

    def paused(self, side: Side, now: float) -> None:
        """The relay stopped reading from ``side``, because the other side takes no more."""

    def resumed(self, side: Side, now: float) -> None: ...

    def closed(self, now: float) -> None: ...


_LIMITS = TapLimits()
_BUDGET = Budget(_LIMITS.process_bytes)
"""Of this process."""

TapFactory: TypeAlias = Callable[[Session, Observer], Tap]


def session_tap(session: Session, observer: Observer) -> Tap:
    """The tap that understands the protocol."""
    return SessionTap(session, observer, _LIMITS, _BUDGET)
