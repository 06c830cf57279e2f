"""``pgcoach export``: accepted advice as migration files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tui.cli.options import Store, existing_store

if TYPE_CHECKING:
    from advisor.migrations.model import ExportResult
    from workload.model import AdviceRecord


def export(
    *ids: Annotated[
        str, Parameter(help="Ids of advice, or their beginnings. Default: all that is accepted.")
    ],
    store: Store = None,
    format: Annotated[
        Literal["psql", "alembic"] | None,
        Parameter(help="The migration runner. Default: Alembic where the directory holds such a project."),
    ] = None,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], help="Directory for the files, or the Alembic project's.")
    ] = Path("migrations"),
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print the files instead of writing them; nothing is marked.")
    ] = False,
) -> None:
    """Write accepted advice as a migration: safe to run on a busy server, with a way back.

    Prints the paths of the files, one a line. pgcoach does not run them.
    """
    import time

    from tui.exporting import plan_export, write_export
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        records = chosen(opened.advice(), ids)
        if dry_run:
            result = plan_export(records, format, output, time.time())
        else:
            result = write_export(opened, records, format, output, time.time())
    _print(result, dry_run)


def chosen(records: list[AdviceRecord], ids: tuple[str, ...]) -> list[AdviceRecord]:
    """The advice with these ids, or all that is accepted. Raises CommandError when that is nothing."""
    from tui.cli.advice import find
    from tui.cli.errors import CommandError

    if ids:
        return list({record.id: record for record in (find(records, id_) for id_ in ids)}.values())
    accepted = [record for record in records if record.state == "accepted"]
    if not accepted:
        raise CommandError(
            "nothing is accepted: `pgcoach advice` lists what there is, `pgcoach advice accept ID` takes it "
            "into the export"
        )
    return accepted


def _print(result: ExportResult, dry_run: bool) -> None:
    from tui.cli.errors import notice

    if dry_run:
        for migration in result.migrations:
            for file in migration.files:
                print(f"-- {result.directory / file.path}\n{file.text}")
    for path in result.written:
        print(path)
    for advice_id, path in result.already:
        notice(f"{advice_id} is in {path} already")
    for note in dict.fromkeys(note for migration in result.migrations for note in migration.notes):
        notice(note)
