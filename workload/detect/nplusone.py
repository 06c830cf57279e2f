"""N+1 loops and repeated reads in one unit of work. Pure: the same unit gives the same findings.

A *group* is what one fingerprint did in the unit, with single keys and a round trip a call
(``detect.groups``). Its varying parameters are held against the columns of earlier results
(``detect.links``): do the values come from there, in the order of the rows, by a foreign key? That decides
how sure it is (``detect.confidence``); the statement's shape decides what kind of loop it is, and some
repetition is nobody's fault (``detect.benign``).

Only high and medium confidence are worded as a loop over rows: a tool that is wrong once teaches people to
ignore all that follows. Low is called a repeated query and nothing else.

Thresholds: five calls for a read, ten for a write in one transaction, three for an identical read; half of
the calls must ask for something new or it is a loop with repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workload.capture.messages import Unit
from workload.catalog import Catalog
from workload.detect.benign import benign_reason
from workload.detect.confidence import Verdict, judge
from workload.detect.groups import Group, groups_of
from workload.detect.interleaved import companions
from workload.detect.links import links_of, sources_of, targets_of
from workload.detect.report import finding_of
from workload.detect.statement import Statement
from workload.model import Confidence, Finding, FindingClass

__all__ = ["Statement", "detect"]

READ_CALLS: Final = 5
WRITE_CALLS: Final = 10
DUPLICATE_READS: Final = 3
MIN_NEW: Final = 0.5
"""Share of distinct keys among the calls; below it the loop asks for the same keys again."""
MIN_DISTINCT_KEYS: Final = 3
TIGHT_GAP_MS: Final = 20.0
"""Median think time above which repetition alone is not worth a word: people and timers are that slow."""


def detect(unit: Unit, statements: Mapping[int, Statement], catalog: Catalog | None) -> list[Finding]:
    """Findings of one unit, or of one part of it, in order of the repeated statement's first call.

    ``statements`` maps the numbers in ``unit`` to what is known of them; steps of other statements are
    passed over. Without a catalog nothing is tied by foreign keys, and confidence is at most medium.
    """
    sources = sources_of(unit, statements, catalog)
    judged: list[tuple[Group, Verdict]] = []
    for group in groups_of(unit, statements):
        if group.total < DUPLICATE_READS or not group.calls:
            continue
        targets = targets_of(group, catalog)
        links = links_of(group, targets, sources, catalog)
        if benign_reason(group, unit, links, statements):
            continue
        judged.append((group, judge(group, targets, links, catalog)))
    findings = []
    for group, verdict in companions(judged):
        classified = _classify(group, verdict)
        if classified is not None:
            cls, confidence = classified
            findings.append(finding_of(unit, group, verdict, cls, confidence, judged))
    return findings


def _classify(group: Group, verdict: Verdict) -> tuple[FindingClass, Confidence] | None:
    if group.shape.kind != "select":
        return _write(group, verdict)
    keys = group.asked()
    if len(keys) < MIN_DISTINCT_KEYS and all(times > 1 for times in keys.values()):
        return _duplicate(group)
    if group.total < READ_CALLS:
        return None
    if verdict.confidence == "low":
        return _repetition(group)
    if group.shape.aggregate or group.shape.exists:
        return "count_or_exists_per_row", verdict.confidence
    if _top_k(group, verdict):
        return "top_k_per_row", verdict.confidence
    if len(keys) < MIN_NEW * len(group.calls):
        return ("n_plus_one_with_repeats", verdict.confidence) if len(keys) >= MIN_DISTINCT_KEYS else None
    return "n_plus_one_read", verdict.confidence


def _write(group: Group, verdict: Verdict) -> tuple[FindingClass, Confidence] | None:
    """One row at a time within a transaction; outside of one only repetition can be said."""
    counts = group.transactions()
    _ordinal, most = max(counts.items(), key=lambda item: (item[0] != 0, item[1]))
    in_one = group.count if group.in_one_transaction() else most
    if group.distinct() < MIN_NEW * len(group.calls):
        return None
    if in_one >= WRITE_CALLS and set(counts) != {0}:
        return "n_plus_one_write", "high" if verdict.confidence == "high" else "medium"
    return _repetition(group) if group.total >= WRITE_CALLS else None


def _duplicate(group: Group) -> tuple[FindingClass, Confidence] | None:
    """The same read again and again with the same rows coming back, as far as results were hashed."""
    results: dict[tuple[int, ...], set[int]] = {}
    for step in group.calls:
        results.setdefault(step.params, set()).add(step.result_hash)
    known = [found - {0} for found in results.values()]
    if any(len(found) > 1 for found in known):
        return None
    if all(len(found) == 1 for found in known):
        return "duplicate_read", "high" if group.in_one_transaction() else "low"
    return _repetition(group) if group.total >= READ_CALLS else None


def _repetition(group: Group) -> tuple[FindingClass, Confidence] | None:
    """Repetition and nothing more. Said once: later parts of a unit know less of where keys came from."""
    if group.prior or len(group.calls) < READ_CALLS or group.median_gap_ms() >= TIGHT_GAP_MS:
        return None
    return None if group.spread_over_transactions() else ("repeated_query", "low")


def _top_k(group: Group, verdict: Verdict) -> bool:
    """ORDER BY with LIMIT for each key; of a unique key there is only one row to order."""
    if not (group.shape.ordered and group.shape.limited):
        return False
    target = verdict.target
    if target is None or target.table is None:
        return True
    equal = [p.column for p in group.shape.predicates if p.operator in ("=", "in", "any")]
    columns = [target.table.column(name) for name in equal]
    return not target.table.is_unique(column.attnum for column in columns if column is not None)
