"""Which advice an export takes, and how what stands in its way is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tui.cli.errors import CommandError
from tui.cli.export import chosen
from workload.store import Store

Pgcoach = Callable[..., tuple[int, str, str]]


def test_named_advice_is_taken_once_in_the_order_given(store_path: Path) -> None:
    with Store.open(store_path) as store:
        records = store.advice()
    assert [record.id for record in chosen(records, ("ba1", "ix1", "ba"))] == ["ba1", "ix1"]
    with pytest.raises(CommandError, match="no advice with id 'zz'"):
        chosen(records, ("ba1", "zz"))
    with pytest.raises(CommandError, match="nothing is accepted"):
        chosen(records, ())


def test_without_names_all_that_is_accepted_goes(pgcoach: Pgcoach, store_path: Path, tmp_path: Path) -> None:
    for id in ("ix1", "ba1"):
        pgcoach("advice", "accept", id, "--store", store_path)
    code, out, err = pgcoach("export", "-o", tmp_path / "out", "--store", store_path)
    assert code == 0
    assert {Path(line).suffix for line in out.splitlines()} == {".sql", ".md"}
    assert "Run: psql" in err
    assert "the note says how" in err


def test_a_dry_run_prints_each_file_under_its_name_and_marks_nothing(
    pgcoach: Pgcoach, store_path: Path, tmp_path: Path
) -> None:
    code, out, _ = pgcoach("export", "ix1", "--dry-run", "-o", tmp_path / "out", "--store", store_path)
    assert code == 0
    names = [line for line in out.splitlines() if line.startswith(f"-- {tmp_path}")]
    assert [Path(name).suffixes for name in names] == [[".sql"], [".down", ".sql"]]
    with Store.open(store_path) as store:
        assert [record.state for record in store.advice() if record.id == "ix1"] == ["new"]


def test_a_file_in_the_way_of_the_directory_is_usage(
    pgcoach: Pgcoach, store_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    code, out, err = pgcoach("export", "ix1", "-o", tmp_path / "out", "--store", store_path)
    assert (code, out) == (2, "")
    assert "nothing was exported" in err
    assert (tmp_path / "out").read_text() == "mine"
    with Store.open(store_path) as store:
        assert [record.state for record in store.advice() if record.id == "ix1"] == ["new"]


def test_a_runner_that_is_none_is_usage(pgcoach: Pgcoach, store_path: Path) -> None:
    code, _, err = pgcoach("export", "ix1", "--format", "flyway", "--store", store_path)
    assert code == 2
    assert "flyway" in err
