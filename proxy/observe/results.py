"""The result of the running statement, kept by reference to the chunks that went through anyway."""

from __future__ import annotations

from proxy.observe.execution import Rows
from proxy.wire.rows import complete_rows

_CHUNK_OVERHEAD = 33
"""Bytes of a bytes object beside its contents: a result in one-byte chunks must not cost 30 times as much."""
_SLACK = 2_048
"""A chunk with more than this beside the rows is not kept alive for them: they are copied out."""


class ResultKeeper:
    """Collects one result at a time, up to a budget of bytes."""

    __slots__ = ("_budget", "_chunks", "_end", "_full", "_held", "_offset", "_size", "_used", "active")

    def __init__(self) -> None:
        self.active = False
        """A result was begun: every further chunk is to be shown to ``more`` before it is walked."""
        self._chunks: list[bytes] = []
        self._offset = 0
        self._held = 0
        self._end = 0
        self._size = 0
        self._budget = 0
        self._full = False
        self._used = 0

    def begin(self, chunk: bytes, offset: int, budget: int) -> None:
        """The first DataRow's type byte stands at ``chunk[offset]``; keep up to ``budget`` bytes."""
        self.active = True
        self._chunks = [chunk]
        self._used = 1
        self._offset = offset
        self._end = offset
        self._held = 0
        self._budget = budget
        self._size = len(chunk) - offset + _CHUNK_OVERHEAD
        self._full = False

    def more(self, chunk: bytes) -> None:
        """The result goes on in the next chunk."""
        if self._full:
            return
        if len(self._chunks) == 1:
            self._chunks[0] = self._chunks[0][self._offset : self._offset + self._budget]
            self._end -= self._offset
            self._offset = 0
        self._size += len(chunk) + _CHUNK_OVERHEAD
        if self._size > self._budget:
            self._full = True
        else:
            self._chunks.append(chunk)

    def rows(self, count: int, end: int) -> None:
        """That many more rows are complete at ``end`` of the current chunk."""
        if not self._full:
            self._held += count
            self._end = end
            self._used = len(self._chunks)

    def finish(self) -> Rows | None:
        """The result is complete; None when not even one row fitted."""
        self.active = False
        chunks = self._chunks
        self._chunks = []
        del chunks[self._used :]
        offset = self._offset
        held = self._held
        if len(chunks) == 1:
            chunk = chunks[0]
            extent = self._end - offset
            if self._full or extent > self._budget:
                # Only in here do rows end beyond the budget; which ones fit has to be counted again.
                chunk = chunk[offset : offset + self._budget]
                held = complete_rows(chunk)
                offset = 0
            elif len(chunk) - extent > _SLACK:
                chunk = chunk[offset : self._end]
                offset = 0
            chunks[0] = chunk
            size = len(chunk)
        else:
            size = sum(map(len, chunks))
        return Rows(chunks, offset, held, size) if held else None

    def drop(self) -> None:
        """The result will never be complete: let go of it."""
        self.active = False
        self._chunks = []
