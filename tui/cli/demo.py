"""``pgcoach demo``: the whole way, on a database of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="Folder for the store and the migrations. Default: a new one in the user's state directory.",
        ),
    ] = None,
) -> int:
    """Start a private PostgreSQL, let a shop make the usual mistakes, find them, prove the fixes, apply them.

    Needs nothing but this command, and leaves nothing running.
    """
    from tui.demo.run import run_demo

    return run_demo(output)
