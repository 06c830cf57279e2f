"""Sending captured statements again: extended protocol, text parameters with the types they had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper, PyFormat
from psycopg.rows import TupleRow

from advisor.prove.compare import Result

_INT2, _INT4, _INT8 = 21, 23, 20
_INTEGER_BITS = {_INT2: 15, _INT4: 31, _INT8: 63}
_NEXT_INTEGER = {_INT2: _INT4, _INT4: _INT8, _INT8: 0}
"""Beyond bigint the server infers the type."""


class TextParameter:
    """A value as text and the type it is sent as; 0 lets the server infer it."""

    __slots__ = ("oid", "text")

    def __init__(self, text: str, oid: int) -> None:
        self.text = text
        self.oid = oid


class _TextParameterDumper(Dumper):
    """psycopg asks a dumper of a class for one of a value by ``get_key`` and ``upgrade``."""

    def __init__(self, cls: type, context: AdaptContext | None = None, oid: int = 0) -> None:
        super().__init__(cls, context)
        self.oid = oid

    def get_key(self, obj: TextParameter, format: PyFormat) -> tuple[type, type]:
        # The key tells dumpers of different types apart; psycopg only hashes it.
        return cast(tuple[type, type], (self.cls, obj.oid))

    def upgrade(self, obj: TextParameter, format: PyFormat) -> Dumper:
        return _TextParameterDumper(self.cls, None, obj.oid)

    def dump(self, obj: TextParameter) -> Buffer:
        return obj.text.encode()


def widened_oids(calls: Sequence[Sequence[str | None]], oids: Sequence[int]) -> tuple[int, ...]:
    """``oids`` with integer types made wide enough for the values of all ``calls``.

    A driver picks the type by the value (psycopg sends 7 as smallint and 70000 as integer), and a finding
    knows the types of one call only.
    """
    wide = list(oids)
    for position, oid in enumerate(oids):
        if oid not in _INTEGER_BITS:
            continue
        for call in calls:
            value = call[position] if position < len(call) else None
            if value is None:
                continue
            try:
                number = int(value)
            except ValueError:
                break
            while wide[position] and not _fits(number, wide[position]):
                wide[position] = _NEXT_INTEGER[wide[position]]
    return tuple(wide)


def _fits(number: int, oid: int) -> bool:
    return -(1 << _INTEGER_BITS[oid]) <= number < 1 << _INTEGER_BITS[oid]


async def run(
    connection: AsyncConnection[TupleRow], sql: str, parameters: Sequence[TextParameter | None]
) -> Result:
    """Execute ``sql`` with ``$n`` parameters and keep the result's text. Raises psycopg.Error."""
    async with AsyncRawCursor(connection) as cursor:
        cursor.adapters.register_dumper(TextParameter, _TextParameterDumper)
        # The text is our own deparse of a syntax tree, values travel beside it.
        await cursor.execute(sql, parameters)
        result = cursor.pgresult
        if result is None:
            return Result((), (), ())
        columns = range(result.nfields)
        return Result(
            names=tuple((result.fname(column) or b"").decode() for column in columns),
            oids=tuple(result.ftype(column) for column in columns),
            rows=tuple(
                tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)
            ),
        )


def array_text(values: Sequence[str | None]) -> str:
    """An array literal as array_in reads it: every element quoted, NULL bare."""
    items = (
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    )
    return "{" + ",".join(items) + "}"
