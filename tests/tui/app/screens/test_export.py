"""What the export would write, as lines."""

from __future__ import annotations

from pathlib import Path

from advisor.migrations.model import ExportResult, Migration, MigrationFile
from tui.app.screens.export import Basket, file_count, preview_lines
from tui.app.status import Health, Source, Status

STATUS = Status(source=Source.LIVE, location="x.db", age=1.0, health=Health(0, 0, ()), listen="", upstream="")


def plan(*files: MigrationFile, already: tuple[tuple[str, Path], ...] = ()) -> ExportResult:
    migrations = tuple(Migration(f"id{n}", "psql", (file,), ("Run it.",)) for n, file in enumerate(files))
    return ExportResult("psql", Path("out"), migrations, (), already)


def basket(result: ExportResult | None, problem: str = "") -> Basket:
    return Basket(STATUS, (), "psql", result, problem)


def test_how_many_files() -> None:
    file = MigrationFile("001_a.sql", "SELECT 1;\n")
    assert file_count(None) == "files   none, see below"
    assert file_count(plan(file)) == "files   1, w writes it"
    assert file_count(plan(file, file)) == "files   2, w writes them"
    assert file_count(plan()) == "files   none to write, w marks what is there"


def test_files_then_what_is_left_to_do() -> None:
    files = (MigrationFile("001_a.sql", "SELECT 1;\n"), MigrationFile("002\n_b.sql", "\x1b[2J\n"))
    assert preview_lines(basket(plan(*files, already=(("ix9", Path("out/000.sql")),)))) == [
        "── 001_a.sql ──",
        "SELECT 1;",
        "",
        "── 002 _b.sql ──",
        "�[2J",
        "",
        "ix9 is in out/000.sql already",
        "Run it.",
    ]


def test_what_is_in_the_way_stands_alone() -> None:
    assert preview_lines(basket(None, "no Alembic project")) == ["⚠ no Alembic project"]
    assert preview_lines(basket(None)) == []
