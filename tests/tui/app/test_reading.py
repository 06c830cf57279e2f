"""What is read for the screens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.app.reading import NotThereError, Reader, without_gaps
from tui.app.screens.overview import capture_lines, current_rate, inbox_lines, traffic_lines
from tui.app.status import Source
from workload.store import Point, Store, StoreError

NOW = 1_800_000_000.0


def point(start: float, calls: int) -> Point:
    return Point(start=start, seconds=10, calls=calls, errors=0, total_ms=0, p50_ms=0, p95_ms=0)


def test_buckets_without_traffic_are_zero_not_missing() -> None:
    filled = without_gaps([point(0, 1), point(30, 2)], 55.0)
    assert [(each.start, each.calls) for each in filled] == [
        (0, 1),
        (10, 0),
        (20, 0),
        (30, 2),
        (40, 0),
        (50, 0),
    ]
    assert without_gaps([], 55.0) == []


def test_the_current_rate_is_of_a_bucket_that_is_over() -> None:
    assert current_rate([point(0, 100), point(10, 30)], 13.0) == 10
    assert current_rate([point(0, 100), point(10, 30)], 20.0) == 3
    assert current_rate([point(10, 30)], 15.0) == 6


def test_without_a_store_there_is_a_status_and_nothing_else(tmp_path: Path) -> None:
    reader = Reader(str(tmp_path / "none.db"), lambda: NOW)
    assert reader.overview().status.source is Source.NO_STORE
    assert reader.queries().rows == ()
    assert reader.findings().findings == ()
    assert reader.advice().records == ()
    for call in (lambda: reader.query(1), lambda: reader.decide(["x"], "accepted", "")):
        with pytest.raises(NotThereError):
            call()
    assert not (tmp_path / "none.db").exists()


def test_what_is_not_in_the_store(store_path: Path) -> None:
    reader = Reader(str(store_path), lambda: NOW)
    with pytest.raises(NotThereError):
        reader.query(999)
    with pytest.raises(NotThereError):
        reader.advice_detail("zz")
    with pytest.raises(StoreError):
        reader.decide(["zz"], "accepted", "")
    reader.close()


def test_rejected_advice_does_not_flag_its_query(store_path: Path) -> None:
    reader = Reader(str(store_path), lambda: NOW)
    flagged = {row.query.id: row.flags for row in reader.queries().rows}
    assert (flagged[1], flagged[2], flagged[5]) == ("NA", "NA", "E")
    reader.decide(["ix1"], "rejected", "no")
    assert {row.query.id: row.flags for row in reader.queries().rows}[1] == "N"
    reader.close()


def test_a_closed_reader_opens_again(store_path: Path) -> None:
    reader = Reader(str(store_path), lambda: NOW)
    reader.queries()
    reader.close()
    assert reader.queries().rows
    reader.close()


def test_overview_texts(store_path: Path, empty_store: Path) -> None:
    reader = Reader(str(store_path), lambda: NOW)
    data = reader.overview()
    reader.close()
    lines = traffic_lines(data, 60, 8, NOW)
    assert len(lines) == 8
    assert lines[0].startswith("104/s  p50")
    assert lines[-1].startswith("-10 min")
    assert inbox_lines(data.findings, data.advice, 60, 2) == [
        "2 new advice, saves 84.3 s",
        "2 findings, 7.50 s wasted",
    ]
    assert inbox_lines(data.findings, (), 60, 2)[0] == "No advice yet: press A"
    assert inbox_lines((), (), 60, 2) == ["No advice yet", "No findings so far"]
    assert inbox_lines((), data.advice[2:], 60, 2)[0] == "No new advice; 1 decided"
    assert capture_lines(data)[0] == "⚠ lost 3 events"


def test_the_last_write_is_the_age(store_path: Path) -> None:
    with Store.open(store_path) as store:
        assert store.last_write() == NOW - 2
    reader = Reader(str(store_path), lambda: NOW)
    assert reader.overview().status.age == 2
    reader.close()
