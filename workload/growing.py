"""Lists that grow with the data, cut to one member, so that a thousand lengths are one shape.

``IN (…)`` and rows of VALUES keep their first member followed by ``/*, ... */``, as pg_stat_statements of
PostgreSQL 18 writes it. Fingerprints are the same: libpg_query hashes the members of a list as a set, and
ignores constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workload.tokens import SQUASHED


@dataclass(frozen=True, slots=True)
class Slot:
    """A literal that became a parameter: ``piece`` is its index in the split text."""

    piece: int
    negative: bool
    number: bool


Piece = tuple[bool, "str | Slot | int"]
"""Of a shape being built: white space before it? Then text, a literal, or the number of a parameter."""

_CONSTANTS: Final = frozenset(("null", "true", "false"))


def without_growing_lists(out: list[Piece]) -> tuple[list[Piece], int]:
    """Cut IN lists and rows of VALUES to their first member; gives also the longest list's length."""
    kept: list[Piece] = []
    longest = 0
    at = 0
    count = len(out)
    row_ends: dict[int, int] = {}  # where a first row of VALUES ends, and where the rows like it do
    while at < count:
        if at in row_ends:
            if kept[-1][1] != SQUASHED:
                kept.append((True, SQUASHED))
            at = row_ends.pop(at)
            continue
        piece = out[at]
        kept.append(piece)
        at += 1
        what = piece[1]
        if not isinstance(what, str) or at >= count or out[at][1] != "(":
            continue
        word = what.lower()
        if word == "in":
            members, first_end, end = _members(out, at + 1)
            longest = max(longest, members)
            if members > 1:
                kept.extend(out[at:first_end])
                if kept[-1][1] != SQUASHED:
                    kept.append((True, SQUASHED))
                at = end
        elif word == "values":
            # The first row is walked like everything else: there may be lists in it.
            first_end, end = _rows(out, at)
            if end > first_end:
                row_ends[first_end] = end
    return kept, longest


def _members(out: list[Piece], at: int) -> tuple[int, int, int]:
    """Members of the list of plain values that begins at ``at``, end of the first, position of the ``)``.

    No members when anything but literals, parameters and their casts is in the list.
    """
    members = 0
    first_end = at
    while at < len(out):
        what = out[at][1]
        if isinstance(what, str) and what.lower() not in _CONSTANTS:
            return 0, 0, 0
        at += 1
        if at < len(out) and out[at][1] == "::":
            at += 1
            while at < len(out) and isinstance(out[at][1], str) and out[at][1] not in (",", ")", SQUASHED):
                if out[at][1] == "(":
                    return 0, 0, 0
                at += 1
        members += 1
        if members == 1:
            first_end = at
        if at < len(out) and out[at][1] == SQUASHED:
            at += 1
            members = max(members, 2)
        if at >= len(out):
            return 0, 0, 0
        if out[at][1] == ")":
            return members, first_end, at
        if out[at][1] != ",":
            return 0, 0, 0
        at += 1
    return 0, 0, 0


def _rows(out: list[Piece], at: int) -> tuple[int, int]:
    """End of the first row of VALUES, and of the last one after it that is written like it."""
    first = _row(out, at)
    if first is None:
        return 0, 0
    first_end, pattern = first
    end = first_end
    while end + 1 < len(out) and out[end][1] == ",":
        row = _row(out, end + 1)
        if row is None or row[1] != pattern:
            # One row that differs: nothing may be left out after it, and little is won before.
            return first_end, first_end
        end = row[0]
    return first_end, end


def _row(out: list[Piece], at: int) -> tuple[int, tuple[str, ...]] | None:
    if at >= len(out) or out[at][1] != "(":
        return None
    depth = 0
    pattern: list[str] = []
    for position in range(at, len(out)):
        what = out[position][1]
        if isinstance(what, str):
            if what == "(":
                depth += 1
            elif what == ")":
                depth -= 1
            pattern.append("$" if what.lower() in _CONSTANTS else what)
            if not depth:
                return position + 1, tuple(pattern)
        else:
            pattern.append("$")
    return None
