"""How a statement reaches its tables: which columns it compares, joins and orders by.

PostgreSQL's parser gives a raw tree in which a column is a bare name. This module walks the query levels
with scopes, as parse analysis does, and binds every name to the table reference that it means: through
aliases, unqualified names (looked up in the catalog), subqueries in FROM, CTEs, the arms of a UNION, and
outward from correlated subqueries. What it finds becomes one ``Access`` for each table reference.

It is a proposer's reading, not the planner's: a predicate on a CTE counts for the table below it even where
the planner will not push it down. The judge decides; here, missing a predicate costs more than an idle one.
Names that cannot be bound (functions in FROM, system views) are opaque and bind to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import SubLinkType

from advisor.catalog import Catalog, Relation
from advisor.model import IndexKey
from advisor.propose.names import (
    Binding,
    Ctes,
    Scopes,
    Source,
    TableRef,
    bind,
    conjuncts,
    join,
    renamed,
    walk,
)
from advisor.propose.ordering import read_order
from advisor.propose.predicates import read_predicate

_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


class MissingRelationError(Exception):
    """The statement names a relation that the target does not have (any more)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no relation {name} in the target (dropped, temporary, or not on the search path)"
        )


@dataclass(frozen=True, slots=True)
class Access:
    """One reference to one table in one statement. Column tuples are sorted, except where order matters."""

    relation: Relation = field(repr=False)
    equality: tuple[str, ...]
    """Compared with constants or parameters: ``=``, IN, = ANY, IS NULL, boolean tests."""
    ranges: tuple[str, ...]
    """Compared by <, <=, >, >=, BETWEEN."""
    joins: tuple[tuple[str, ...], ...]
    """For each other table reference, the columns equated with its columns."""
    order: tuple[IndexKey, ...]
    """ORDER BY, GROUP BY, DISTINCT ON, min/max or a row comparison: an order that would be of use."""
    order_from: str
    """What asks for that order, for people."""
    arms: tuple[tuple[str, ...], ...]
    """The columns of each arm of an OR over several columns; each arm needs an index of its own."""


def read_accesses(statement: Any, catalog: Catalog) -> list[Access]:
    """One Access for each reference to a table in the statement, in the order of the text.

    ``statement`` is a pglast node (SelectStmt, InsertStmt, UpdateStmt, DeleteStmt or MergeStmt). Raises
    MissingRelationError when a table is not in the catalog.
    """
    reader = _Reader(catalog)
    reader.statement(statement, (), {})
    return [_access(ref) for ref in reader.refs]


def _access(ref: TableRef) -> Access:
    return Access(
        relation=ref.relation,
        equality=tuple(sorted(ref.equality)),
        ranges=tuple(sorted(ref.ranges - ref.equality)),
        joins=tuple(sorted({tuple(sorted(columns)) for columns in ref.joins.values()})),
        order=ref.order,
        order_from=ref.order_from,
        arms=ref.arms,
    )


class _Reader:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.refs: list[TableRef] = []

    # Query levels -------------------------------------------------------------------------------------

    def statement(self, node: Any, outer: Scopes, ctes: Ctes) -> dict[str, Binding]:
        """Read one query level and what is below; returns its output columns."""
        ctes = self._with(node, outer, ctes)
        match node:
            case ast.SelectStmt():
                return self._select(node, outer, ctes)
            case ast.InsertStmt():
                if node.selectStmt is not None:
                    self.statement(node.selectStmt, outer, ctes)
                return {}
            case ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
                return self._change(node, outer, ctes)
            case _:
                return {}

    def _with(self, node: Any, outer: Scopes, ctes: Ctes) -> Ctes:
        clause = getattr(node, "withClause", None)
        if clause is None:
            return ctes
        ctes = dict(ctes)
        for cte in clause.ctes or ():
            if clause.recursive:
                ctes[cte.ctename] = {}
            outputs = self.statement(cte.ctequery, outer, ctes)
            ctes[cte.ctename] = renamed(outputs, cte.aliascolnames)
        return ctes

    def _select(self, node: Any, outer: Scopes, ctes: Ctes) -> dict[str, Binding]:
        if node.larg is not None:
            left = self.statement(node.larg, outer, ctes)
            right = self.statement(node.rarg, outer, ctes)
            return {
                name: binding + other
                for (name, binding), other in zip(
                    left.items(), [*right.values(), *[()] * len(left)], strict=False
                )
            }
        sources: list[Source] = []
        scopes: Scopes = (sources, *outer)
        quals = [
            qual for item in node.fromClause or () for qual in self._from(item, sources, scopes, outer, ctes)
        ]
        for qual in [*quals, *conjuncts(node.whereClause), *conjuncts(node.havingClause)]:
            self._sublinks(qual, scopes, ctes)
            read_predicate(qual, scopes)
        outputs: dict[str, Binding] = {}
        targets: list[Any] = []
        for target in node.targetList or ():
            targets.append(target.val)
            self._sublinks(target.val, scopes, ctes)
            outputs.update(self._outputs(target, sources, scopes, len(outputs)))
        for clause in (node.sortClause, node.groupClause, node.valuesLists):
            for item in clause or ():
                self._sublinks(item, scopes, ctes)
        read_order(node, targets, outputs, scopes)
        return outputs

    def _change(self, node: Any, outer: Scopes, ctes: Ctes) -> dict[str, Binding]:
        sources: list[Source] = []
        scopes: Scopes = (sources, *outer)
        quals = list(self._from(node.relation, sources, scopes, outer, {}))
        match node:
            case ast.UpdateStmt():
                more, condition = node.fromClause or (), node.whereClause
            case ast.DeleteStmt():
                more, condition = node.usingClause or (), node.whereClause
            case _:
                more, condition = (node.sourceRelation,), node.joinCondition
        for item in more:
            quals += self._from(item, sources, scopes, outer, ctes)
        for qual in [*quals, *conjuncts(condition)]:
            self._sublinks(qual, scopes, ctes)
            read_predicate(qual, scopes)
        for target in getattr(node, "targetList", None) or ():
            self._sublinks(target, scopes, ctes)
        outputs: dict[str, Binding] = {}
        returning = node.returningClause
        for target in (returning.exprs if returning is not None else None) or ():
            self._sublinks(target.val, scopes, ctes)
            outputs.update(self._outputs(target, sources, scopes, len(outputs)))
        return outputs

    # FROM ---------------------------------------------------------------------------------------------

    def _from(
        self, item: Any, sources: list[Source], scopes: Scopes, outer: Scopes, ctes: Ctes
    ) -> Iterator[Any]:
        """Add the item's sources to the scope; yields the join conditions met on the way."""
        match item:
            case ast.RangeVar():
                sources.append(self._range_var(item, ctes))
            case ast.RangeSubselect():
                outputs = self.statement(item.subquery, scopes if item.lateral else outer, ctes)
                columns = renamed(outputs, item.alias.colnames if item.alias else None)
                sources.append(Source((item.alias and item.alias.aliasname) or "", "", columns))
            case ast.JoinExpr():
                before = len(sources)
                yield from self._from(item.larg, sources, scopes, outer, ctes)
                middle = len(sources)
                yield from self._from(item.rarg, sources, scopes, outer, ctes)
                self._using(item, sources[before:middle], sources[middle:])
                yield from conjuncts(item.quals)
            case ast.RangeTableSample():
                yield from self._from(item.relation, sources, scopes, outer, ctes)
            case _:
                alias = getattr(item, "alias", None)
                sources.append(Source(alias.aliasname if alias else "", "", {}, opaque=True))

    def _range_var(self, item: Any, ctes: Ctes) -> Source:
        alias: str = item.alias.aliasname if item.alias else item.relname
        renames = item.alias.colnames if item.alias else None
        schema = item.schemaname or ""
        if not schema and item.relname in ctes:
            return Source(alias, "", renamed(ctes[item.relname], renames), opaque=not ctes[item.relname])
        relation = self.catalog.resolve(schema, item.relname)
        if relation is None:
            if schema in _SYSTEM_SCHEMAS or (not schema and item.relname.startswith("pg_")):
                return Source(alias, schema, {}, opaque=True)
            raise MissingRelationError(f"{schema}.{item.relname}" if schema else item.relname)
        if relation.kind == "v":
            below = self._view(relation)
            return Source(alias, relation.schema, renamed(below, renames), opaque=not below)
        ref = TableRef(relation)
        self.refs.append(ref)
        columns: dict[str, Binding] = {name: ((ref, name),) for name in relation.columns}
        return Source(alias, relation.schema, renamed(columns, renames))

    def _view(self, view: Relation) -> dict[str, Binding]:
        """The view's columns, bound to the tables below it as the rewriter would put its query in place."""
        if not view.definition:
            return {}
        outputs = self.statement(parse_sql(view.definition)[0].stmt, (), {})
        return dict(zip(view.columns, outputs.values(), strict=False))

    def _using(self, item: Any, left: Sequence[Source], right: Sequence[Source]) -> None:
        if item.isNatural:
            names = [name for source in left for name in source.columns]
            names = [name for name in names if any(name in source.columns for source in right)]
        else:
            names = [column.sval for column in item.usingClause or ()]
        for name in names:
            one = next((source.columns[name] for source in left if name in source.columns), ())
            other = next((source.columns[name] for source in right if name in source.columns), ())
            join(one, other)

    def _outputs(
        self, target: Any, sources: list[Source], scopes: Scopes, position: int
    ) -> dict[str, Binding]:
        value = target.val
        if isinstance(value, ast.ColumnRef) and isinstance((value.fields or (None,))[-1], ast.A_Star):
            of = [part.sval for part in value.fields or () if isinstance(part, ast.String)]
            chosen = [source for source in sources if not of or source.name == of[-1]]
            return {name: binding for source in chosen for name, binding in source.columns.items()}
        binding = bind(value, scopes)
        name = target.name
        if not name and isinstance(value, ast.ColumnRef) and value.fields:
            name = value.fields[-1].sval
        return {name or f"?column?{position}": binding}

    # Subqueries in expressions ------------------------------------------------------------------------

    def _sublinks(self, node: Any, scopes: Scopes, ctes: Ctes) -> None:
        for inner in walk(node):
            if not isinstance(inner, ast.SubLink):
                continue
            outputs = list(self.statement(inner.subselect, scopes, ctes).values())
            operator = inner.operName[-1].sval if inner.operName else "="
            if inner.subLinkType == SubLinkType.ANY_SUBLINK and operator == "=":
                test = inner.testexpr
                tests = test.args or () if isinstance(test, ast.RowExpr) else (test,)
                for one, output in zip(tests, outputs, strict=False):
                    join(bind(one, scopes), output)
