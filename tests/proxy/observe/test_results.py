"""Results kept by reference: which chunks stay alive, and that what is kept reads back."""

from __future__ import annotations

from proxy.observe.execution import Rows
from proxy.observe.results import ResultKeeper
from proxy.wire.rows import complete_rows, read_rows
from tests.proxy.wirekit import DataRow, Notice

BUDGET = 10_000


def kept(rows: Rows | None) -> list[list[bytes | None]]:
    assert rows is not None
    return list(read_rows(rows))


def test_one_chunk_is_kept_as_it_came() -> None:
    keeper = ResultKeeper()
    chunk = b"before" + DataRow("a") + DataRow(None)
    keeper.begin(chunk, 6, BUDGET)
    keeper.rows(2, len(chunk))
    rows = keeper.finish()
    assert not keeper.active
    assert kept(rows) == [[b"a"], [None]]
    assert rows is not None
    assert rows.chunks[0] is chunk


def test_a_row_over_two_chunks_reads_back() -> None:
    whole = DataRow("a") + DataRow("long" * 10) + DataRow("c")
    keeper = ResultKeeper()
    keeper.begin(b"x" + whole[:30], 1, BUDGET)
    keeper.rows(1, 1 + len(DataRow("a")))
    keeper.more(whole[30:])
    keeper.rows(2, len(whole) - 30)
    assert kept(keeper.finish()) == [[b"a"], [b"long" * 10], [b"c"]]


def test_nothing_complete_is_nothing() -> None:
    keeper = ResultKeeper()
    keeper.begin(DataRow("a" * 100)[:50], 0, BUDGET)
    assert keeper.finish() is None
    keeper.begin(DataRow("a" * 100), 0, 50)
    keeper.rows(1, len(DataRow("a" * 100)))
    assert keeper.finish() is None


def test_rows_beyond_the_budget_in_one_chunk_are_counted_again() -> None:
    row = DataRow("x" * 93)
    chunk = row * 50
    keeper = ResultKeeper()
    keeper.begin(chunk, 0, 10 * len(row) + 1)
    keeper.rows(50, len(chunk))
    rows = keeper.finish()
    assert rows is not None
    assert (rows.held, rows.size) == (10, 10 * len(row) + 1)
    assert len(kept(rows)) == 10


def test_a_chunk_beyond_the_budget_ends_the_keeping() -> None:
    row = DataRow("x" * 93)
    keeper = ResultKeeper()
    keeper.begin(row, 0, 3 * len(row))
    keeper.rows(1, len(row))
    for _ in range(5):
        keeper.more(row)
        keeper.rows(1, len(row))
    rows = keeper.finish()
    assert rows is not None
    # Every chunk costs what a bytes object costs beside its contents.
    assert rows.held == 2
    assert len(kept(rows)) == 2


def test_tiny_chunks_do_not_cost_more_than_the_budget() -> None:
    data = DataRow("x" * 5_000)
    keeper = ResultKeeper()
    keeper.begin(data[:1], 0, BUDGET)
    for i in range(1, len(data)):
        keeper.more(data[i : i + 1])
    assert keeper.finish() is None


def test_what_stands_beside_few_rows_is_not_kept_alive() -> None:
    row = DataRow("x")
    chunk = b"z" * 9_000 + row + Notice("y" * 5_000)
    keeper = ResultKeeper()
    keeper.begin(chunk, 9_000, BUDGET)
    keeper.rows(1, 9_000 + len(row))
    rows = keeper.finish()
    assert rows is not None
    assert rows.size == len(row)


def test_nor_when_the_completion_came_in_a_chunk_of_its_own() -> None:
    row = DataRow("x")
    chunk = b"z" * 9_000 + row + Notice("y" * 5_000)
    keeper = ResultKeeper()
    keeper.begin(chunk, 9_000, BUDGET)
    keeper.rows(1, 9_000 + len(row))
    keeper.more(b"completion")
    rows = keeper.finish()
    assert rows is not None
    assert rows.size == len(row)
    assert complete_rows(rows.chunks[0], rows.offset) == rows.held == 1


def test_dropping_lets_go() -> None:
    keeper = ResultKeeper()
    keeper.begin(DataRow("a"), 0, BUDGET)
    keeper.drop()
    assert not keeper.active
    assert keeper.finish() is None
