"""``pgcoach findings``: what was seen to be wasteful."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.cli.options import Json, Store, existing_store

if TYPE_CHECKING:
    from workload.model import Column, Finding, Query


def findings(*, store: Store = None, json: Json = False) -> None:
    """What was seen to be wasteful: N+1 and repeated reads, the most wasteful first."""
    from tui.cli.output import write_json
    from workload.store import Store as OpenStore

    with OpenStore.open(existing_store(store), create=False) as opened:
        found = sorted(opened.findings(), key=lambda finding: (-finding.wasted_ms, finding.id))
        queries = {finding.query_id: opened.query(finding.query_id) for finding in found}
    if json:
        write_json([document(finding, queries.get(finding.query_id)) for finding in found])
    else:
        print_table(found)


def document(finding: Finding, query: Query | None) -> dict[str, Any]:
    """One finding as JSON; instants are ISO 8601, durations milliseconds.

    The captured parameters stay in the store: findings are made to be shared.
    """
    import msgspec

    from tui.format import timestamp

    ends = [end for end in (finding.child, finding.parent) if end.column or end.table]
    tables = dict.fromkeys(_table_name(end) for end in ends if end.table)
    if query is not None and not tables:
        tables = dict.fromkeys(query.tables)
    return {
        "id": finding.id,
        "class": finding.cls,
        "confidence": finding.confidence,
        "title": finding.title,
        "database": finding.database,
        "query": query.query if query else None,
        "fingerprint": finding.fingerprint,
        "parent_fingerprint": finding.parent_fingerprint,
        "tables": list(tables),
        "columns": [qualified(end) for end in ends if end.column],
        "child": msgspec.structs.asdict(finding.child),
        "parent": msgspec.structs.asdict(finding.parent),
        "calls": finding.calls,
        "units": finding.units,
        "wasted_ms": round(finding.wasted_ms, 3),
        "first_seen": timestamp(finding.first_seen),
        "last_seen": timestamp(finding.last_seen),
        "evidence": finding.evidence,
    }


def _table_name(column: Column) -> str:
    return f"{column.schema}.{column.table}" if column.schema else column.table


def qualified(column: Column) -> str:
    """``schema.table.column``, as far as it is known."""
    return ".".join(part for part in (column.schema, column.table, column.column) if part)


def print_table(found: list[Finding]) -> None:
    """A line a finding; says so on stderr where there is none."""
    from tui.cli import output
    from tui.cli.errors import notice
    from tui.format import count, duration, one_line

    if not found:
        notice("no findings: nothing in the recorded traffic repeats itself wastefully")
        return
    columns = (
        output.Column("class"),
        output.Column("confidence", goes=2),
        output.Column("wasted", numeric=True),
        output.Column("calls", numeric=True),
        output.Column("units", numeric=True, goes=1),
        output.Column("title"),
    )
    rows = [
        (
            finding.cls,
            finding.confidence,
            duration(finding.wasted_ms),
            count(finding.calls),
            count(finding.units),
            one_line(finding.title),
        )
        for finding in found
    ]
    output.print_table(columns, rows)
