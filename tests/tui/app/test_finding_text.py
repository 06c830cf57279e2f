"""A finding in words."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tui.app.finding_text import evidence, finding_lines, name
from workload.model import Column, Finding
from workload.store import Store

NOW = 1_800_000_000.0


@pytest.fixture
def finding(store_path: Path) -> Finding:
    with Store.open(store_path) as store:
        return store.findings()[0]


def test_it_says_what_how_often_and_by_what_evidence(finding: Finding) -> None:
    text = "\n".join(finding_lines(finding, "SELECT child", "SELECT parent", NOW))
    assert "19,000 calls in 950 units of work, 5.40 s wasted" in text
    assert "values: public.orders.id → public.order_lines.order_id" in text
    assert text.index("SELECT parent") < text.index("SELECT child")
    assert "  calls per unit: 20" in text
    assert "high confidence" in text


def test_what_is_not_known_is_left_out(finding: Finding) -> None:
    bare = msgspec.structs.replace(finding, child=Column(), parent=Column(), evidence={})
    text = "\n".join(finding_lines(bare, "", "", NOW))
    assert "values:" not in text
    assert "evidence" not in text
    assert "after" not in text


def test_a_column_without_a_source(finding: Finding) -> None:
    alone = msgspec.structs.replace(finding, parent=Column(), child=Column(column="id"))
    assert "values: id" in finding_lines(alone, "", "", NOW)


def test_names() -> None:
    assert name(Column(schema="s", table="t", column="c")) == "s.t.c"
    assert name(Column(column="c")) == "c"


def test_evidence_for_people() -> None:
    found = evidence(
        {"b_c": True, "a": 12345, "d": 0.5, "e": [1, 2], "f": "x\ny", "g": {"k": "v" * 500}}.items()
    )
    assert found[:5] == [("a", "12,345"), ("b c", "yes"), ("d", "0.5"), ("e", "[1, 2]"), ("f", "x y")]
    assert len(found[5][1]) == 200
