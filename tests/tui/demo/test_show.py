"""What the demo prints, on a terminal of 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from advisor.model import Advice, BatchCandidate, IndexCandidate, IndexKey, Proof
from tui.demo import show
from tui.demo.measure import Change, Run
from workload.model import Column, Finding, Query


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=80, file=io.StringIO())


def query(id: int, text: str, total_ms: float) -> Query:
    return Query(
        id=id,
        fingerprint=f"{id:016x}",
        database="shop",
        query=text,
        first_seen=0.0,
        last_seen=0.0,
        calls=1_200,
        errors=0,
        rows=1_200,
        bytes=0,
        timed_calls=1_200,
        total_ms=total_ms,
        mean_ms=total_ms / 1_200,
        p50_ms=1.0,
        p95_ms=250.0,
        p99_ms=300.0,
        max_ms=400.0,
        kind="select",
        tables=(),
        applications=(),
        parse_error=False,
    )


def lines(console: Console) -> list[str]:
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_queries_have_shares_and_stay_on_one_line(console: Console) -> None:
    found = [
        query(1, "SELECT tags[i]\n  FROM product WHERE " + "x" * 200, 9_000.0),
        *(query(n, f"SELECT {n}", 100.0) for n in range(2, 12)),
    ]
    show.queries(console, found)
    text = lines(console)
    (first,) = [line for line in text if "tags[i] FROM product" in line]
    assert first.split()[:7] == ["90", "%", "1,200", "7.50", "ms", "250", "ms"]
    assert first.endswith("…")
    assert all(len(line) <= 80 for line in text)
    assert any("SELECT 6" in line for line in text)
    assert not any("SELECT 7" in line for line in text)


def test_no_queries_are_an_empty_table(console: Console) -> None:
    show.queries(console, [])
    assert "Most expensive queries" in console.export_text()


def test_findings(console: Console) -> None:
    finding = Finding(
        id="f",
        cls="n_plus_one_read",
        confidence="high",
        title="25 × [red]order_line[/red] by order_id",
        database="shop",
        query_id=1,
        fingerprint="0" * 16,
        parent_query_id=None,
        parent_fingerprint=None,
        child=Column(),
        parent=Column(),
        first_seen=0.0,
        last_seen=0.0,
        units=60,
        calls=1_500,
        wasted_ms=1.0,
        evidence={},
        sample_calls=(),
        sample_oids=(),
    )
    show.findings(console, [finding])
    text = " ".join(console.export_text().split())
    assert "n_plus_one_read high 1,500 60 25 × [red]order_line[/red] by order_id" in text


@pytest.mark.parametrize(
    ("rejected", "told"),
    [(11, "11 other candidates did not hold"), (1, "1 other candidate did not hold"), (0, "")],
)
def test_advice_and_how_many_did_not_hold(console: Console, rejected: int, told: str) -> None:
    proof = Proof(method="build", server_version="18.4", made_at=0.0, summary="cost 3,073 to 113")
    index = Advice(
        id="1",
        title="Index review (product_id)",
        database="shop",
        candidate=IndexCandidate(schema="public", table="review", keys=(IndexKey(column="product_id"),)),
        proof=proof,
    )
    batch = Advice(
        id="2",
        title="Read once",
        database="shop",
        candidate=BatchCandidate(
            finding_id="f", original="SELECT 1", batched="SELECT 2", shape="any", key_column="id"
        ),
        proof=proof,
    )
    show.advice(console, [index, batch], rejected)
    text = " ".join(console.export_text().split())
    assert "index Index review (product_id) cost 3,073 to 113 batch Read once" in text
    assert told in text
    assert ("did not hold" in text) == bool(rejected)


def test_paths_are_printed_whole_and_as_they_are(console: Console) -> None:
    path = Path("/tmp") / ("long" * 30) / "[b]x[/b].sql"
    show.files(console, [path])
    assert f"  {path}" in lines(console)


def test_changes_and_runs(console: Console) -> None:
    show.changes(console, [Change(1, "SELECT a[i]", 10, 1_000, 312.0, 0.5)])
    show.runs(console, [Run("as it is", 6_759, 12_330.0, 0.0, 15.52)])
    text = " ".join(console.export_text().split())
    assert "312 ms 0.50 ms 624.0 × 1,000 SELECT a[i]" in text
    assert "as it is 6,759 12.33 s 15.5 s" in text
