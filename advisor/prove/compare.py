"""Do the calls and the batched statement say the same? Pure: results in, verdict out.

Values are compared as the text that the server sent: that is what the application sees. Rows of a key
without ORDER BY are a multiset. With ORDER BY the sequence of sort keys must agree, and rows that tie may
stand in any order among themselves. A difference is told in counts and positions, never in values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.propose.batch import BatchPlan
from advisor.propose.child import SortKey

Row = tuple[bytes | None, ...]
Key = tuple[bytes | None, ...]

_FLOAT_DIGITS = {700: 5, 701: 12}
"""Significant digits of an aggregated float4 and float8 that do not depend on the order of summation."""


@dataclass(frozen=True, slots=True)
class Result:
    names: tuple[str, ...]
    oids: tuple[int, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Call:
    key: Key
    """Canonical text of the varying parameters."""
    result: Result


@dataclass(frozen=True, slots=True)
class Verdict:
    difference: str
    """Empty when the two agree."""
    calls: int = 0
    rows: int = 0
    limits: tuple[str, ...] = ()


def compare(calls: Sequence[Call], batched: Result, plan: BatchPlan) -> Verdict:
    """Compare every call with the rows that the batched statement gives for its key."""
    split = _split(calls, batched, plan)
    if isinstance(split, str):
        return Verdict(split)
    groups, shape = split
    limits: set[str] = set()
    compared = rows = 0
    for number, call in enumerate(calls, 1):
        if plan.drop_null_keys and None in call.key:
            if plan.candidate.shape in ("any", "composite") and call.result.rows:
                return Verdict(f"call {number} has a NULL key and returned {len(call.result.rows)} rows")
            limits.add("Calls with a NULL key are left out of the batched statement.")
            continue
        group = groups.get(call.key, [])
        difference = _compare_call(call.result, group, shape, plan, limits)
        if difference:
            return Verdict(f"call {number} of {len(calls)}: {difference}")
        compared += 1
        rows += len(call.result.rows)
    strangers = set(groups) - {call.key for call in calls}
    if strangers:
        count = sum(len(groups[key]) for key in strangers)
        return Verdict(f"the batched statement returned {count} rows for keys that were not asked for")
    if not compared:
        return Verdict("every captured call has a NULL key, so there was nothing to compare")
    return Verdict("", compared, rows, tuple(sorted(limits)))


def _split(
    calls: Sequence[Call], batched: Result, plan: BatchPlan
) -> tuple[dict[Key, list[Row]], Result] | str:
    """The batched rows by key, and what a row of them looks like without the leading keys."""
    lead = plan.leading_keys
    shape = Result(batched.names[lead:], batched.oids[lead:], ())
    if not plan.presence:
        first = calls[0].result
        if len(first.oids) != len(shape.oids):
            return f"a call returns {len(first.oids)} columns, the batched statement {len(shape.oids)}"
        for position, (old, new) in enumerate(zip(first.oids, shape.oids, strict=True), 1):
            if old != new:
                return f"result column {position} has another type (OID {old} became {new})"
    if not lead and shape.names.count(plan.key_result) != 1:
        return f"{plan.key_result} is not one column of the result, so rows cannot be told apart by key"
    groups: dict[Key, list[Row]] = {}
    for row in batched.rows:
        key = row[:lead] if lead else (row[shape.names.index(plan.key_result)],)
        groups.setdefault(key, []).append(row[lead:])
    return groups, shape


def _compare_call(result: Result, group: list[Row], shape: Result, plan: BatchPlan, limits: set[str]) -> str:
    if plan.presence:
        expected = b"t" if result.rows else b"f"
        if group != [(expected,)]:
            return f"it returned {len(result.rows)} rows, which the batched statement does not say"
        return ""
    rows = list(result.rows)
    if plan.candidate.shape == "aggregate":
        rows = [_rounded(row, shape.oids) for row in rows]
        group = [_rounded(row, shape.oids) for row in group]
    if len(rows) != len(group):
        return f"it returned {len(rows)} rows, the batched statement {len(group)} for its key"
    if plan.limit == len(rows) and not plan.sort and _unequal(rows, group):
        return "its LIMIT without ORDER BY may return any rows, so other rows tell nothing"
    positions = _sort_positions(plan.sort, shape)
    if plan.sort and not positions and rows != group:
        return _unequal(rows, group) or (
            "the order of its rows differs, and the sort key is not in the result to tell ties from errors"
        )
    if plan.sort and positions:
        sequence = [[row[position] for position in positions] for row in rows]
        if sequence != [[row[position] for position in positions] for row in group]:
            return "the order of its rows differs"
        if len(rows) == plan.limit:
            # Which rows of the last tie are inside the limit is free: compare those above it.
            above = next(index for index, key in enumerate(sequence) if key == sequence[-1])
            if _unequal(rows, group) and above + 1 < len(rows):
                limits.add("Rows that tie at the cut of LIMIT may be others, as they may from call to call.")
                rows, group = rows[:above], group[:above]
    return _unequal(rows, group)


def _unequal(rows: list[Row], group: list[Row]) -> str:
    missing = (Counter(rows) - Counter(group)).total()
    return f"{missing} of its {len(rows)} rows differ" if missing else ""


def _sort_positions(sort: Sequence[SortKey], shape: Result) -> list[int]:
    """Result columns of the sort keys; empty when one of them cannot be found."""
    positions = []
    for key in sort:
        if key.position is not None:
            positions.append(key.position)
        elif key.name and shape.names.count(key.name) == 1:
            positions.append(shape.names.index(key.name))
        else:
            return []
    return positions


def _rounded(row: Row, oids: Sequence[int]) -> Row:
    return tuple(
        f"{float(value):.{_FLOAT_DIGITS[oid]}g}".encode()
        if value is not None and oid in _FLOAT_DIGITS
        else value
        for value, oid in zip(row, oids, strict=True)
    )
