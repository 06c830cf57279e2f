"""Accepted advice written as files for a migration runner: one module a runner, ``export`` in front."""

from advisor.migrations.export import detect_runner, export
from advisor.migrations.model import ExportError, ExportResult, Migration, MigrationFile, Runner

__all__ = ["ExportError", "ExportResult", "Migration", "MigrationFile", "Runner", "detect_runner", "export"]
