"""Export marks what it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.exporting import ExportError, plan_export, write_export
from workload.store import Store

AT = 1_800_000_000.0


def test_a_plan_touches_nothing(store_path: Path, tmp_path: Path) -> None:
    with Store.open(store_path) as store:
        result = plan_export(store.advice(), None, tmp_path / "out", AT)
        assert {record.state for record in store.advice()} == {"new", "rejected"}
    assert result.runner == "psql"
    assert result.migrations
    assert not (tmp_path / "out").exists()


def test_written_advice_is_exported_and_not_written_twice(store_path: Path, tmp_path: Path) -> None:
    with Store.open(store_path) as store:
        records = store.advice(states=["new"])
        first = write_export(store, records, "psql", tmp_path / "out", AT)
        assert all(path.suffix in (".sql", ".md") for path in first.written)
        states = {record.id: (record.state, record.reason) for record in store.advice()}
        assert states["ix1"][0] == states["ba1"][0] == "exported"
        assert states["ix1"][1].startswith("psql: 001_")
        assert states["ix2"][0] == "rejected"
        second = write_export(store, records, "psql", tmp_path / "out", AT)
        assert second.written == ()
        assert {advice_id for advice_id, _ in second.already} == {"ix1", "ba1"}


def test_what_stands_in_the_way_leaves_the_states_alone(store_path: Path, tmp_path: Path) -> None:
    with Store.open(store_path) as store:
        with pytest.raises(ExportError, match="no Alembic project"):
            write_export(store, store.advice(), "alembic", tmp_path, AT)
        assert {record.state for record in store.advice()} == {"new", "rejected"}
