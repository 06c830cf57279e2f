"""The call with which an ORM would have asked once instead of once a row.

Class and attribute names are guessed from tables and columns by the ORMs' own conventions, and the text
says so.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal

from workload.model import Column, Finding

Relation = Literal["to_one", "to_many", "same_row", "unknown"]
"""From the parent's row: its foreign key names one child; children name it; the child is the same row."""


def guess_relation(parent: Column, child: Column) -> Relation:
    """From names alone, for databases without foreign keys."""
    if not child.column or not parent.column:
        return "unknown"
    if (parent.schema, parent.table, parent.column) == (child.schema, child.table, child.column):
        return "same_row"
    if parent.column.lower().endswith("id") and child.column.lower() in ("id", "pk", "uuid"):
        return "same_row" if parent.column.lower() == child.column.lower() else "to_one"
    if child.column.lower().endswith("id") and parent.column.lower() in ("id", "pk", "uuid"):
        return "to_many"
    return "unknown"


def orm_fix(orm: str, finding: Finding, relation: Relation) -> str:
    """The call that loads it at once in ``orm``; empty when the ORM is not known."""
    writer = _WRITERS.get(orm)
    if writer is None:
        return ""
    parent, child = finding.parent.table, finding.child.table
    one = _attribute(finding.parent.column) or _singular(child)
    names = _Names(
        parent=_class(parent) or "Parent",
        child=_class(child) or "Child",
        one=one or "child",
        many=_snake(child) or "children",
        back=_attribute(finding.child.column) or _singular(parent) or "parent",
    )
    if finding.cls == "count_or_exists_per_row":
        text = writer["count"]
    elif finding.cls == "top_k_per_row":
        text = writer["top"]
    elif relation == "to_one":
        text = writer["to_one"]
    elif relation == "same_row":
        text = writer["same_row"]
    else:
        text = writer["to_many"]
    guessed = "" if parent and child else " The tables are not known, so the names stand for yours."
    return (
        text.format(**asdict(names)) + "\n(Class and attribute names are guessed from the tables.)" + guessed
    )


@dataclass(frozen=True, slots=True)
class _Names:
    parent: str
    """Class of the rows that were looped over."""
    child: str
    one: str
    """Attribute on the parent that leads to one child."""
    many: str
    back: str
    """Attribute on the child that leads to the parent."""


_WRITERS: dict[str, dict[str, str]] = {
    "django": {
        "to_one": '{parent}.objects.select_related("{one}")',
        "to_many": '{parent}.objects.prefetch_related("{many}") (or "{many}_set" without a related_name)',
        "count": '{parent}.objects.annotate(n=Count("{many}")), or Exists(OuterRef("pk")) for a yes or no',
        "top": (
            "{parent}.objects.prefetch_related("
            'Prefetch("{many}", queryset={child}.objects.order_by(...)[:n]))'
            " (slices in Prefetch need Django 4.2)"
        ),
        "same_row": "take the column out of defer(), or into only(), where {parent} is loaded",
    },
    "sqlalchemy": {
        "to_one": "select({parent}).options(joinedload({parent}.{one}))",
        "to_many": "select({parent}).options(selectinload({parent}.{many}))",
        "count": "select({child}.{back}_id, func.count()).group_by({child}.{back}_id), or a column_property",
        "top": "the batched statement through text(): relationship loaders do not limit rows a parent",
        "same_row": "undefer() the column, or name it in load_only(), where {parent} is loaded",
    },
    "activerecord": {
        "to_one": "{parent}.includes(:{one})",
        "to_many": "{parent}.preload(:{many})",
        "count": "{child}.group(:{back}_id).count, or a counter_cache on {parent}",
        "top": "the batched statement through find_by_sql: preload does not limit rows a parent",
        "same_row": "name the column in select() where {parent} is loaded",
    },
    "sequelize": {
        "to_one": "{parent}.findAll({{ include: {child} }})",
        "to_many": "{parent}.findAll({{ include: {{ model: {child}, separate: true }} }})",
        "count": '{child}.count({{ group: ["{back}_id"] }})',
        "top": (
            "{parent}.findAll({{ include: {{ model: {child}, separate: true, limit: n, order: [...] }} }})"
        ),
        "same_row": "name the column in attributes where {parent} is loaded",
    },
    "typeorm": {
        "to_one": "repository.find({{ relations: {{ {one}: true }} }})",
        "to_many": 'repository.find({{ relations: {{ {many}: true }}, relationLoadStrategy: "query" }})',
        "count": 'queryBuilder.loadRelationCountAndMap("{one}.n", "{one}.{many}")',
        "top": "the batched statement through query(): relations are not limited a parent",
        "same_row": "name the column in select where {parent} is loaded",
    },
    "knex": {
        "to_one": '{parent}.query().withGraphJoined("{one}")',
        "to_many": '{parent}.query().withGraphFetched("{many}")',
        "count": '{parent}.query().select({parent}.relatedQuery("{many}").count().as("n"))',
        "top": "the batched statement through raw(): withGraphFetched does not limit rows a parent",
        "same_row": "name the column in select() where {parent} is loaded",
    },
    "prisma": {
        "to_one": "findMany({{ include: {{ {one}: true }} }})",
        "to_many": "findMany({{ include: {{ {many}: true }} }})",
        "count": "findMany({{ include: {{ _count: {{ select: {{ {many}: true }} }} }} }})",
        "top": "findMany({{ include: {{ {many}: {{ take: n, orderBy: ... }} }} }})",
        "same_row": "name the column in select where {parent} is loaded",
    },
    "hibernate": {
        "to_one": "select p from {parent} p join fetch p.{one}, or an @EntityGraph",
        "to_many": "@BatchSize(size = 100) or @Fetch(FetchMode.SUBSELECT) on {parent}.{many}",
        "count": "a projection: select c.{back}.id, count(c) from {child} c group by c.{back}.id",
        "top": "the batched statement as a native query: collections are not limited a parent",
        "same_row": "load the attribute eagerly where {parent} is loaded",
    },
}


def _snake(name: str) -> str:
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower().strip("_")


def _attribute(column: str) -> str:
    """``customer_id`` is the foreign key of the attribute ``customer``; plain keys name nothing."""
    return re.sub(r"_?(id|pk|uuid)\Z", "", _snake(column))


_NO_PLURAL = ("ss", "us", "is", "news", "series")
_PLURALS = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", ""))


def _singular(table: str) -> str:
    name = _snake(table)
    if name.endswith(_NO_PLURAL):
        return name
    for ending, singular in _PLURALS:
        if name.endswith(ending):
            return name[: -len(ending)] + singular
    return name


def _class(table: str) -> str:
    return "".join(part.capitalize() for part in _singular(table).split("_"))
