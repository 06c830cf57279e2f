"""Results kept by reference: whose columns they are, in which format they came, whether two are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from proxy.observe.execution import Execution, Kind, Rows, Session
from workload.capture.results import MAX_HASHED_ROWS, column_heads, result_hash, row_values
from workload.capture.retention import KeptResult

KEY = b"k" * 16
Sent = Callable[[Sequence[Sequence[bytes | None]]], Rows]


def hashed(rows: Rows, told: int | None = None, key: bytes = KEY) -> int:
    execution = Execution(Session(1, "", 0.0), Kind.EXTENDED, b"", 0, 0.0)
    execution.rows = rows.held if told is None else told
    return result_hash(key, execution, rows)


def test_columns_are_told_with_their_origin(keep: Callable[..., KeptResult]) -> None:
    first, second = column_heads(keep([("id", 7001, 1, 23, 0), ("größe", 0, 0, 25, 0)]))
    assert (first.index, first.name, first.table_oid, first.attnum, first.type_oid) == (0, "id", 7001, 1, 23)
    assert (second.index, second.name, second.table_oid) == (1, "größe", 0)


@pytest.mark.parametrize(
    ("kind", "described", "formats", "expected"),
    [
        (Kind.SIMPLE, 1, (0,), 1),
        (Kind.EXTENDED, 1, (), 0),
        (Kind.EXTENDED, 0, (1,), 1),
        (Kind.EXTENDED, 0, (0, 1), 1),
        (Kind.EXTENDED, 1, (0, 0), 0),
    ],
)
def test_the_format_is_binds_or_in_a_simple_query_the_descriptions(
    keep: Callable[..., KeptResult], kind: Kind, described: int, formats: tuple[int, ...], expected: int
) -> None:
    columns = [("a", 0, 0, 23, described), ("b", 0, 0, 23, described)]
    assert column_heads(keep(columns, kind=kind, formats=formats))[1].format == expected


def test_columns_beyond_binds_formats_are_text(keep: Callable[..., KeptResult]) -> None:
    columns = [(name, 0, 0, 23, 0) for name in "abc"]
    assert [head.format for head in column_heads(keep(columns, formats=(1, 1)))] == [1, 1, 0]


def test_rows_are_read_up_to_a_limit(keep: Callable[..., KeptResult]) -> None:
    result = keep([("a", 0, 0, 25, 0)], [[b"x"], [None], [b"z"]])
    assert list(row_values(result, 2)) == [[b"x"], [None]]
    assert len(list(row_values(result, 9))) == 3


def test_equal_rows_hash_alike_and_others_do_not(sent: Sent) -> None:
    same = hashed(sent([[b"a", None], [b"b", b""]]))
    assert hashed(sent([[b"a", None], [b"b", b""]])) == same != 0
    others: list[list[list[bytes | None]]] = [
        [[b"a", b""], [b"b", b""]],
        [[b"b", b""], [b"a", None]],
        [[b"a", None]],
    ]
    for other in others:
        assert hashed(sent(other)) != same


def test_values_that_only_join_alike_hash_apart(sent: Sent) -> None:
    assert hashed(sent([[b"ab", b"c"]])) != hashed(sent([[b"a", b"bc"]])) != hashed(sent([[b"abc"]]))


def test_the_hash_depends_on_the_runs_key(sent: Sent) -> None:
    assert hashed(sent([[b"a"]])) != hashed(sent([[b"a"]]), key=b"l" * 16)


def test_an_empty_result_has_a_hash(sent: Sent) -> None:
    assert hashed(sent([])) != 0


def test_no_hash_where_rows_are_missing_or_many(sent: Sent) -> None:
    assert hashed(sent([[b"a"]]), told=2) == 0
    assert hashed(sent([[b"a"]] * MAX_HASHED_ROWS)) != 0
    assert hashed(sent([[b"a"]] * (MAX_HASHED_ROWS + 1))) == 0
