"""The query detail in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from tui.app import query_text
from tui.app.reading import QueryDetail, Reader
from workload.model import Sample
from workload.store import Point

NOW = 1_800_000_000.0


@pytest.fixture
def detail(store_path: Path) -> QueryDetail:
    reader = Reader(str(store_path), lambda: NOW)
    try:
        return reader.query(5)
    finally:
        reader.close()


def test_numbers_name_errors_by_their_state(detail: QueryDetail) -> None:
    lines = query_text.numbers(detail, NOW)
    assert lines[0].startswith("calls 585")
    assert "⚠ 7 errors: 7 × 23505" in lines
    assert "from shop-web" in lines


def test_numbers_say_when_times_are_not_of_all_calls(detail: QueryDetail) -> None:
    query = msgspec.structs.replace(detail.query, timed_calls=0, parse_error=True, applications=())
    lines = query_text.numbers(dataclasses.replace(detail, query=query), NOW)
    assert "mean –" in lines[0]
    assert any(line.startswith("0 % of the calls have a time of their own") for line in lines)
    assert any("parser does not understand" in line for line in lines)


def test_histogram_fits_its_width() -> None:
    lines = query_text.histogram({0.15: 30, 1500.0: 1}, 60)
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].split()[0] == "100"
    assert lines[0].endswith("96.8 %")
    assert "–2 s" in lines[-1]
    assert query_text.histogram({}, 60) == ["no call had a time of its own"]


def test_traffic_without_calls() -> None:
    assert query_text.traffic([], 40, 3, NOW) == ["no call in the last minutes"]
    point = Point(start=NOW - 10, seconds=10, calls=20, errors=0, total_ms=1, p50_ms=1, p95_ms=1)
    lines = query_text.traffic([point], 40, 3, NOW)
    assert len(lines) == 4
    assert "peak 2.0/s" in lines[-1]


def test_samples_are_runnable_or_say_why_not(detail: QueryDetail) -> None:
    sample = Sample(
        query_id=5,
        params=("7", "2026-01-01"),
        param_oids=(23, 1114),
        duration_ms=None,
        rows=1,
        taken_at=NOW,
        masked=False,
    )
    masked = msgspec.structs.replace(sample, masked=True, params=("int4 4 bytes", None))
    lines = query_text.sample_lines(detail.query, [sample, masked])
    assert lines[0] == "-- –, 1 row"
    assert lines[1].endswith("VALUES (7, '2026-01-01') RETURNING id;")
    assert lines[3] == "-- masked: $1 int4 4 bytes, $2 None"
    assert "--samples none" in query_text.sample_lines(detail.query, [])[0]


def test_related_has_findings_and_advice(store_path: Path, detail: QueryDetail) -> None:
    assert query_text.related(detail) == ["nothing so far"]
    reader = Reader(str(store_path), lambda: NOW)
    lines = query_text.related(reader.query(2))
    reader.close()
    assert lines == [
        "▸ N+1 read (high): order_lines are read one order at a time",
        "▸ ● new batch: Read order_lines for all orders at once",
    ]
