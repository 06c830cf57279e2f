"""stdout: JSON for programs, tables for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 1000
"""Width of a table that goes to a pipe: nothing is folded, so that grep and cut find whole lines."""


def write_json(rows: Sequence[Any]) -> None:
    """One JSON array, an object a line."""
    import msgspec

    encoder = msgspec.json.Encoder(enc_hook=str)
    lines = [encoder.encode(row).decode() for row in rows]
    sys.stdout.write("[" + ",\n ".join(lines) + "]\n")


def console() -> Console:
    """stdout for people. Rich honours NO_COLOR, FORCE_COLOR and TERM=dumb, and is plain in a pipe."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, highlight=False, markup=False, width=None if terminal else WIDE)


def table(*columns: str, numeric: Sequence[str] = (), flexible: Sequence[str] = ()) -> Table:
    """A plain table: numbers to the right, only the flexible columns give way on a narrow screen."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    built = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        built.add_column(
            name,
            justify="right" if name in numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if name in flexible else None,
        )
    return built
