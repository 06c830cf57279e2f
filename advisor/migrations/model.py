"""What an export consists of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Runner = Literal["psql", "alembic"]


class ExportError(Exception):
    """The advice cannot be exported there; the text says what stands in the way and what to do."""


@dataclass(frozen=True, slots=True)
class MigrationFile:
    path: str
    """Relative to the directory of the export, with forward slashes."""
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """The files of one piece of advice."""

    advice_id: str
    runner: str
    """psql, alembic, or note: something to be done in the application's code."""
    files: tuple[MigrationFile, ...]
    notes: tuple[str, ...] = ()
    """What else the person must do: how to run it, which model to change."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    runner: Runner
    directory: Path
    migrations: tuple[Migration, ...]
    written: tuple[Path, ...]
    """Empty for a dry run."""
    already: tuple[tuple[str, Path], ...] = ()
    """Advice that an earlier export wrote, by id, and the file that holds it."""
