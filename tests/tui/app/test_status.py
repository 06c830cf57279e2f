"""What is said about the source of the data."""

from __future__ import annotations

import pytest

from tui.app.status import Source, health, judge, next_step

META = {"listen": "postgresql://app@127.0.0.1:6432/shop", "upstream": "postgresql://app@db:5432/shop"}


@pytest.mark.parametrize(
    ("exists", "traffic", "last_write", "source", "line"),
    [
        (False, False, None, Source.NO_STORE, "○ no store"),
        (True, False, None, Source.NO_TRAFFIC, "○ no traffic yet"),
        (True, False, 10.0, Source.NO_TRAFFIC, "○ no traffic yet"),
        (True, True, 999.0, Source.LIVE, "● live"),
        (True, True, 700.0, Source.STALE, "⚠ 5 min old"),
        (True, True, None, Source.STALE, "⚠ 0 s old"),
    ],
)
def test_source(exists: bool, traffic: bool, last_write: float | None, source: Source, line: str) -> None:
    status = judge("/s.db", exists=exists, traffic=traffic, last_write=last_write, meta=META, now=1000.0)
    assert status.source is source
    assert status.line == line


def test_a_clock_that_went_back_is_no_negative_age() -> None:
    status = judge("/s.db", exists=True, traffic=True, last_write=1005.0, meta={}, now=1000.0)
    assert status.age == 0


def test_without_a_store_the_next_step_is_the_command() -> None:
    step = next_step(judge("/s.db", exists=False, traffic=False, last_write=None, meta={}, now=0))
    assert step is not None
    assert "pgcoach up --upstream" in step
    assert "--store /s.db" in step


def test_without_traffic_the_next_step_is_the_exact_dsn() -> None:
    step = next_step(judge("/s.db", exists=True, traffic=False, last_write=999.0, meta=META, now=1000))
    assert step is not None
    assert META["listen"] in step
    assert META["upstream"] in step
    assert "still running" not in step


def test_a_proxy_that_stopped_writing_is_named() -> None:
    step = next_step(judge("/s.db", exists=True, traffic=False, last_write=100.0, meta=META, now=1000))
    assert step is not None
    assert "has not written for 15 min" in step


def test_with_traffic_there_is_nothing_to_do() -> None:
    assert next_step(judge("/s.db", exists=True, traffic=True, last_write=0, meta={}, now=1000)) is None


def test_health_gathers_what_was_lost_and_what_was_not_understood() -> None:
    found = health({"lost.samples": 3, "lost.units": 1200, "opaque.tls": 1, "sessions": 99, "opaque.copy": 0})
    assert found.lost == 1203
    assert found.opaque == 1
    assert found.lines == ("⚠ lost 1,203 events", "⚠ relayed unseen 1")
    assert found.details == ("1,200 lost.units", "3 lost.samples", "1 opaque.tls")
    assert health({"sessions": 4}).lines == ("✓ nothing lost or unseen",)
