"""Advice into files: which runner, which names, never over an existing file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from advisor.migrations import alembic, note, psql, render
from advisor.migrations.model import ExportError, ExportResult, Migration, Runner
from advisor.model import Advice, IndexCandidate

_HEAD = 4096
"""Bytes of an existing file in which its header stands."""

_MARKED = re.compile(rf"{render.MARK} (\S+), written by")


def detect_runner(directory: Path) -> Runner:
    """alembic where the directory holds an Alembic project, else psql."""
    return "alembic" if alembic.is_project(directory) else "psql"


def export(
    advice: Sequence[Advice],
    *,
    runner: Runner | None,
    directory: Path,
    now: datetime,
    dry_run: bool = False,
) -> ExportResult:
    """Write ``advice`` below ``directory``, made if it does not exist; ``runner`` None means look there.

    Advice that an earlier export wrote there is not written again. The same advice, directory and ``now``
    give the same files. Raises ExportError, and then leaves nothing written, when the Alembic project
    has several heads or cannot be read, a file stands in the way, or the directory cannot be written.
    """
    chosen = runner or detect_runner(directory)
    project = alembic.read_project(directory) if chosen == "alembic" else None
    already = _exported_before(directory, project)
    fresh = [item for item in advice if item.id not in already]
    migrations = tuple(_migrations(fresh, project, directory, now))
    return ExportResult(
        runner=chosen,
        directory=directory,
        migrations=migrations,
        written=() if dry_run else _write(migrations, directory),
        already=tuple((item.id, already[item.id]) for item in advice if item.id in already),
    )


def _migrations(
    advice: Sequence[Advice], project: alembic.Project | None, directory: Path, now: datetime
) -> Iterator[Migration]:
    indexes = 0
    head = project.head if project else None
    for item in advice:
        candidate = item.candidate
        if not isinstance(candidate, IndexCandidate):
            yield note.batch_note(item, candidate, now)
        elif project is not None:
            yield alembic.index_migration(item, candidate, project, head, directory, now)
            head = alembic.revision_id(item)
        else:
            yield psql.index_migration(item, candidate, psql.next_number(directory, indexes), now)
            indexes += 1


def _exported_before(directory: Path, project: alembic.Project | None) -> dict[str, Path]:
    """Advice ids found in the headers of files in the places where exports go."""
    places = [path for path in directory.glob("*.sql") if not path.name.endswith(".down.sql")]
    places += directory.glob(f"{note.DIRECTORY}/*.md")
    places += project.revisions.values() if project else ()
    found: dict[str, Path] = {}
    for path in sorted(places):
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD).decode("utf-8", "replace")
        except OSError as error:
            raise ExportError(f"{path} cannot be read: {error.strerror}") from error
        marked = _MARKED.search(head)
        if marked:
            found.setdefault(marked[1], path)
    return found


def _write(migrations: Sequence[Migration], directory: Path) -> tuple[Path, ...]:
    written: list[Path] = []
    try:
        for file in (file for migration in migrations for file in migration.files):
            path = directory / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as stream:
                written.append(path)
                stream.write(file.text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        path = error.filename or directory
        if isinstance(error, FileExistsError):
            raise ExportError(f"nothing was exported: {path} is in the way and is not overwritten") from error
        raise ExportError(f"nothing was exported: {path} cannot be written: {error.strerror}") from error
    return tuple(written)
