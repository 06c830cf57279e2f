"""Which columns of earlier results do the varying parameters of a repeated statement come from?

Asked only for units of work in which something repeats, in the worker, because only the worker has the
rows. All results of one statement count as one relation: in a loop inside a loop every inner parameter
comes from another result of the outer child.

The answer is kept loose on purpose (half of the parameters suffice, or half of the rows where only the
head of a large result was kept): the detector has the catalog and decides by provenance, coverage and
order. What it cannot judge without the values is judged here: dense ranges of integers, and columns that
tell next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.wire import values
from workload.capture.results import ColumnHead, column_heads, row_values
from workload.capture.retention import KeptResult

MIN_COVERAGE: Final = 0.5
"""Share of a parameter's distinct values that a column must hold to be sent at all."""
MIN_HITS: Final = 2
MAX_KEY_BYTES: Final = 64
"""Longer texts are not keys, and are not compared."""
ENUM_VALUES: Final = 4
"""A text column with at most so many distinct values over many more rows is taken for an enumeration."""

_INTEGERS: Final = frozenset({values.INT2, values.INT4, values.INT8, values.OID})
_NUMBERS: Final = _INTEGERS | {values.NUMERIC}
_TEXTS: Final = frozenset({18, 19, values.TEXT, values.BPCHAR, values.VARCHAR})
_INSTANTS: Final = frozenset({values.DATE, values.TIMESTAMP, values.TIMESTAMPTZ})
_FIRST_USER_OID: Final = 16_384
"""FirstNormalObjectId (src/include/access/transam.h): types that a user or an extension made."""


@dataclass(slots=True)
class Wanted:
    """The values of one varying parameter: comparable text to the sequence of its last call."""

    statement: int
    position: int
    last_seen: dict[bytes, int]


@dataclass(slots=True)
class FlowingColumn:
    """A column of one kept result that holds values which later parameters took."""

    result: KeptResult
    head: ColumnHead
    texts: list[bytes | None]
    """Canonical texts in row order."""
    dense: bool
    low_information: bool
    used: int = 0
    """Distinct values of it that parameters took."""


class CellAllowance:
    """How many cells may still be decoded before traffic must have its turn again."""

    __slots__ = ("left", "refused")

    def __init__(self, cells: int) -> None:
        self.left = cells
        self.refused = 0
        """Results that were not read for lack of allowance."""

    def take(self, cells: int) -> bool:
        if cells > self.left:
            self.refused += 1
            return False
        self.left -= cells
        return True


def flowing_columns(
    results: Mapping[int, Iterable[KeptResult]],
    wanted: Sequence[Wanted],
    allowance: CellAllowance,
    *,
    max_rows: int,
    max_columns: int,
) -> list[FlowingColumn]:
    """Columns that cover a wanted parameter, in the order of their results; where there are too many, those
    of which most values were taken.

    ``results`` maps a statement to its kept results, oldest first. At most ``max_rows`` values are read for
    one column of a statement, and at most ``max_columns`` columns returned.
    """
    if not wanted:
        return []
    kinds = _kinds(wanted)
    found: list[FlowingColumn] = []
    for kept in results.values():
        found += _of_statement(list(kept), wanted, kinds, allowance, max_rows)
    found.sort(key=lambda column: -column.used)
    return sorted(found[:max_columns], key=lambda column: (column.result.sequence, column.head.index))


def _of_statement(
    results: list[KeptResult],
    wanted: Sequence[Wanted],
    kinds: frozenset[str],
    allowance: CellAllowance,
    max_rows: int,
) -> list[FlowingColumn]:
    columns: dict[tuple[str, int, int], list[FlowingColumn]] = {}
    rows_left = max_rows
    for result in results:
        heads = [head for head in column_heads(result) if _may_hold(head, kinds)]
        rows = min(result.held, rows_left)
        if not heads or rows == 0 or not allowance.take(rows * len(heads)):
            continue
        rows_left -= rows
        texts: list[list[bytes | None]] = [[] for _ in heads]
        for row in row_values(result, rows):
            for column, head in zip(texts, heads, strict=True):
                column.append(_text(row, head))
        for column, head in zip(texts, heads, strict=True):
            flowing = FlowingColumn(result, head, column, dense=False, low_information=False)
            columns.setdefault((head.name, head.table_oid, head.attnum), []).append(flowing)
    found: list[FlowingColumn] = []
    for same in columns.values():
        found += _covering(same, wanted)
    return found


def _covering(same: list[FlowingColumn], wanted: Sequence[Wanted]) -> list[FlowingColumn]:
    """Those of one column's results that feed a wanted parameter, if together they cover enough of it."""
    first_at: dict[bytes, int] = {}
    distinct: list[set[bytes]] = []
    for flowing in same:
        folded = {values.comparable(text) for text in flowing.texts if text is not None}
        distinct.append(folded)
        for text in folded:
            first_at.setdefault(text, flowing.result.sequence)
    partial = any(len(flowing.texts) < flowing.result.step.rows for flowing in same)
    used: set[bytes] = set()
    for want in wanted:
        hits = {text for text, last in want.last_seen.items() if first_at.get(text, last) < last}
        known = min(len(want.last_seen), len(first_at)) if partial else len(want.last_seen)
        if len(hits) >= MIN_HITS and len(hits) >= MIN_COVERAGE * known:
            used |= hits
    if not used:
        return []
    head = same[0].head
    dense = _is_dense(head, first_at)
    low = _tells_little(head, first_at, sum(len(flowing.texts) for flowing in same))
    for flowing, folded in zip(same, distinct, strict=True):
        flowing.dense, flowing.low_information = dense, low
        flowing.used = len(used & folded)
    return [flowing for flowing in same if flowing.used]


def _kinds(wanted: Sequence[Wanted]) -> frozenset[str]:
    """What the wanted values look like: a column of another kind need not be decoded."""
    kinds = set()
    for want in wanted:
        for text in want.last_seen:
            if text.lstrip(b"-").replace(b".", b"", 1).isdigit():
                kinds.add("number")
            elif len(text) == 36 and text.count(b"-") == 4:
                kinds.add("uuid")
            elif text[:4].isdigit() and text[4:5] == b"-":
                kinds.add("instant")
            else:
                kinds.add("text")
    return frozenset(kinds)


def _may_hold(head: ColumnHead, kinds: frozenset[str]) -> bool:
    if head.type_oid in _NUMBERS:
        return "number" in kinds
    if head.type_oid == values.UUID:
        return "uuid" in kinds
    if head.type_oid in _INSTANTS:
        return "instant" in kinds
    return head.type_oid in _TEXTS or head.type_oid >= _FIRST_USER_OID


def _text(row: Sequence[bytes | None], head: ColumnHead) -> bytes | None:
    raw = row[head.index] if head.index < len(row) else None
    if raw is None or len(raw) > MAX_KEY_BYTES:
        return None
    return values.canonical(raw, head.format, head.type_oid)


def _is_dense(head: ColumnHead, distinct: Iterable[bytes]) -> bool:
    """A range of integers so full that any small integer is in it: max − min < 2 × distinct."""
    if head.type_oid not in _NUMBERS:
        return False
    numbers = [int(text) for text in distinct if text.lstrip(b"-").isdigit()]
    return bool(numbers) and max(numbers) - min(numbers) < 2 * len(numbers)


def _tells_little(head: ColumnHead, distinct: Mapping[bytes, int], rows: int) -> bool:
    if head.type_oid == values.DATE:
        return True
    if head.type_oid in _INSTANTS:
        return all(b" 00:00:00" in text for text in distinct)
    if head.type_oid in _TEXTS or head.type_oid >= _FIRST_USER_OID:
        return len(distinct) <= ENUM_VALUES and rows >= 4 * len(distinct)
    return False
