"""Reading results that the observer kept by reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from proxy.observe.execution import Execution, Kind, Rows
from proxy.wire.messages import row_description
from proxy.wire.rows import read_rows
from workload.capture.retention import KeptResult

MAX_HASHED_ROWS: Final = 64
"""A longer result is not hashed: to tell that two small ones are the same is what the hash is for."""


@dataclass(frozen=True, slots=True)
class ColumnHead:
    """A column of a result: which it is, what it holds, and the format in which it was sent."""

    index: int
    name: str
    table_oid: int
    attnum: int
    type_oid: int
    format: int


def column_heads(result: KeptResult) -> list[ColumnHead]:
    """The columns of a result, in order, as far as its description goes."""
    heads = []
    for index, column in enumerate(row_description(result.columns)):
        heads.append(
            ColumnHead(
                index=index,
                name=column.name.decode("utf-8", errors="replace"),
                table_oid=column.table_oid,
                attnum=column.attnum,
                type_oid=column.type_oid,
                format=_format(result, index, column.format),
            )
        )
    return heads


def row_values(result: KeptResult, limit: int) -> Iterator[list[bytes | None]]:
    """At most ``limit`` rows as raw values."""
    return read_rows(result.rows, limit)


def result_hash(key: bytes, execution: Execution, rows: Rows) -> int:
    """Keyed 8-byte BLAKE2b over all rows as they were sent; 0 when some are missing or there are many."""
    if rows.held != execution.rows or rows.held > MAX_HASHED_ROWS:
        return 0
    digest = blake2b(digest_size=8, key=key)
    for row in read_rows(rows):
        digest.update(repr(row).encode("ascii"))
    return int.from_bytes(digest.digest(), "big") or 1


def _format(result: KeptResult, index: int, described: int) -> int:
    """Bind decides the format of an extended query's columns, RowDescription that of a simple one's."""
    if result.kind is Kind.SIMPLE:
        return described
    formats = result.formats
    if not formats:
        return 0
    if len(formats) == 1:
        return formats[0]
    return formats[index] if index < len(formats) else 0
