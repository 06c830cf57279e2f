"""Exporting advice: the same steps for `pgcoach export` and for the export screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from advisor.migrations.export import export
from advisor.migrations.model import ExportError, ExportResult, Runner
from tui.advice_view import read_advice
from workload.model import AdviceRecord
from workload.store import Store

__all__ = ["RUNNERS", "ExportError", "plan_export", "write_export"]

RUNNERS: tuple[Runner, ...] = ("psql", "alembic")


def plan_export(
    records: Sequence[AdviceRecord], runner: Runner | None, directory: Path, now: float
) -> ExportResult:
    """What an export would write; nothing is touched. ``runner`` None looks what the directory holds,
    ``now`` is epoch seconds. Raises ExportError, UnreadableAdviceError."""
    return _export(records, runner, directory, now, dry_run=True)


def write_export(
    store: Store, records: Sequence[AdviceRecord], runner: Runner | None, directory: Path, now: float
) -> ExportResult:
    """Writes the files, then marks the advice as exported, also what an earlier export wrote there.

    Raises ExportError, UnreadableAdviceError, StoreError.
    """
    result = _export(records, runner, directory, now, dry_run=False)
    where = {item.advice_id: item.files[0].path for item in result.migrations if item.files}
    where |= {advice_id: path.name for advice_id, path in result.already}
    for record in records:
        if record.id in where:
            store.set_advice_state(record.id, "exported", f"{result.runner}: {where[record.id]}")
    return result


def _export(
    records: Sequence[AdviceRecord], runner: Runner | None, directory: Path, now: float, dry_run: bool
) -> ExportResult:
    return export(
        [read_advice(record) for record in records],
        runner=runner,
        directory=directory,
        now=datetime.fromtimestamp(now, UTC),
        dry_run=dry_run,
    )
