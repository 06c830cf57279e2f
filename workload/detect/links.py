"""Does a parameter take its values from a column of an earlier result, and is that more than coincidence?

Three measures of one link, after the design in the module ``nplusone``:

coverage
    the share of the parameter's distinct values that the column holds;
order
    how far the calls follow the column's rows: the longest common subsequence of both, over the calls.
    Loops follow row order, so 1.0 is typical; a loop that skips keys it has seen is measured on the
    first call of each key;
provenance
    the column and the parameter's predicate column are tied by a foreign key, one way or the other,
    or are the same column.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from workload.capture.hashes import NULL_HASH
from workload.capture.messages import Unit
from workload.catalog import Catalog, Table
from workload.detect.groups import Group
from workload.detect.predicates import Predicate, Relation
from workload.detect.statement import Statement

Provenance = Literal["fk_from_parent", "fk_to_parent", "same_column", ""]

MAX_PAIRS: Final = 200_000
"""Bound of the order's computation: a column of few values repeated often would square."""


@dataclass(frozen=True, slots=True)
class Source:
    """A column of an earlier statement's results, all its results in a row."""

    statement: Statement
    name: str
    table: Table | None
    table_oid: int
    attnum: int
    dense: bool
    low_information: bool
    partial: bool
    """Only the heads of its results are known."""
    values: tuple[int, ...]
    first_step: Mapping[int, int]
    """Value to the index of the step that first brought it."""
    last_rows: frozenset[int]
    """The value in the last row of each result."""


@dataclass(frozen=True, slots=True)
class Target:
    """A varying parameter of a group and the column that it is compared with."""

    position: int
    predicate: Predicate | None
    table: Table | None
    column: str
    attnum: int


@dataclass(frozen=True, slots=True)
class Link:
    """One parameter of a group and one source; shares are between 0 and 1."""

    target: Target
    source: Source
    hits: int
    """Distinct values of the parameter that the source brought before they were used."""
    coverage: float
    order: float
    provenance: Provenance


def sources_of(unit: Unit, statements: Mapping[int, Statement], catalog: Catalog | None) -> list[Source]:
    """The unit's flowing columns; results of one fingerprint are taken together."""
    together: dict[tuple[str, int, int, str], list[int]] = defaultdict(list)
    for index, column in enumerate(unit.columns):
        statement = statements.get(unit.steps[column.step].statement)
        if statement is not None:
            name = "" if column.table_oid else column.name
            together[statement.fingerprint, column.table_oid, column.attnum, name].append(index)
    sources = []
    for indices in together.values():
        columns = sorted((unit.columns[index] for index in indices), key=lambda column: column.step)
        first = columns[0]
        values: list[int] = []
        first_step: dict[int, int] = {}
        for column in columns:
            values += column.values
            for value in column.values:
                first_step.setdefault(value, column.step)
        first_step.pop(NULL_HASH, None)
        sources.append(
            Source(
                statement=statements[unit.steps[first.step].statement],
                name=first.name,
                table=catalog.table(first.table_oid) if catalog is not None else None,
                table_oid=first.table_oid,
                attnum=first.attnum,
                dense=any(column.dense for column in columns),
                low_information=all(column.low_information for column in columns),
                partial=any(column.rows > len(column.values) for column in columns),
                values=tuple(values),
                first_step=first_step,
                last_rows=frozenset(column.values[-1] for column in columns if column.values),
            )
        )
    return sources


def targets_of(group: Group, catalog: Catalog | None) -> list[Target]:
    """The group's varying parameters. The catalog says whose column an unqualified name is."""
    targets = []
    for position in group.varying():
        predicate = _predicate(group.shape.predicates, position + 1)
        if predicate is None:
            targets.append(Target(position, None, None, "", 0))
            continue
        table = _table_of(predicate, group.shape.relations, catalog)
        column = table.column(predicate.column) if table is not None else None
        targets.append(
            Target(position, predicate, table, predicate.column, column.attnum if column is not None else 0)
        )
    return targets


def links_of(
    group: Group, targets: Iterable[Target], sources: Iterable[Source], catalog: Catalog | None
) -> list[Link]:
    """Every pair with at least one value in common, measured."""
    links = []
    for target in targets:
        calls = [
            (index, step.params[target.position])
            for index, step in zip(group.steps, group.calls, strict=True)
            if step.params[target.position] != NULL_HASH
        ]
        for source in sources:
            link = _measure(calls, target, source, catalog)
            if link is not None:
                links.append(link)
    return links


def _measure(
    calls: Sequence[tuple[int, int]], target: Target, source: Source, catalog: Catalog | None
) -> Link | None:
    distinct = {value for _index, value in calls}
    known = [(index, value) for index, value in calls if source.first_step.get(value, index) < index]
    hits = {value for _index, value in known}
    if not hits:
        return None
    countable = min(len(distinct), len(source.first_step)) if source.partial else len(distinct)
    return Link(
        target=target,
        source=source,
        hits=len(hits),
        coverage=min(1.0, len(hits) / countable),
        order=_order([value for _index, value in known], source.values),
        provenance=_provenance(target, source, catalog),
    )


def _order(called: Sequence[int], values: Sequence[int]) -> float:
    """Longest common subsequence of calls and rows over the calls; the better of two readings of a loop:
    every row is called for, or every key once."""
    first_calls = list(dict.fromkeys(called))
    every_key_once = _common(first_calls, list(dict.fromkeys(values))) / len(first_calls)
    if len(first_calls) == len(called):
        return every_key_once
    return max(every_key_once, _common(called, values) / len(called))


def _common(called: Sequence[int], values: Sequence[int]) -> int:
    """Length of the longest common subsequence (Hunt and Szymanski, CACM 20, 1977)."""
    positions: dict[int, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        positions[value].append(position)
    if sum(len(positions.get(value, ())) for value in called) > MAX_PAIRS:
        positions = defaultdict(list, {value: found[:1] for value, found in positions.items()})
    tails: list[int] = []
    for value in called:
        for position in reversed(positions.get(value, ())):
            place = bisect_left(tails, position)
            if place == len(tails):
                tails.append(position)
            else:
                tails[place] = position
    return len(tails)


def _provenance(target: Target, source: Source, catalog: Catalog | None) -> Provenance:
    if catalog is None or target.table is None or not target.attnum or not source.table_oid:
        return ""
    child = (target.table.oid, target.attnum)
    parent = (source.table_oid, source.attnum)
    if child in catalog.references(*parent):
        return "fk_from_parent"
    if parent in catalog.references(*child):
        return "fk_to_parent"
    if child == parent and target.table.is_unique([target.attnum]):
        return "same_column"
    return ""


def _predicate(predicates: Iterable[Predicate], number: int) -> Predicate | None:
    """The parameter's predicate; equality tells more than a range, and that more than an assignment."""
    rank = {"=": 0, "in": 0, "any": 0, "range": 1, "value": 2, "set": 3}
    mine = [predicate for predicate in predicates if predicate.param == number]
    return min(mine, key=lambda predicate: rank[predicate.operator], default=None)


def _table_of(predicate: Predicate, relations: Sequence[Relation], catalog: Catalog | None) -> Table | None:
    if catalog is None:
        return None
    if predicate.relation is not None:
        return catalog.resolve(predicate.relation.schema, predicate.relation.name)
    tables = [catalog.resolve(relation.schema, relation.name) for relation in relations]
    owners = [table for table in tables if table is not None and table.column(predicate.column) is not None]
    return owners[0] if len(owners) == 1 else None
