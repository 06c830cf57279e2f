"""Findings as documents and as lines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tui.cli import findings
from workload.model import Column, Finding
from workload.store import Store


@pytest.fixture
def found(store_path: Path) -> list[Finding]:
    with Store.open(store_path) as store:
        return sorted(store.findings(), key=lambda finding: finding.id)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (Column(schema="public", table="t", column="a"), "public.t.a"),
        (Column(table="t", column="a"), "t.a"),
        (Column(column="a"), "a"),
        (Column(), ""),
    ],
)
def test_names_as_far_as_they_are_known(column: Column, name: str) -> None:
    assert findings.qualified(column) == name


def test_a_document_without_its_query(found: list[Finding]) -> None:
    document = findings.document(found[1], None)
    assert (document["query"], document["tables"], document["columns"]) == (None, [], [])
    assert document["fingerprint"] == found[1].fingerprint
    msgspec.json.encode(document)


def test_one_table_on_both_ends_is_named_once(found: list[Finding]) -> None:
    end = Column(schema="public", table="t", column="id")
    same = msgspec.structs.replace(found[0], child=end, parent=msgspec.structs.replace(end, column="up"))
    document = findings.document(same, None)
    assert document["tables"] == ["public.t"]
    assert document["columns"] == ["public.t.id", "public.t.up"]


def test_captured_parameters_are_not_shared(found: list[Finding]) -> None:
    assert found[0].sample_calls
    assert "sample_calls" not in findings.document(found[0], None)


def test_a_title_cannot_drive_the_terminal(found: list[Finding], capsys: pytest.CaptureFixture[str]) -> None:
    findings.print_table([msgspec.structs.replace(found[0], title="a\x1b[2J\nb")])
    _, row = capsys.readouterr().out.splitlines()
    assert row.endswith("a�[2J b")
    assert row.split()[:2] == ["n_plus_one_read", "high"]
