"""The overview's texts, for any size of their boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tui.app.reading import Overview, Reader
from tui.app.screens.overview import capture_lines, current_rate, inbox_lines, traffic_lines
from workload.store import Point

NOW = 1_800_000_000.0


@pytest.fixture
def overview(store_path: Path) -> Iterator[Overview]:
    reader = Reader(str(store_path), lambda: NOW)
    yield reader.overview()
    reader.close()


def point(start: float, calls: int) -> Point:
    return Point(start=start, seconds=10, calls=calls, errors=0, total_ms=1.0, p50_ms=1.0, p95_ms=1.0)


def test_the_rate_is_of_the_last_bucket_that_is_over() -> None:
    assert current_rate([point(NOW - 20, 100), point(NOW - 10, 50)], NOW) == 5.0
    assert current_rate([point(NOW - 15, 100), point(NOW - 5, 3)], NOW) == 10.0
    assert current_rate([point(NOW - 5, 30)], NOW) == 6.0
    assert current_rate([point(NOW - 0.1, 30)], NOW) == 30.0  # not 300 a second from a tenth of one


@pytest.mark.parametrize(("width", "height"), [(72, 8), (30, 3), (12, 1)])
def test_traffic_fits_its_box(overview: Overview, width: int, height: int) -> None:
    lines = traffic_lines(overview, width, height, NOW)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == max(3, height)


def test_traffic_in_numbers(overview: Overview) -> None:
    head, *_, foot = traffic_lines(overview, 100, 6, NOW)
    assert "p95" in head
    assert "7 errors" in foot
    one = msgspec.structs.replace(overview.points[0], calls=1, errors=1)
    single = Overview(
        overview.status, (one,), overview.recent, overview.rows, overview.findings, overview.advice
    )
    assert "1 call · 1 error · peak" in traffic_lines(single, 100, 6, NOW)[-1]


def test_no_traffic_is_said(overview: Overview) -> None:
    empty = Overview(overview.status, (), overview.recent, (), (), ())
    assert traffic_lines(empty, 80, 8, NOW) == ["no traffic in the last minutes"]


def test_the_inbox_fills_its_room_and_no_more(overview: Overview) -> None:
    for height in range(2, 9):
        lines = inbox_lines(overview.findings, overview.advice, 40, height)
        assert len(lines) <= max(2, height)
        assert all(len(line) <= 40 for line in lines)
    assert inbox_lines(overview.findings, overview.advice, 60, 2) == [
        "2 new advice, saves 84.3 s",
        "2 findings, 7.50 s wasted",
    ]


def test_the_inbox_says_what_to_do_next(overview: Overview) -> None:
    decided = [msgspec.structs.replace(record, state="accepted") for record in overview.advice]
    assert inbox_lines((), (), 60, 5) == ["No advice yet", "No findings so far"]
    assert inbox_lines(overview.findings[:1], (), 60, 2) == [
        "No advice yet: press A",
        "1 finding, 5.40 s wasted",
    ]
    assert inbox_lines((), decided, 60, 5)[:2] == ["No new advice; 3 decided", "3 accepted, to be exported"]


def test_capture_says_what_was_missed(overview: Overview) -> None:
    lines = capture_lines(overview)
    assert lines[0] == "⚠ lost 3 events"
    assert any("written 2 s ago" in line for line in lines)
    assert "3 lost.samples" in lines
