"""A finding put into words and numbers, under an identity that lasts.

The identity hashes what is wrong and where (database, child fingerprint, predicate columns, parent column,
class), never values, OIDs, routes or drivers: the same loop found again tomorrow is the same finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from statistics import median
from typing import Final

from workload.capture.messages import Unit
from workload.detect.confidence import Verdict
from workload.detect.cost import LoopCost, loop_cost
from workload.detect.groups import Group, start_times_ms
from workload.detect.interleaved import in_step_with
from workload.detect.links import Link, Target
from workload.detect.orm import orm_of
from workload.detect.predicates import shape_of
from workload.model import Column, Confidence, Finding, FindingClass

CRITICAL_CALLS: Final = 50
CRITICAL_MS: Final = 100.0
CRITICAL_SHARE: Final = 0.5
"""Of the unit's time in the database."""

_DIRECTION: Final = {"fk_from_parent": "to-one", "fk_to_parent": "to-many", "same_column": "same-row"}


def finding_of(
    unit: Unit,
    group: Group,
    verdict: Verdict,
    cls: FindingClass,
    confidence: Confidence,
    judged: Sequence[tuple[Group, Verdict]],
) -> Finding:
    """The finding about ``group``; ``judged`` are all groups of the unit, itself included."""
    told = verdict.link if confidence != "low" and cls != "duplicate_read" else None
    child = _child_column(group, verdict.target)
    parent = _parent_column(told)
    cost = loop_cost(group.calls, group.dropped, group.dropped_us)
    calls_per_unit = _calls_per_unit(group)
    times = start_times_ms(unit.steps)
    end = times[group.steps[-1]]
    samples, oids = _samples(unit, group)
    return Finding(
        id=_identity(unit.database, group, child, parent, told, cls),
        cls=cls,
        confidence=confidence,
        title=_title(cls, calls_per_unit, group, child, parent, told),
        database=unit.database,
        query_id=group.statement.query_id,
        fingerprint=group.fingerprint,
        parent_query_id=told.source.statement.query_id if told is not None else None,
        parent_fingerprint=told.source.statement.fingerprint if told is not None else None,
        child=child,
        parent=parent,
        first_seen=unit.started_at,
        last_seen=unit.started_at + end / 1000,
        units=_units(unit, group),
        calls=group.count,
        wasted_ms=round(cost.wasted, 3),
        evidence=_evidence(unit, group, told, cost, calls_per_unit, judged),
        sample_calls=samples,
        sample_oids=oids,
    )


def _identity(
    database: str, group: Group, child: Column, parent: Column, link: Link | None, cls: FindingClass
) -> str:
    source = ""
    if link is not None:
        source = f"{parent.table}.{parent.column}" if parent.table else link.source.statement.fingerprint
    predicates = sorted({predicate.column for predicate in group.shape.conditions()})
    parts = (cls, database, group.fingerprint, child.table, child.column, *predicates, source)
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def _child_column(group: Group, target: Target | None) -> Column:
    relations = group.shape.relations
    table = relations[0] if relations else None
    if target is None or target.predicate is None:
        return Column(schema=table.schema, table=table.name) if table is not None else Column()
    if target.table is not None:
        return Column(schema=target.table.schema, table=target.table.name, column=target.column)
    relation = target.predicate.relation or (table if len(relations) == 1 else None)
    if relation is None:
        return Column(column=target.column)
    return Column(schema=relation.schema, table=relation.name, column=target.column)


def _parent_column(link: Link | None) -> Column:
    """The column that the values come from; its table by the catalog, else by the parent's own FROM."""
    if link is None:
        return Column()
    source = link.source
    if source.table is not None:
        column = source.table.column_at(source.attnum)
        name = column.name if column is not None else source.name
        return Column(schema=source.table.schema, table=source.table.name, column=name)
    relations = shape_of(source.statement.text).relations
    if len(relations) == 1:
        return Column(schema=relations[0].schema, table=relations[0].name, column=source.name)
    return Column(column=source.name)


def _units(unit: Unit, group: Group) -> int:
    """Runs of the loop: transactions where there are several, as on a pooled connection that never rests."""
    counts = group.transactions()
    if len(counts) > 1 and 0 not in counts:
        return len(counts)
    return 1 if unit.part == 0 else 0


def _calls_per_unit(group: Group) -> int:
    """Calls of one run of the loop: where every run has its transaction, the usual number in one."""
    counts = group.transactions()
    if 0 in counts or len(counts) == 1:
        return group.total
    return round(median(counts.values()))


def _distinct(group: Group) -> int:
    """Different keys in one run of the loop."""
    counts = group.transactions()
    runs = 1 if 0 in counts else len(counts)
    return round(group.distinct() / runs)


def _title(
    cls: FindingClass, calls: int, group: Group, child: Column, parent: Column, link: Link | None
) -> str:
    what = child.table or "a query"
    by = f" by {child.column}" if child.column else ""
    each = f", one for each row of {parent.table}" if link is not None and parent.table else ", one at a time"
    if cls == "n_plus_one_read":
        return f"{calls:,} × {what}{by}{each}"
    if cls == "n_plus_one_with_repeats":
        return f"{calls:,} × {what}{by}{each}, only {_distinct(group):,} of them different"
    if cls == "count_or_exists_per_row":
        kind = "an aggregate" if group.shape.aggregate else "an existence check"
        return f"{calls:,} × {kind} of {what}{by}{each}"
    if cls == "top_k_per_row":
        return f"{calls:,} × the first rows of {what}{by}{each}"
    if cls == "n_plus_one_write":
        verb = {"insert": "INSERT into", "delete": "DELETE from"}.get(
            group.shape.kind, group.shape.kind.upper()
        )
        return f"{calls:,} × {verb} {what}, row by row in one transaction"
    if cls == "duplicate_read":
        return f"{calls:,} × the same read of {what}, with the same rows each time"
    return f"{calls:,} × the same query on {what}{by} in quick succession"


def _evidence(
    unit: Unit,
    group: Group,
    link: Link | None,
    cost: LoopCost,
    calls_per_unit: int,
    judged: Sequence[tuple[Group, Verdict]],
) -> dict[str, object]:
    busy_ms = sum(max(0, step.duration_us) for step in unit.steps[unit.carried :]) / 1000
    busy_ms += sum(total_us for _calls, total_us in unit.overflow.values()) / 1000
    share = group.database_ms() / busy_ms if busy_ms else 0.0
    names = [unit.statement_names.get(statement, "") for statement in group.statement_ids]
    critical = calls_per_unit >= CRITICAL_CALLS or cost.wasted >= CRITICAL_MS or share >= CRITICAL_SHARE
    evidence: dict[str, object] = {
        "calls_per_unit": calls_per_unit,
        "round_trips": group.count,
        "distinct": _distinct(group),
        "rows_per_call": group.median_rows(),
        "batched_calls": group.batched,
        "median_gap_ms": round(group.median_gap_ms(), 3),
        "spent_ms": round(cost.spent, 3),
        "batch_estimate_ms": round(cost.batch, 3),
        "share_of_unit": round(share, 3),
        "boundary": "transaction" if group.in_one_transaction() else unit.boundary,
        "severity": "critical" if critical else "warning",
        "orm": next((orm for name in (*names, "") if (orm := orm_of(group.statement.text, name))), ""),
        "application": unit.application_name,
    }
    if link is not None:
        evidence |= {
            "coverage": round(link.coverage, 3),
            "order": round(link.order, 3),
            "provenance": link.provenance or "values",
            "direction": _DIRECTION.get(link.provenance, ""),
            "parent_query": link.source.statement.text[:2000],
        }
    together = in_step_with(group, judged)
    if together:
        evidence["interleaved_with"] = list(together)
    return evidence


def _samples(unit: Unit, group: Group) -> tuple[tuple[tuple[str | None, ...], ...], tuple[int, ...]]:
    """Captured calls of the statement that has the most, with the types of its parameters."""
    statements = [statement for statement in group.statement_ids if unit.calls.get(statement)]
    if not statements:
        return (), ()
    most = max(statements, key=lambda statement: len(unit.calls[statement]))
    return unit.calls[most], unit.call_oids.get(most, ())
