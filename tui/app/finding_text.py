"""A finding in lines of text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tui.app.rows import class_label
from tui.format import age, count, counted, duration, one_line
from workload.detect.orm import orm_name
from workload.model import Column, Finding

LONGEST_VALUE = 200


def finding_lines(finding: Finding, query: str, parent_query: str, now: float) -> list[str]:
    """What was seen, how often, what it cost, and what says so."""
    lines = [
        one_line(finding.title),
        f"{class_label(finding)}, {finding.confidence} confidence, database {one_line(finding.database)}, "
        f"seen {age(now - finding.last_seen)} ago",
        f"{counted(finding.calls, 'call')} in {counted(finding.units, 'unit of work', 'units of work')}, "
        f"{duration(finding.wasted_ms)} wasted",
    ]
    if finding.child.column:
        flow = (
            f"{name(finding.parent)} → {name(finding.child)}"
            if finding.parent.column
            else name(finding.child)
        )
        lines.append(f"values: {flow}")
    if parent_query:
        lines += ["", "after", "  " + one_line(parent_query)]
    if query:
        lines += ["", "runs again and again", "  " + one_line(query)]
    if finding.evidence:
        lines += ["", "evidence", *(f"  {key}: {value}" for key, value in evidence(finding.evidence.items()))]
    return lines


def name(column: Column) -> str:
    """``schema.table.column``, as far as it is known."""
    return one_line(".".join(part for part in (column.schema, column.table, column.column) if part))


def evidence(items: Iterable[tuple[str, object]]) -> list[tuple[str, str]]:
    """The evidence for people: names without underscores, numbers short, structures as JSON."""
    return [
        (key.replace("_", " "), _value(orm_name(value) if key == "orm" and isinstance(value, str) else value))
        for key, value in sorted(items)
    ]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, str):
        return one_line(value)
    text = one_line(json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
