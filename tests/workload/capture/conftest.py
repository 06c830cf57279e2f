from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from proxy.observe.execution import Execution, Kind, Rows, Session
from workload.capture.retention import KeptResult
from workload.capture.steps import StepRecord

Row = Sequence[bytes | None]


def _described(columns: Sequence[tuple[str, int, int, int, int]]) -> bytes:
    body = struct.pack("!H", len(columns))
    for name, table, attnum, type_oid, format in columns:
        body += name.encode() + b"\0" + struct.pack("!IhIhih", table, attnum, type_oid, -1, -1, format)
    return body


def _sent(rows: Sequence[Row]) -> Rows:
    data = b""
    for row in rows:
        body = struct.pack("!H", len(row))
        for value in row:
            body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        data += b"D" + struct.pack("!i", len(body) + 4) + body
    return Rows([data], 0, len(rows), len(data))


@pytest.fixture
def sent() -> Callable[[Sequence[Row]], Rows]:
    """Rows as they stand in the chunks that were forwarded."""
    return _sent


@pytest.fixture
def keep() -> Callable[..., KeptResult]:
    """Makes a kept result of (name, table OID, attnum, type OID, format) columns and rows."""

    def make(
        columns: Sequence[tuple[str, int, int, int, int]],
        rows: Sequence[Row] = (),
        *,
        kind: Kind = Kind.EXTENDED,
        formats: tuple[int, ...] = (),
        statement: int = 1,
        sequence: int = 1,
    ) -> KeptResult:
        execution = Execution(Session(1, "", 0.0), kind, b"", 0, 0.0)
        execution.result_formats = formats
        step = StepRecord(statement, (), 0, len(rows), 100, 0, 0, 0)
        return KeptResult(execution, _sent(rows), _described(columns), statement, sequence, step)

    return make
