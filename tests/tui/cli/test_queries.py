"""Spans, shares and what a query's line says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tui.cli import queries
from tui.cli.errors import CommandError
from workload.model import Query
from workload.store import Store

Pgcoach = Callable[..., tuple[int, str, str]]


@pytest.fixture
def found(store_path: Path) -> list[Query]:
    with Store.open(store_path) as store:
        return store.queries(limit=2)


def test_spans_end_now() -> None:
    assert queries.span_start(None, 1_000.0) is None
    assert queries.span_start("15m", 1_000.0) == 100.0
    with pytest.raises(CommandError, match="--since: '-5m' is not a span"):
        queries.span_start("-5m", 1_000.0)


def test_durations_are_rounded_to_the_microsecond(found: list[Query]) -> None:
    document = queries.document(found[0])
    for name in ("total_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"):
        assert document[name] == round(document[name], 3)
    assert document["id"] == found[0].id


def test_shares_are_of_the_whole_and_nothing_is_no_division(
    found: list[Query], capsys: pytest.CaptureFixture[str]
) -> None:
    queries.print_table(found, 2 * found[0].total_ms)
    assert "50.0 %" in capsys.readouterr().out.splitlines()[1]
    queries.print_table(found, 0.0)
    assert "0 %" in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_that_shows_nothing_is_usage(pgcoach: Pgcoach, store_path: Path, limit: str) -> None:
    code, out, err = pgcoach("queries", f"--limit={limit}", "--store", store_path)
    assert (code, out) == (2, "")
    assert "--limit" in err
