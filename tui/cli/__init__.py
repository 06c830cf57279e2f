"""The command line. One module a command, imported only when that command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App

from tui.cli import errors


def version() -> str:
    """The installed version."""
    from importlib.metadata import version as installed

    return installed("pgcoach")


app = App(
    name="pgcoach",
    help="See what PostgreSQL ran, prove what would make it faster, write the migration.",
    version=version,
    version_flags=["--version"],
    help_epilogue="Start with `pgcoach demo`, or point an application at `pgcoach up --upstream URL`.",
)

COMMANDS = (
    ("up", "Relay traffic to PostgreSQL and record what ran."),
    ("queries", "The queries that ran, the most expensive first."),
    ("findings", "What was seen to be wasteful: N+1 and repeated reads."),
    ("advise", "Look for indexes and batched statements, and prove them."),
    ("advice", "List, read, accept, reject or snooze advice."),
    ("export", "Write accepted advice as a migration."),
    ("tui", "Look at a store in the full-screen application."),
    ("demo", "The whole way, on a database of its own: needs nothing but this command."),
)

for _place, (_name, _help) in enumerate(COMMANDS):
    app.command(f"tui.cli.{_name}:{_name}", name=_name, help=_help, sort_key=_place)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `pgcoach` command: runs it and exits with one of the codes of tui.cli.errors."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(errors.run(lambda: app(tokens, result_action="return_value")))
