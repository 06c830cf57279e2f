from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from proxy.observe.execution import Execution, Kind, Rows, Session
from proxy.wire import values
from workload.capture.flow import CellAllowance, FlowingColumn, Wanted, flowing_columns
from workload.capture.hashes import value_hash
from workload.capture.results import column_heads, result_hash, row_values
from workload.capture.retention import KeptResult
from workload.capture.steps import StepRecord

Column = tuple[str, int]


def result(
    columns: Sequence[Column],
    rows: Sequence[Sequence[bytes | None]],
    *,
    sequence: int = 1,
    statement: int = 1,
    kind: Kind = Kind.EXTENDED,
    formats: tuple[int, ...] = (),
    all_rows: int | None = None,
) -> KeptResult:
    """A result as the observer keeps it, DataRow messages and RowDescription."""
    data = b""
    for row in rows:
        body = struct.pack("!H", len(row))
        for value in row:
            body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        data += b"D" + struct.pack("!i", len(body) + 4) + body
    description = struct.pack("!H", len(columns))
    for number, (name, oid) in enumerate(columns, 1):
        description += name.encode() + b"\0" + struct.pack("!IhIhih", 77, number, oid, -1, -1, 0)
    execution = Execution(Session(1, "", 0.0), kind, b"", 0, 0.0)
    execution.result_formats = formats
    execution.rows = len(rows) if all_rows is None else all_rows
    kept = Rows([data], 0, len(rows), len(data))
    step = StepRecord(statement, (), 0, execution.rows, 0, 0, 0, 0)
    return KeptResult(execution, kept, description, statement, sequence, step)


def flow(
    results: Sequence[KeptResult], texts: Sequence[bytes], cells: int = 10_000, max_columns: int = 100
) -> list[FlowingColumn]:
    by_statement: dict[int, list[KeptResult]] = {}
    for kept in results:
        by_statement.setdefault(kept.statement, []).append(kept)
    wanted = [Wanted(9, 0, {text: 100 + place for place, text in enumerate(texts)})]
    return flowing_columns(
        by_statement, wanted, CellAllowance(cells), max_rows=4_096, max_columns=max_columns
    )


def numbers(*found: int) -> list[list[bytes | None]]:
    return [[b"%d" % number] for number in found]


def test_half_of_the_values_suffice_and_less_do_not() -> None:
    listing = result([("id", values.INT4)], numbers(1, 2, 3))
    assert [column.head.name for column in flow([listing], [b"1", b"2", b"8", b"9"])] == ["id"]
    assert flow([listing], [b"1", b"2", b"7", b"8", b"9"]) == []
    assert flow([listing], [b"1", b"9"]) == []


@pytest.mark.parametrize(
    ("oid", "rows", "texts", "found"),
    [
        (values.NUMERIC, [b"1.00", b"2.50"], [b"1", b"2.5"], True),
        (values.UUID, [b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1" + d for d in (b"1", b"2")], None, True),
        (values.TEXT, [b"x", b"y"], [b"x", b"y"], True),
        (values.TEXT, [b"10", b"11"], [b"10", b"11"], True),
        (99_999, [b"x", b"y"], [b"x", b"y"], True),
        (values.BOOL, [b"t", b"f"], [b"t", b"f"], False),
        (values.FLOAT8, [b"1", b"2"], [b"1", b"2"], False),
        (values.INT4, [b"1", b"2"], [b"x", b"y"], False),
        (values.TEXT, [b"z" * 65, b"y" * 65], None, False),
    ],
)
def test_what_columns_can_hold_keys(
    oid: int, rows: list[bytes | None], texts: list[bytes] | None, found: bool
) -> None:
    listing = result([("k", oid)], [[row] for row in rows])
    wanted = texts if texts is not None else [row for row in rows if row is not None]
    assert bool(flow([listing], wanted)) is found


def test_results_of_one_statement_cover_together() -> None:
    parts = [
        result([("id", values.INT4)], numbers(*range(at, at + 3)), sequence=at) for at in range(1, 19, 3)
    ]
    found = flow(parts, [b"%d" % number for number in range(1, 19)])
    assert [column.result.sequence for column in found] == [1, 4, 7, 10, 13, 16]
    assert len(flow(parts, [b"%d" % number for number in range(1, 19)], max_columns=2)) == 2


def test_where_columns_are_too_many_those_with_most_hits_stay() -> None:
    small = [result([("id", values.INT4)], numbers(at, 900), statement=1, sequence=at) for at in (1, 2, 3)]
    listing = result([("id", values.INT4)], numbers(*range(1, 30)), statement=2, sequence=9)
    found = flow([*small, listing], [b"%d" % number for number in range(1, 5)], max_columns=2)
    assert [column.result.sequence for column in found] == [1, 9]


def test_a_dense_range_and_a_scattered_one() -> None:
    dense = flow([result([("id", values.INT4)], numbers(*range(10, 30)))], [b"11", b"12"])
    scattered = flow([result([("id", values.INT4)], numbers(*range(10, 900, 9)))], [b"10", b"19"])
    assert [column.dense for column in dense + scattered] == [True, False]


@pytest.mark.parametrize(
    ("oid", "rows", "low"),
    [
        (values.DATE, [b"2024-01-01", b"2024-01-02"], True),
        (values.TIMESTAMP, [b"2024-01-01 00:00:00", b"2024-01-02 00:00:00"], True),
        (values.TIMESTAMP, [b"2024-01-01 00:00:00", b"2024-01-02 10:00:00"], False),
        (values.TEXT, [b"new", b"paid"] * 10, True),
        (values.TEXT, [b"a", b"b", b"c", b"d", b"e", b"f"], False),
        (values.INT4, [b"1", b"9"] * 10, False),
    ],
)
def test_columns_that_tell_little(oid: int, rows: list[bytes], low: bool) -> None:
    (column,) = flow([result([("k", oid)], [[row] for row in rows])], sorted(set(rows)))
    assert column.low_information is low


def test_what_is_over_the_allowance_is_not_read_and_counted() -> None:
    listing = result([("id", values.INT4)], numbers(*range(50)))
    allowance = CellAllowance(49)
    wanted = [Wanted(9, 0, {b"1": 100, b"2": 101})]
    assert flowing_columns({1: [listing]}, wanted, allowance, max_rows=4_096, max_columns=9) == []
    assert allowance.refused == 1
    assert len(flow([listing], [b"1", b"2"], cells=50)) == 1


def test_formats_are_binds_in_the_extended_protocol() -> None:
    columns = [("a", values.INT4), ("b", values.INT4)]
    rows = [[b"\0\0\0\1", b"5"]]
    assert [h.format for h in column_heads(result(columns, rows, formats=(1,)))] == [1, 1]
    assert [h.format for h in column_heads(result(columns, rows, formats=(1, 0)))] == [1, 0]
    assert [h.format for h in column_heads(result(columns, rows))] == [0, 0]
    assert [h.format for h in column_heads(result(columns, rows, kind=Kind.SIMPLE, formats=(1,)))] == [0, 0]
    assert list(row_values(result(columns, rows), 5)) == rows


def test_only_whole_and_small_results_have_a_hash() -> None:
    def hashed(kept: KeptResult) -> int:
        execution = Execution(Session(1, "", 0.0), Kind.SIMPLE, b"", 0, 0.0)
        execution.rows = kept.step.rows
        return result_hash(b"k", execution, kept.rows)

    columns = [("a", values.INT4)]
    assert hashed(result(columns, numbers(1, 2))) == hashed(result(columns, numbers(1, 2))) != 0
    assert hashed(result(columns, numbers(1, 2))) != hashed(result(columns, numbers(2, 1)))
    assert hashed(result(columns, numbers(1, 2), all_rows=3)) == 0
    assert hashed(result(columns, numbers(*range(65)))) == 0


def test_values_are_kept_as_canonical_texts() -> None:
    rows: list[list[bytes | None]] = [[struct.pack("!i", 7)], [None], [struct.pack("!i", 9)]]
    (column,) = flow([result([("id", values.INT4)], rows, formats=(1,))], [b"7", b"9"])
    assert column.texts == [b"7", None, b"9"]
    assert value_hash(b"k", column.texts[0]) == value_hash(b"k", b"7")
