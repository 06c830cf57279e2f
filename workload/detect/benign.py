"""Repetition that is no loop over rows, or that nothing could be done about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Final

from workload.capture.messages import Unit
from workload.detect.groups import Group, start_times_ms
from workload.detect.links import Link
from workload.detect.predicates import shape_of
from workload.detect.statement import Statement
from workload.tokens import SQUASHED

POLL_SPAN_MS: Final = 10_000.0
POLL_VARIATION: Final = 0.3
"""Coefficient of variation of the time between calls below which they run by a clock."""
POLL_GAP_MS: Final = 20.0
BATCH_LENGTH: Final = 2
_SELF_COVERAGE: Final = 0.5


def benign_reason(
    group: Group, unit: Unit, links: Sequence[Link], statements: Mapping[int, Statement]
) -> str:
    """Why a group is left alone; empty when it is not.

    ``noise``, ``migration``, ``chunked_batch``, ``pipelined``, ``queue_poll``, ``pagination``, or
    ``recursive_walk`` (parameters come from the same query's own results: a tree, not a list).
    """
    shape = group.shape
    if shape.kind not in ("select", "insert", "update", "delete", "merge") or not shape.reads_user_tables:
        return "noise"
    if shape.value_rows >= BATCH_LENGTH or (shape.kind == "insert" and SQUASHED in group.statement.text):
        return "chunked_batch"
    if group.pipelined > len(group.calls):
        return "pipelined"
    if group.batched and group.batched >= len(group.calls):
        return "chunked_batch"
    if _beside_ddl(group, unit, statements):
        return "migration"
    if shape.skips_locked or _runs_by_a_clock(group, unit):
        return "queue_poll"
    return _paginates(group) or _feeds_itself(group, links)


def _beside_ddl(group: Group, unit: Unit, statements: Mapping[int, Statement]) -> bool:
    mine = set(group.transactions()) - {0}
    for step in unit.steps[unit.carried :]:
        known = statements.get(step.statement)
        if step.transaction in mine and known is not None and shape_of(known.text).kind == "ddl":
            return True
    return False


def _runs_by_a_clock(group: Group, unit: Unit) -> bool:
    if len(group.calls) < 3 or group.median_gap_ms() < POLL_GAP_MS:
        return False
    times = start_times_ms(unit.steps)
    starts = [times[index] for index in group.steps]
    between = [after - before for before, after in pairwise(starts)]
    if starts[-1] - starts[0] < POLL_SPAN_MS or median(between) < POLL_GAP_MS:
        return False
    return pstdev(between) < POLL_VARIATION * fmean(between)


def _paginates(group: Group) -> str:
    """LIMIT or OFFSET moves, or a range of an ordered and limited read does (keyset pagination)."""
    varying = {position + 1 for position in group.varying()}
    if not varying:
        return ""
    if varying <= group.shape.limit_params:
        return "pagination"
    operators = {p.operator for p in group.shape.predicates if p.param in varying}
    keyset = group.shape.ordered and group.shape.limited and "range" in operators
    return "pagination" if keyset and not operators & {"=", "in", "any"} else ""


def _feeds_itself(group: Group, links: Sequence[Link]) -> str:
    for link in links:
        own = link.source.statement.fingerprint == group.fingerprint
        if not own or link.coverage < _SELF_COVERAGE or _is_the_key_itself(link):
            continue
        position = link.target.position
        used = {step.params[position] for step in group.calls}
        from_last_row = len(used & link.source.last_rows)
        if from_last_row >= 0.8 * link.hits and group.shape.limited:
            return "pagination"
        if link.hits >= 0.8 * (len(used) - 1) and link.hits >= 2:
            return "recursive_walk"
    return ""


def _is_the_key_itself(link: Link) -> bool:
    """The rows show the key that they were asked for by: asking for it again is no step down a tree."""
    target, source = link.target, link.source
    if target.table is not None and source.table is not None:
        return (target.table.oid, target.attnum) == (source.table_oid, source.attnum)
    return target.column != "" and source.name.endswith(target.column)
