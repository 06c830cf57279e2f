"""Values read back out of results that were kept by reference (``proxy.observe.execution.Rows``)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from proxy.observe.execution import Rows

_HEADER = Struct("!Bi")
_INT32 = Struct("!i")
_UINT16 = Struct("!H")
_DATA_ROW = 0x44


def read_rows(rows: Rows, limit: int | None = None) -> Iterator[list[bytes | None]]:
    """The kept rows in order, at most ``limit``: each a list of raw column values, None for NULL.

    Values are as they went over the wire: text or binary by the execution's ``result_formats``. Messages
    between rows are skipped. Never raises on what the server sent: reading ends where the bytes do.
    """
    left = rows.held if limit is None else min(limit, rows.held)
    if left <= 0 or not rows.chunks:
        return
    if len(rows.chunks) == 1:
        data, pos = rows.chunks[0], rows.offset
    else:
        data, pos = b"".join(rows.chunks), rows.offset
    n = len(data)
    while left and n - pos >= 5:
        kind, size = _HEADER.unpack_from(data, pos)
        end = pos + 1 + size
        if size < 4 or end > n:
            return
        if kind == _DATA_ROW:
            yield _values(data, pos + 5, end)
            left -= 1
        pos = end


def complete_rows(data: bytes, pos: int = 0) -> int:
    """How many DataRow messages are complete in ``data[pos:]``, other messages skipped."""
    n = len(data)
    count = 0
    while n - pos >= 5:
        kind, size = _HEADER.unpack_from(data, pos)
        pos += 1 + size
        if size < 4 or pos > n:
            break
        if kind == _DATA_ROW:
            count += 1
    return count


def _values(data: bytes, pos: int, end: int) -> list[bytes | None]:
    values: list[bytes | None] = []
    if end - pos < 2:
        return values
    (count,) = _UINT16.unpack_from(data, pos)
    pos += 2
    for _ in range(count):
        if end - pos < 4:
            break
        (length,) = _INT32.unpack_from(data, pos)
        pos += 4
        if length < 0:
            values.append(None)
            continue
        if length > end - pos:
            break
        values.append(data[pos : pos + length])
        pos += length
    return values
