"""How many sessions may exist at the same time, over all workers of one proxy.

Every worker owns one slot of a small shared memory and writes no other. It adds itself first and sums
afterwards, so that the cap is never exceeded; two that arrive at the last place in the same instant may
both be refused.
"""

from __future__ import annotations

import mmap


class Admission:
    """Counts the sessions of this process, against a cap shared with others or its own.

    ``table`` is shared memory of 8 bytes a worker; without one the process stands alone. ``limit`` None
    means no cap.
    """

    __slots__ = ("_index", "_limit", "_slots")

    def __init__(self, limit: int | None, table: mmap.mmap | None = None, index: int = 0) -> None:
        self._limit = limit
        self._slots = memoryview(table if table is not None else bytearray(8)).cast("q")
        self._index = index
        self._slots[index] = 0

    @property
    def limit(self) -> int | None:
        return self._limit

    @property
    def here(self) -> int:
        """Sessions of this process."""
        return self._slots[self._index]

    def enter(self) -> bool:
        """Take a place. False when there is none, and then nothing was taken."""
        self._slots[self._index] += 1
        if self._limit is not None and sum(self._slots) > self._limit:
            self._slots[self._index] -= 1
            return False
        return True

    def leave(self) -> None:
        self._slots[self._index] -= 1
