from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.execution import Rows
from proxy.wire.rows import complete_rows, read_rows
from tests.proxy import wirekit as kit


def test_rows_among_other_messages_and_over_chunks() -> None:
    data = kit.DataRow("a", None) + kit.Notice() + kit.DataRow("b", "") + kit.Complete("SELECT 2")
    for cut in range(1, len(data)):
        rows = Rows([b"skip" + data[:cut], data[cut:]], 4, 2, len(data))
        assert list(read_rows(rows)) == [[b"a", None], [b"b", b""]]
        assert list(read_rows(rows, 1)) == [[b"a", None]]


def test_only_held_rows_are_read() -> None:
    data = kit.DataRow("a") * 3
    assert len(list(read_rows(Rows([data], 0, 2, len(data))))) == 2
    assert list(read_rows(Rows([data], 0, 0, len(data)))) == []
    assert list(read_rows(Rows([], 0, 2, 0))) == []


def test_reading_ends_where_the_bytes_do() -> None:
    data = kit.DataRow("a") + kit.DataRow("b")[:-1]
    assert list(read_rows(Rows([data], 0, 9, len(data)))) == [[b"a"]]
    assert complete_rows(data) == 1


def test_counting_skips_other_messages() -> None:
    assert complete_rows(b"x" + kit.Notice() + kit.DataRow("a") * 2, 1) == 2


@given(st.binary(max_size=100))
def test_nothing_raises(raw: bytes) -> None:
    list(read_rows(Rows([raw], 0, 100, len(raw))))
    list(read_rows(Rows([kit.message("D", raw)], 0, 1, len(raw))))
    complete_rows(raw)
