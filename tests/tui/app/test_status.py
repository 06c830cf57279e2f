"""What is said about the source of the data."""

from __future__ import annotations

import pytest

from tui.app.status import Source, Status, health, judge, missing, next_step, server_name

LISTEN = "postgresql://app@127.0.0.1:6432/shop"
UPSTREAM = "postgresql://app@db:5432/shop"


def judged(traffic: bool, last_write: float | None, **counters: int) -> Status:
    return judge(
        "/s.db",
        traffic=traffic,
        last_write=last_write,
        listen=LISTEN,
        upstream=UPSTREAM,
        counters={name.replace("_", "."): value for name, value in counters.items()},
        now=1000.0,
    )


@pytest.mark.parametrize(
    ("traffic", "last_write", "source", "line"),
    [
        (False, None, Source.NO_TRAFFIC, "○ no traffic yet"),
        (False, 10.0, Source.NO_TRAFFIC, "○ no traffic yet"),
        (True, 999.0, Source.LIVE, "● live"),
        (True, 700.0, Source.STALE, "⚠ 5 min old"),
        (True, None, Source.STALE, "⚠ 0 s old"),
    ],
)
def test_source(traffic: bool, last_write: float | None, source: Source, line: str) -> None:
    status = judged(traffic, last_write)
    assert status.source is source
    assert status.line == line
    assert status.warning == (source is Source.STALE)


def test_a_clock_that_went_back_is_no_negative_age() -> None:
    assert judged(True, 1005.0).age == 0


def test_without_a_store_the_next_step_is_the_command() -> None:
    status = missing("/s.db")
    assert (status.source, status.line, status.warning) == (Source.NO_STORE, "○ no store", True)
    step = next_step(status)
    assert step is not None
    assert "pgcoach up --upstream" in step
    assert "--store /s.db" in step


def test_without_traffic_the_next_step_is_the_exact_dsn() -> None:
    step = next_step(judged(False, 999.0))
    assert step is not None
    assert LISTEN in step
    assert UPSTREAM in step
    assert "still running" not in step
    assert "could not be recorded" not in step


def test_a_proxy_that_stopped_writing_is_named() -> None:
    step = next_step(judged(False, 100.0))
    assert step is not None
    assert "has not written for 15 min" in step


def test_traffic_that_was_only_relayed_is_named() -> None:
    step = next_step(judged(False, 999.0, opaque_internal=2))
    assert step is not None
    assert "could not be recorded: 2 opaque.internal." in step


def test_with_traffic_there_is_nothing_to_do() -> None:
    assert next_step(judged(True, 0.0)) is None


@pytest.mark.parametrize(
    ("noted", "shown"),
    [
        ("postgresql://a:secret@db:5432/shop", "postgresql://a@db:5432/shop"),
        ("host=/run/pg port=5432 user=a dbname=shop", "postgresql://a@/shop?host=/run/pg&port=5432"),
        ("", ""),
        ("port=never", ""),
    ],
)
def test_the_upstream_is_shown_as_a_url_without_password(noted: str, shown: str) -> None:
    assert server_name(noted) == shown


def test_health_gathers_what_was_lost_and_what_was_not_understood() -> None:
    found = health({"lost.samples": 3, "lost.units": 1200, "opaque.tls": 1, "sessions": 99, "opaque.copy": 0})
    assert found.lost == 1203
    assert found.opaque == 1
    assert found.lines == ("⚠ lost 1,203 events", "⚠ relayed unseen 1")
    assert found.details == ("1,200 lost.units", "3 lost.samples", "1 opaque.tls")
    assert health({"sessions": 4}).lines == ("✓ nothing lost or unseen",)
