"""Names in a statement: what they are bound to, level by level, and small tools for walking trees.

A column name means one or more columns of table references (several through a UNION), or nothing that we
know: then it is opaque and its binding is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pglast import ast
from pglast.enums import BoolExprType

from advisor.catalog import Relation
from advisor.model import IndexKey


@dataclass(eq=False, slots=True)
class TableRef:
    """A table reference while its statement is read."""

    relation: Relation
    equality: set[str] = field(default_factory=set)
    ranges: set[str] = field(default_factory=set)
    joins: dict[int, set[str]] = field(default_factory=dict)
    order: tuple[IndexKey, ...] = ()
    order_from: str = ""
    arms: tuple[tuple[str, ...], ...] = ()

    @property
    def touched(self) -> bool:
        return bool(self.equality or self.ranges or self.joins or self.arms)


ROW_COMPARISON = "the row comparison"
"""Where an order comes from when nothing sorts, but (a, b) > (c, d) compares."""

Binding = tuple[tuple[TableRef, str], ...]
"""What a column name means: columns of table references (several through a UNION), or () for opaque."""


@dataclass(slots=True)
class Source:
    """One item of FROM: its columns by name."""

    name: str
    schema: str
    columns: dict[str, Binding]
    opaque: bool = False
    """It may have columns that we do not know of."""


Scopes = tuple[list[Source], ...]
"""Query levels, the innermost first."""
Ctes = dict[str, dict[str, Binding]]


def bind(node: Any, scopes: Scopes) -> Binding:
    """What a column reference means; () when it is not one, or means nothing we know."""
    if not isinstance(node, ast.ColumnRef):
        return ()
    names = [part.sval for part in node.fields or () if isinstance(part, ast.String)]
    if len(names) != len(node.fields or ()) or not names:
        return ()
    column, table, schema = names[-1], names[-2] if len(names) > 1 else "", names[-3:-2]
    for level in scopes:
        for source in level:
            if table and (source.name != table or (schema and source.schema != schema[0])):
                continue
            if column in source.columns:
                return source.columns[column]
            if table:
                return ()
        if not table and any(source.opaque for source in level):
            return ()
    return ()


def bindings_in(node: Any, scopes: Scopes) -> list[Binding]:
    """What the column references in an expression mean, its subqueries left out."""
    return [bind(inner, scopes) for inner in walk(node) if isinstance(inner, ast.ColumnRef)]


def renamed(columns: dict[str, Binding], aliases: Any) -> dict[str, Binding]:
    """The columns under the names of an alias's column list, as far as it goes."""
    if not aliases:
        return columns
    names = [alias.sval for alias in aliases]
    old = list(columns)
    return {
        (names[position] if position < len(names) else name): columns[name]
        for position, name in enumerate(old)
    }


def add_equality(binding: Binding) -> None:
    """Record a comparison with a constant."""
    for ref, name in binding:
        ref.equality.add(name)


def join(one: Binding, other: Binding, both: bool = True) -> None:
    """Record ``one = other`` for one's tables, and for the other's too unless told not to."""
    for ref, name in one:
        for partner, partner_name in other:
            if ref is partner:
                continue
            ref.joins.setdefault(id(partner), set()).add(name)
            if both:
                partner.joins.setdefault(id(ref), set()).add(partner_name)


def conjuncts(node: Any) -> Iterator[Any]:
    """The conditions that must all hold; none for no condition."""
    if node is None:
        return
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for part in node.args or ():
            yield from conjuncts(part)
    else:
        yield node


def walk(node: Any) -> Iterator[Any]:
    """All nodes of an expression, without entering the queries of its sub-links."""
    if isinstance(node, (tuple, list)):
        for part in node:
            yield from walk(part)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            if name == "subselect" and isinstance(node, ast.SubLink):
                continue
            value = getattr(node, name)
            if isinstance(value, (tuple, list, ast.Node)):
                yield from walk(value)
