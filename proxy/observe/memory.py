"""What the observers of one process keep in memory, bounded together.

Every session may keep a little without asking. What goes beyond, long texts, many prepared statements,
pipelines with large values, is taken from a budget that all sessions of the process share, in steps, so
that the common statement costs a comparison. A session that gets nothing keeps less, and counts that.
"""

from __future__ import annotations

ALLOWANCE = 64 * 1024
"""Bytes that a session may keep without asking."""
STEP = 64 * 1024
"""Bytes that are taken from the budget at once."""


class Budget:
    """Bytes for all sessions of a process beyond their allowances."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self, size: int) -> bool:
        """Take so many bytes; False when there are not that many, and then none was taken."""
        if self.taken + size > self.limit:
            return False
        self.taken += size
        return True

    def give(self, size: int) -> None:
        self.taken -= size


class Share:
    """What one session may keep of one sort, at most ``cap`` bytes."""

    __slots__ = ("_budget", "_cap", "room", "taken")

    def __init__(self, budget: Budget, cap: int) -> None:
        self._budget = budget
        self._cap = cap
        self.taken = 0
        """Bytes of the budget that are this session's."""
        self.room = min(ALLOWANCE, cap)
        """Bytes that may be kept without asking."""

    def grow(self, size: int) -> bool:
        """Make room for so many bytes in all, which are more than there is room for."""
        if size > self._cap:
            return False
        wanted = _steps(size)
        if not self._budget.take(wanted - self.taken):
            return False
        self._hold(wanted)
        return True

    def shrink(self, size: int) -> None:
        """Give back what so many bytes in all do not need."""
        wanted = _steps(size)
        if wanted < self.taken:
            self._budget.give(self.taken - wanted)
            self._hold(wanted)

    def _hold(self, taken: int) -> None:
        self.taken = taken
        self.room = min(ALLOWANCE + taken, self._cap)


def _steps(size: int) -> int:
    return max(0, (size - ALLOWANCE + STEP - 1) // STEP * STEP)
