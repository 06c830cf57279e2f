"""stdout: JSON for programs, tables for people.

A table on a terminal fits its width: first the columns of least interest go, then the last one is cut. In a
pipe nothing is cut, so that grep and cut find whole lines.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui.format import clip

GAP = "  "
LEAST_FLEXIBLE = 24
"""Characters that the last column should have before other columns go."""


def write_json(rows: Sequence[Any]) -> None:
    """One JSON array, an object a line."""
    import msgspec

    encoder = msgspec.json.Encoder(enc_hook=str)
    lines = [encoder.encode(row).decode() for row in rows]
    sys.stdout.write("[" + ",\n ".join(lines) + "]\n")


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    numeric: bool = False
    goes: int = 0
    """Columns with the highest number go first where there is no room; 0 never goes."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Prints the rows under their titles. The last column is the one that may be cut."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = layout(columns, rows, width)
    if _colours():
        lines[0] = f"\x1b[1m{lines[0]}\x1b[0m"
    sys.stdout.write("\n".join(lines) + "\n")


def layout(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The lines of the table, titles first; ``width`` None cuts nothing."""
    table = [[column.title for column in columns], *map(list, rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    shown = list(range(len(columns)))
    if width is not None:
        last = min(widths[-1], LEAST_FLEXIBLE)
        droppable = sorted(
            (place for place in shown[:-1] if columns[place].goes),
            key=lambda place: -columns[place].goes,
        )
        for place in droppable:
            if _needed(widths, shown[:-1]) + last <= width:
                break
            shown.remove(place)
        widths[-1] = min(widths[-1], max(1, width - _needed(widths, shown[:-1])))
    return [
        GAP.join(_cell(line[place], widths[place], columns[place].numeric) for place in shown).rstrip()
        for line in table
    ]


def _needed(widths: Sequence[int], places: Sequence[int]) -> int:
    return sum(widths[place] + len(GAP) for place in places)


def _cell(text: str, width: int, numeric: bool) -> str:
    text = clip(text, width)
    return text.rjust(width) if numeric else text.ljust(width)


def _colours() -> bool:
    """Colour only for a terminal, and never against NO_COLOR (https://no-color.org) or TERM=dumb."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
