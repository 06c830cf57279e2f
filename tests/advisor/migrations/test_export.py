"""Where exports go, and that nothing is ever overwritten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from advisor.migrations import ExportError, detect_runner, export
from advisor.model import Advice

MakeIndexAdvice = Callable[..., Advice]


def test_deterministic_and_dry(
    index_advice: MakeIndexAdvice, batch_advice: Advice, tmp_path: Path, now: datetime
) -> None:
    advice = [index_advice(), batch_advice, index_advice("other", id="2")]
    directory = tmp_path / "made" / "here"
    dry = export(advice, runner=None, directory=directory, now=now, dry_run=True)
    assert dry.written == ()
    assert not directory.exists()
    wet = export(advice, runner=None, directory=directory, now=now)
    assert wet.migrations == dry.migrations
    assert wet.runner == detect_runner(directory) == "psql"
    assert sorted(path.relative_to(directory).as_posix() for path in wet.written) == [
        "001_add_ix_orders_status_created_at.down.sql",
        "001_add_ix_orders_status_created_at.sql",
        "002_add_ix_other_status_created_at.down.sql",
        "002_add_ix_other_status_created_at.sql",
        "pgcoach-notes/batch_customer_id_ba7c4000.md",
    ]
    for migration in wet.migrations:
        for file in migration.files:
            assert (directory / file.path).read_bytes() == file.text.encode()


def test_advice_is_exported_once(
    index_advice: MakeIndexAdvice, batch_advice: Advice, tmp_path: Path, now: datetime
) -> None:
    first = export([index_advice(), batch_advice], runner="psql", directory=tmp_path, now=now)
    again = export(
        [index_advice(), batch_advice, index_advice("b", id="b")], runner="psql", directory=tmp_path, now=now
    )
    assert [migration.advice_id for migration in again.migrations] == ["b"]
    assert again.written[0].name.startswith("002_")
    assert dict(again.already) == {
        "7f3ac0ffee00aa11": first.written[0],
        "ba7c400000000001": first.written[2],
    }


def test_numbers_follow_the_highest_and_keep_its_width(
    index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    (tmp_path / "0041_theirs.sql").write_text("SELECT 1;\n")
    (tmp_path / "readme.sql").write_text("SELECT 1;\n")
    result = export([index_advice()], runner="psql", directory=tmp_path, now=now)
    assert result.written[0].name.startswith("0042_add_ix_orders")


def test_an_existing_file_is_never_overwritten(
    index_advice: MakeIndexAdvice, batch_advice: Advice, tmp_path: Path, now: datetime
) -> None:
    notes = tmp_path / "pgcoach-notes"
    notes.mkdir()
    mine = notes / "batch_customer_id_ba7c4000.md"
    mine.write_text("mine")
    with pytest.raises(ExportError, match="is in the way and is not overwritten"):
        export([index_advice(), batch_advice], runner="psql", directory=tmp_path, now=now)
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["pgcoach-notes"], "half an export must not stay"


def test_a_directory_that_cannot_be_made(
    index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="nothing was exported"):
        export([index_advice()], runner="psql", directory=tmp_path / "file" / "below", now=now)


def test_what_was_said_cannot_leave_its_comment(
    index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    up, _ = export([index_advice()], runner="psql", directory=tmp_path, now=now).written
    lines = up.read_text().splitlines()
    assert next(line for line in lines if "echo a line end" in line).startswith("-- Proof: ")
    assert not [line for line in lines if line.startswith("\\!")]


def test_the_note_says_everything(batch_advice: Advice, tmp_path: Path, now: datetime) -> None:
    (path,) = export([batch_advice], runner="psql", directory=tmp_path, now=now).written
    text = path.read_text()
    for part in (
        "selectinload(Customer.orders)",
        "ANY(CAST($1 AS bigint[]))",
        "Leave NULL keys out.",
        "16.14",
    ):
        assert part in text


def test_what_stands_in_the_way_is_told_from_what_cannot_be_written(
    index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="file is in the way and is not overwritten"):
        export([index_advice()], runner="psql", directory=tmp_path / "file", now=now)
    with pytest.raises(ExportError, match="cannot be written: Not a directory"):
        export([index_advice()], runner="psql", directory=tmp_path / "file" / "below", now=now)
    assert (tmp_path / "file").read_text() == "mine"
