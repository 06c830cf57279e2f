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

from pglast import ast
from pglast.enums import (
    A_Expr_Kind,
    BoolExprType,
    BoolTestType,
    NullTestType,
    SortByDir,
    SortByNulls,
    SubLinkType,
)

from advisor.catalog import Catalog, Relation
from advisor.model import IndexKey

_RANGE_OPERATORS = frozenset({"<", "<=", ">", ">="})
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


class MissingRelationError(Exception):
    """The statement names a relation that the target does not have (any more)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no relation {name} in the target (dropped, or not on the search path)")


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


@dataclass(eq=False, slots=True)
class _Ref:
    """A table reference while its statement is read."""

    relation: Relation
    equality: set[str] = field(default_factory=set)
    ranges: set[str] = field(default_factory=set)
    joins: dict[int, set[str]] = field(default_factory=dict)
    order: tuple[IndexKey, ...] = ()
    order_from: str = ""
    arms: tuple[tuple[str, ...], ...] = ()

    def freeze(self) -> Access:
        return Access(
            relation=self.relation,
            equality=tuple(sorted(self.equality)),
            ranges=tuple(sorted(self.ranges - self.equality)),
            joins=tuple(sorted({tuple(sorted(columns)) for columns in self.joins.values()})),
            order=self.order,
            order_from=self.order_from,
            arms=self.arms,
        )


_Binding = tuple[tuple[_Ref, str], ...]
"""What a column name means: columns of table references (several through a UNION), or () for opaque."""


@dataclass(slots=True)
class _Source:
    """One item of FROM: its columns by name."""

    name: str
    schema: str
    columns: dict[str, _Binding]
    opaque: bool = False
    """It may have columns that we do not know of."""


_Scopes = tuple[list[_Source], ...]
"""Query levels, the innermost first."""
_Ctes = dict[str, dict[str, _Binding]]


def read_accesses(statement: Any, catalog: Catalog) -> list[Access]:
    """One Access for each reference to a table in the statement, in the order of the text.

    ``statement`` is a pglast node (SelectStmt, InsertStmt, UpdateStmt, DeleteStmt or MergeStmt). Raises
    MissingRelationError when a table is not in the catalog.
    """
    reader = _Reader(catalog)
    reader.statement(statement, (), {})
    return [ref.freeze() for ref in reader.refs]


class _Reader:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.refs: list[_Ref] = []

    # Query levels -------------------------------------------------------------------------------------

    def statement(self, node: Any, outer: _Scopes, ctes: _Ctes) -> dict[str, _Binding]:
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

    def _with(self, node: Any, outer: _Scopes, ctes: _Ctes) -> _Ctes:
        clause = getattr(node, "withClause", None)
        if clause is None:
            return ctes
        ctes = dict(ctes)
        for cte in clause.ctes or ():
            if clause.recursive:
                ctes[cte.ctename] = {}
            outputs = self.statement(cte.ctequery, outer, ctes)
            ctes[cte.ctename] = _renamed(outputs, cte.aliascolnames)
        return ctes

    def _select(self, node: Any, outer: _Scopes, ctes: _Ctes) -> dict[str, _Binding]:
        if node.larg is not None:
            left = self.statement(node.larg, outer, ctes)
            right = self.statement(node.rarg, outer, ctes)
            return {
                name: binding + other
                for (name, binding), other in zip(
                    left.items(), [*right.values(), *[()] * len(left)], strict=False
                )
            }
        sources: list[_Source] = []
        scopes: _Scopes = (sources, *outer)
        quals = [
            qual for item in node.fromClause or () for qual in self._from(item, sources, scopes, outer, ctes)
        ]
        for qual in [*quals, *_conjuncts(node.whereClause), *_conjuncts(node.havingClause)]:
            self._predicate(qual, scopes, ctes)
        outputs: dict[str, _Binding] = {}
        targets: list[Any] = []
        for target in node.targetList or ():
            targets.append(target.val)
            self._sublinks(target.val, scopes, ctes)
            outputs.update(self._outputs(target, sources, scopes, len(outputs)))
        for clause in (node.sortClause, node.groupClause, node.valuesLists):
            for item in clause or ():
                self._sublinks(item, scopes, ctes)
        self._order(node, targets, outputs, scopes)
        return outputs

    def _change(self, node: Any, outer: _Scopes, ctes: _Ctes) -> dict[str, _Binding]:
        sources: list[_Source] = []
        scopes: _Scopes = (sources, *outer)
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
        for qual in [*quals, *_conjuncts(condition)]:
            self._predicate(qual, scopes, ctes)
        for target in getattr(node, "targetList", None) or ():
            self._sublinks(target, scopes, ctes)
        outputs: dict[str, _Binding] = {}
        returning = node.returningClause
        for target in (returning.exprs if returning is not None else None) or ():
            self._sublinks(target.val, scopes, ctes)
            outputs.update(self._outputs(target, sources, scopes, len(outputs)))
        return outputs

    # FROM ---------------------------------------------------------------------------------------------

    def _from(
        self, item: Any, sources: list[_Source], scopes: _Scopes, outer: _Scopes, ctes: _Ctes
    ) -> Iterator[Any]:
        """Add the item's sources to the scope; yields the join conditions met on the way."""
        match item:
            case ast.RangeVar():
                sources.append(self._range_var(item, ctes))
            case ast.RangeSubselect():
                outputs = self.statement(item.subquery, scopes if item.lateral else outer, ctes)
                columns = _renamed(outputs, item.alias.colnames if item.alias else None)
                sources.append(_Source((item.alias and item.alias.aliasname) or "", "", columns))
            case ast.JoinExpr():
                before = len(sources)
                yield from self._from(item.larg, sources, scopes, outer, ctes)
                middle = len(sources)
                yield from self._from(item.rarg, sources, scopes, outer, ctes)
                self._using(item, sources[before:middle], sources[middle:])
                yield from _conjuncts(item.quals)
            case ast.RangeTableSample():
                yield from self._from(item.relation, sources, scopes, outer, ctes)
            case _:
                alias = getattr(item, "alias", None)
                sources.append(_Source(alias.aliasname if alias else "", "", {}, opaque=True))

    def _range_var(self, item: Any, ctes: _Ctes) -> _Source:
        alias: str = item.alias.aliasname if item.alias else item.relname
        renames = item.alias.colnames if item.alias else None
        schema = item.schemaname or ""
        if not schema and item.relname in ctes:
            return _Source(alias, "", _renamed(ctes[item.relname], renames), opaque=not ctes[item.relname])
        relation = self.catalog.resolve(schema, item.relname)
        if relation is None:
            if schema in _SYSTEM_SCHEMAS or (not schema and item.relname.startswith("pg_")):
                return _Source(alias, schema, {}, opaque=True)
            raise MissingRelationError(f"{schema}.{item.relname}" if schema else item.relname)
        ref = _Ref(relation)
        self.refs.append(ref)
        columns: dict[str, _Binding] = {name: ((ref, name),) for name in relation.columns}
        return _Source(alias, relation.schema, _renamed(columns, renames))

    def _using(self, join: Any, left: Sequence[_Source], right: Sequence[_Source]) -> None:
        if join.isNatural:
            names = [name for source in left for name in source.columns]
            names = [name for name in names if any(name in source.columns for source in right)]
        else:
            names = [column.sval for column in join.usingClause or ()]
        for name in names:
            one = next((source.columns[name] for source in left if name in source.columns), ())
            other = next((source.columns[name] for source in right if name in source.columns), ())
            _join(one, other)

    # Names --------------------------------------------------------------------------------------------

    def _bind(self, node: Any, scopes: _Scopes) -> _Binding:
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

    def _bindings_in(self, node: Any, scopes: _Scopes) -> list[_Binding]:
        return [self._bind(inner, scopes) for inner in _walk(node) if isinstance(inner, ast.ColumnRef)]

    def _outputs(
        self, target: Any, sources: list[_Source], scopes: _Scopes, position: int
    ) -> dict[str, _Binding]:
        value = target.val
        if isinstance(value, ast.ColumnRef) and isinstance((value.fields or (None,))[-1], ast.A_Star):
            of = [part.sval for part in value.fields or () if isinstance(part, ast.String)]
            chosen = [source for source in sources if not of or source.name == of[-1]]
            return {name: binding for source in chosen for name, binding in source.columns.items()}
        binding = self._bind(value, scopes)
        name = target.name
        if not name and isinstance(value, ast.ColumnRef) and value.fields:
            name = value.fields[-1].sval
        return {name or f"?column?{position}": binding}

    # Predicates ---------------------------------------------------------------------------------------

    def _predicate(self, node: Any, scopes: _Scopes, ctes: _Ctes) -> None:
        """Take in one conjunct of WHERE, ON or HAVING."""
        self._sublinks(node, scopes, ctes)
        match node:
            case ast.A_Expr():
                self._comparison(node, scopes)
            case ast.NullTest(nulltesttype=NullTestType.IS_NULL):
                _add_equality(self._bind(node.arg, scopes))
            case ast.BooleanTest(booltesttype=BoolTestType.IS_TRUE | BoolTestType.IS_FALSE):
                _add_equality(self._bind(node.arg, scopes))
            case ast.ColumnRef():
                _add_equality(self._bind(node, scopes))
            case ast.BoolExpr(boolop=BoolExprType.NOT_EXPR):
                _add_equality(self._bind((node.args or (None,))[0], scopes))
            case ast.BoolExpr(boolop=BoolExprType.OR_EXPR):
                self._or(node, scopes)
            case _:
                pass

    def _comparison(self, node: Any, scopes: _Scopes) -> None:
        operator = node.name[-1].sval if node.name else ""
        left, right = node.lexpr, node.rexpr
        match node.kind:
            case A_Expr_Kind.AEXPR_IN if operator == "=":
                for one in (left.args or ()) if isinstance(left, ast.RowExpr) else (left,):
                    self._compare("=", one, right, scopes)
            case A_Expr_Kind.AEXPR_OP_ANY if operator == "=":
                self._compare("=", left, right, scopes)
            case A_Expr_Kind.AEXPR_BETWEEN | A_Expr_Kind.AEXPR_BETWEEN_SYM:
                self._compare("<=", left, right, scopes)
            case A_Expr_Kind.AEXPR_OP:
                if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
                    self._rows(operator, left, right, scopes)
                else:
                    self._compare(operator, left, right, scopes)
                    self._compare(_MIRRORED.get(operator, operator), right, left, scopes)
            case _:
                pass

    def _compare(self, operator: str, column: Any, value: Any, scopes: _Scopes) -> None:
        """``column operator value`` where the column side is one that an index could serve."""
        binding = self._bind(column, scopes)
        if not binding:
            return
        others = self._bindings_in(value, scopes)
        refs = {id(ref) for ref, _ in binding}
        if any(id(ref) in refs for other in others for ref, _ in other):
            return  # compares columns of one row with each other
        if operator in _RANGE_OPERATORS:
            for ref, name in binding:
                ref.ranges.add(name)
        elif operator == "=":
            partners = [other for other in others if other]
            if partners:
                for other in partners:
                    _join(binding, other, both=False)
            else:
                _add_equality(binding)

    def _rows(self, operator: str, left: Any, right: Any, scopes: _Scopes) -> None:
        pairs = list(zip(left.args or (), right.args or (), strict=False))
        if operator == "=":
            for one, other in pairs:
                self._compare("=", one, other, scopes)
                self._compare("=", other, one, scopes)
            return
        if operator not in _RANGE_OPERATORS:
            return
        bindings = [self._bind(one, scopes) for one, _ in pairs]
        if bindings and all(len(binding) == 1 for binding in bindings):
            refs = {id(binding[0][0]) for binding in bindings}
            if len(refs) == 1 and not bindings[0][0][0].order:
                ref = bindings[0][0][0]
                ref.ranges.add(bindings[0][0][1])
                ref.order = tuple(IndexKey(column=binding[0][1]) for binding in bindings)
                ref.order_from = "the row comparison"

    def _or(self, node: Any, scopes: _Scopes) -> None:
        """An OR on one column is a list of values; over several columns, each arm wants its own index."""
        arms: list[tuple[_Ref, tuple[str, ...], bool]] = []
        for arm in node.args or ():
            arm_reader = _Probe(self, scopes)
            found = arm_reader.read(arm)
            if found is None:
                return
            arms.append(found)
        ref = arms[0][0]
        if any(other is not ref for other, _, _ in arms):
            return
        columns = {names for _, names, _ in arms}
        if len(columns) == 1 and all(equality for _, _, equality in arms):
            ref.equality.update(next(iter(columns)))
        elif len(columns) > 1 and not ref.arms:
            ref.arms = tuple(sorted(columns))

    # Order --------------------------------------------------------------------------------------------

    def _order(self, node: Any, targets: list[Any], outputs: dict[str, _Binding], scopes: _Scopes) -> None:
        sort = [self._sort_key(item, targets, outputs, scopes) for item in node.sortClause or ()]
        if sort:
            self._set_order(sort, "ORDER BY")
        group = [
            (self._expression(item, targets, outputs, scopes), False, None) for item in node.groupClause or ()
        ]
        if group:
            self._set_order(group, "GROUP BY")
        distinct = [item for item in node.distinctClause or () if item is not None]
        if distinct and not sort:
            self._set_order(
                [(self._expression(i, targets, outputs, scopes), False, None) for i in distinct],
                "DISTINCT ON",
            )
        if len(targets) == 1 and not group and isinstance(targets[0], ast.FuncCall):
            call: Any = targets[0]
            if call.funcname[-1].sval in ("min", "max") and len(call.args or ()) == 1:
                name = call.funcname[-1].sval
                self._set_order([(self._bind(call.args[0], scopes), False, None)], f"{name}()")

    def _sort_key(
        self, item: Any, targets: list[Any], outputs: dict[str, _Binding], scopes: _Scopes
    ) -> tuple[_Binding, bool, bool | None]:
        descending = item.sortby_dir == SortByDir.SORTBY_DESC
        nulls = {SortByNulls.SORTBY_NULLS_FIRST: True, SortByNulls.SORTBY_NULLS_LAST: False}
        wanted = nulls.get(item.sortby_nulls)
        return (
            self._expression(item.node, targets, outputs, scopes),
            descending,
            None if wanted is None or wanted == descending else wanted,
        )

    def _expression(
        self, node: Any, targets: list[Any], outputs: dict[str, _Binding], scopes: _Scopes
    ) -> _Binding:
        """What an item of ORDER BY or GROUP BY means: an ordinal, an output name, or a column."""
        if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
            ordinal = node.val.ival or 0
            return self._bind(targets[ordinal - 1], scopes) if 0 < ordinal <= len(targets) else ()
        if isinstance(node, ast.ColumnRef) and len(node.fields or ()) == 1:
            last = node.fields[0] if node.fields else None
            if isinstance(last, ast.String) and last.sval in outputs:
                return outputs[last.sval]
        return self._bind(node, scopes)

    def _set_order(self, keys: Sequence[tuple[_Binding, bool, bool | None]], origin: str) -> None:
        """An order helps one table only when all of it is on that table (leading part otherwise)."""
        ref: _Ref | None = None
        taken: list[IndexKey] = []
        for binding, descending, nulls_first in keys:
            if len(binding) != 1 or (ref is not None and binding[0][0] is not ref):
                break
            ref = binding[0][0]
            if all(key.column != binding[0][1] for key in taken):
                taken.append(IndexKey(column=binding[0][1], descending=descending, nulls_first=nulls_first))
        if ref is not None and (not ref.order or ref.order_from == "the row comparison"):
            ref.order, ref.order_from = tuple(taken), origin

    # Subqueries in expressions ------------------------------------------------------------------------

    def _sublinks(self, node: Any, scopes: _Scopes, ctes: _Ctes) -> None:
        for inner in _walk(node):
            if not isinstance(inner, ast.SubLink):
                continue
            outputs = list(self.statement(inner.subselect, scopes, ctes).values())
            operator = inner.operName[-1].sval if inner.operName else "="
            if inner.subLinkType == SubLinkType.ANY_SUBLINK and operator == "=":
                test = inner.testexpr
                tests = test.args or () if isinstance(test, ast.RowExpr) else (test,)
                for one, output in zip(tests, outputs, strict=False):
                    _join(self._bind(one, scopes), output)


class _Probe:
    """Reads one arm of an OR without recording it: which columns of which one table does it need?"""

    def __init__(self, reader: _Reader, scopes: _Scopes) -> None:
        self._reader = reader
        self._scopes = scopes

    def read(self, arm: Any) -> tuple[_Ref, tuple[str, ...], bool] | None:
        """The table, its columns (equalities first) and whether all are equalities; None if unindexable."""
        recorder = _Reader(self._reader.catalog)
        copies: dict[int, tuple[_Ref, _Ref]] = {}
        scopes = tuple([self._copy(source, copies) for source in level] for level in self._scopes)
        for conjunct in _conjuncts(arm):
            recorder._predicate(conjunct, scopes, {})
        touched = [
            (original, copy)
            for original, copy in copies.values()
            if copy.equality or copy.ranges or copy.joins or copy.arms
        ]
        if len(touched) != 1 or recorder.refs:
            return None
        original, copy = touched[0]
        if copy.joins or not (copy.equality or copy.ranges):
            return None
        ranges = sorted(copy.ranges - copy.equality)[:1]
        return original, (*sorted(copy.equality), *ranges), not ranges

    @staticmethod
    def _copy(source: _Source, copies: dict[int, tuple[_Ref, _Ref]]) -> _Source:
        def copied(ref: _Ref) -> _Ref:
            if id(ref) not in copies:
                copies[id(ref)] = (ref, _Ref(ref.relation))
            return copies[id(ref)][1]

        columns = {
            name: tuple((copied(ref), column) for ref, column in binding)
            for name, binding in source.columns.items()
        }
        return _Source(source.name, source.schema, columns, source.opaque)


def _renamed(columns: dict[str, _Binding], aliases: Any) -> dict[str, _Binding]:
    if not aliases:
        return columns
    names = [alias.sval for alias in aliases]
    old = list(columns)
    return {
        (names[position] if position < len(names) else name): columns[name]
        for position, name in enumerate(old)
    }


def _add_equality(binding: _Binding) -> None:
    for ref, name in binding:
        ref.equality.add(name)


def _join(one: _Binding, other: _Binding, both: bool = True) -> None:
    """Record ``one = other`` for one's tables, and for the other's too unless told not to."""
    for ref, name in one:
        for partner, partner_name in other:
            if ref is partner:
                continue
            ref.joins.setdefault(id(partner), set()).add(name)
            if both:
                partner.joins.setdefault(id(ref), set()).add(partner_name)


def _conjuncts(node: Any) -> Iterator[Any]:
    if node is None:
        return
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for part in node.args or ():
            yield from _conjuncts(part)
    else:
        yield node


def _walk(node: Any) -> Iterator[Any]:
    """All nodes of an expression, without entering the queries of its sub-links."""
    if isinstance(node, (tuple, list)):
        for part in node:
            yield from _walk(part)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            if name == "subselect" and isinstance(node, ast.SubLink):
                continue
            value = getattr(node, name)
            if isinstance(value, (tuple, list, ast.Node)):
                yield from _walk(value)
