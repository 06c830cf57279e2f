"""What a normalised statement asks for, as far as a detector of loops must know it.

Read from PostgreSQL's own parse tree: which column each ``$n`` is compared with, and the shape around it
(scalar aggregate, EXISTS, ORDER BY with LIMIT, locks). Names are resolved inside the statement only
(aliases, sub-selects with their own scope); what an unqualified name belongs to among several relations is
left open, with an empty table, for whoever has a catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import pglast
from pglast import ast
from pglast.enums import A_Expr_Kind, LockWaitPolicy, SubLinkType

Operator = Literal["=", "in", "any", "range", "set", "value"]
Kind = Literal["select", "insert", "update", "delete", "merge", "ddl", "utility", "unknown"]

_AGGREGATES: Final = frozenset(
    {
        "count",
        "sum",
        "min",
        "max",
        "avg",
        "bool_and",
        "bool_or",
        "every",
        "array_agg",
        "string_agg",
        "json_agg",
        "jsonb_agg",
        "stddev",
        "variance",
    }
)
_RANGE_OPERATORS: Final = frozenset({"<", "<=", ">", ">="})
_STATEMENTS: Final[dict[str, Kind]] = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation as the statement names it; ``schema`` empty where it is not qualified."""

    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Predicate:
    """A parameter and the column that it meets."""

    param: int
    """Number of the ``$n``."""
    relation: Relation | None
    """None where several relations could own the column."""
    column: str
    operator: Operator
    """``set`` is assigned by UPDATE, ``value`` by INSERT; the others are conditions."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The facts about one statement."""

    kind: Kind
    relations: tuple[Relation, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    aggregate: bool = False
    """One row of aggregates: no GROUP BY."""
    exists: bool = False
    ordered: bool = False
    limited: bool = False
    offset: bool = False
    grouped: bool = False
    limit_params: frozenset[int] = frozenset()
    """Numbers of the ``$n`` in LIMIT and OFFSET."""
    value_rows: int = 0
    """Rows of an INSERT's VALUES."""
    locks: bool = False
    """FOR UPDATE or FOR SHARE of any strength."""
    skips_locked: bool = False

    @property
    def reads_user_tables(self) -> bool:
        """False for SELECT 1, and for statements about the server's own catalogs only."""
        return any(not _is_system(relation) for relation in self.relations)

    def conditions(self) -> tuple[Predicate, ...]:
        """Predicates that choose rows by equality."""
        return tuple(p for p in self.predicates if p.operator in ("=", "in", "any"))


@lru_cache(maxsize=4096)
def shape_of(text: str) -> Shape:
    """The shape of one normalised statement; kind ``unknown`` for what the parser rejects."""
    try:
        statements = pglast.parse_sql(text)
    except pglast.Error:
        return Shape("unknown")
    if len(statements) != 1:
        return Shape("unknown")
    node = statements[0].stmt
    kind = _STATEMENTS.get(type(node).__name__)
    if kind is None:
        ddl = type(node).__name__.startswith(("Create", "Alter", "Drop", "Index", "Rename"))
        return Shape("ddl" if ddl else "utility")
    return _Reader().read(node, kind)


class _Reader:
    """Walks one statement and gathers what it meets."""

    __slots__ = ("_ctes", "_predicates", "_relations", "_value_rows")

    def __init__(self) -> None:
        self._relations: dict[Relation, None] = {}
        self._predicates: dict[Predicate, None] = {}
        self._ctes: set[str] = set()
        self._value_rows = 0

    def read(self, node: Any, kind: Kind) -> Shape:
        self._walk(node, _Scope(None))
        top = node if isinstance(node, ast.SelectStmt) else None
        locks = (top.lockingClause or ()) if top is not None else ()
        return Shape(
            kind=kind,
            relations=tuple(self._relations),
            predicates=tuple(self._predicates),
            aggregate=top is not None and _is_aggregate(top),
            exists=top is not None and _is_exists(top),
            ordered=top is not None and bool(top.sortClause),
            limited=top is not None and top.limitCount is not None,
            offset=top is not None and top.limitOffset is not None,
            grouped=top is not None and bool(top.groupClause),
            limit_params=_limit_params(top),
            value_rows=self._value_rows,
            locks=bool(locks),
            skips_locked=any(lock.waitPolicy == LockWaitPolicy.LockWaitSkip for lock in locks),
        )

    def _walk(self, node: Any, scope: _Scope) -> None:
        if isinstance(node, tuple):
            for item in node:
                self._walk(item, scope)
            return
        if not isinstance(node, ast.Node):
            return
        if isinstance(node, (ast.SelectStmt, ast.UpdateStmt, ast.DeleteStmt, ast.InsertStmt, ast.MergeStmt)):
            scope = self._enter(node, scope)
        if isinstance(node, ast.A_Expr):
            self._comparison(node, scope)
        for name in node:
            self._walk(getattr(node, name), scope)

    def _enter(self, node: Any, outer: _Scope) -> _Scope:
        scope = _Scope(outer)
        ctes = getattr(node, "withClause", None)
        if ctes is not None:
            self._ctes.update(cte.ctename for cte in ctes.ctes)
        sources = [getattr(node, "fromClause", None), getattr(node, "usingClause", None)]
        sources += [getattr(node, "relation", None), getattr(node, "sourceRelation", None)]
        for source in sources:
            for item in _from_items(source):
                self._add(item, scope)
        if isinstance(node, ast.InsertStmt):
            self._inserted(node)
        elif isinstance(node, ast.UpdateStmt):
            self._assigned(node)
        return scope

    def _assigned(self, node: Any) -> None:
        target = _relation(node.relation)
        for item in node.targetList or ():
            number = _parameter(item.val)
            if number is not None:
                self._note(number, target, item.name, "set")

    def _add(self, item: Any, scope: _Scope) -> None:
        alias: str = item.alias.aliasname if item.alias is not None else ""
        if isinstance(item, ast.RangeVar):
            name = item.relname or ""
            relation = None if not item.schemaname and name in self._ctes else _relation(item)
            if relation is not None:
                self._relations[relation] = None
            scope.names[alias or name] = relation
        else:
            scope.names[alias or f"?{len(scope.names)}"] = None

    def _inserted(self, node: Any) -> None:
        target = _relation(node.relation)
        columns = [item.name for item in node.cols or ()]
        source = node.selectStmt
        rows = (source.valuesLists or ()) if isinstance(source, ast.SelectStmt) else ()
        self._value_rows = len(rows)
        for row in rows:
            for column, value in zip(columns, row, strict=False):
                number = _parameter(value)
                if number is not None:
                    self._note(number, target, column, "value")

    def _comparison(self, node: Any, scope: _Scope) -> None:
        operator = _operator(node)
        if operator is None:
            return
        for column, number in _pairs(node.lexpr, node.rexpr):
            names = [field.sval or "" for field in column.fields if isinstance(field, ast.String)]
            if len(names) != len(column.fields):
                continue
            relation = scope.owner(names[-2] if len(names) > 1 else None)
            self._note(number, relation, names[-1], operator)

    def _note(self, number: int, relation: Relation | None, column: str, operator: Operator) -> None:
        self._predicates[Predicate(number, relation, column, operator)] = None


class _Scope:
    """Names of one query level; None stands for something that is not a relation."""

    __slots__ = ("names", "outer")

    def __init__(self, outer: _Scope | None) -> None:
        self.names: dict[str, Relation | None] = {}
        self.outer = outer

    def owner(self, qualifier: str | None) -> Relation | None:
        """The relation that a column belongs to, as far as the statement alone tells."""
        if qualifier is None:
            if len(self.names) == 1:
                return next(iter(self.names.values()))
            return None
        if qualifier in self.names:
            return self.names[qualifier]
        return self.outer.owner(qualifier) if self.outer is not None else None


def _operator(node: Any) -> Operator | None:
    name = node.name[-1].sval
    if node.kind == A_Expr_Kind.AEXPR_OP:
        if name == "=":
            return "="
        return "range" if name in _RANGE_OPERATORS else None
    if node.kind == A_Expr_Kind.AEXPR_IN and name == "=":
        return "in"
    if node.kind == A_Expr_Kind.AEXPR_OP_ANY and name == "=":
        return "any"
    if node.kind == A_Expr_Kind.AEXPR_NOT_DISTINCT:
        return "="
    return "range" if node.kind == A_Expr_Kind.AEXPR_BETWEEN else None


def _pairs(left: Any, right: Any) -> Iterator[tuple[Any, int]]:
    """Column and parameter on the two sides, whichever side they stand on; rows element by element."""
    left, right = _bare(left), _bare(right)
    if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
        for one, other in zip(left.args or (), right.args or (), strict=False):
            yield from _pairs(one, other)
    elif isinstance(right, ast.ColumnRef):
        if not isinstance(left, ast.ColumnRef):
            yield from _pairs(right, left)
    elif isinstance(left, ast.ColumnRef):
        for value in right if isinstance(right, tuple) else (right,):
            number = _parameter(value)
            if number is not None:
                yield left, number


def _bare(node: Any) -> Any:
    """Without the casts around it."""
    while isinstance(node, (ast.TypeCast, ast.CollateClause)):
        node = node.arg
    return node


def _parameter(node: Any) -> int | None:
    node = _bare(node)
    return node.number if isinstance(node, ast.ParamRef) else None


def _relation(node: Any) -> Relation:
    return Relation(node.schemaname or "", node.relname)


def _from_items(source: Any) -> Iterator[Any]:
    """The items of a FROM clause, joins opened."""
    if isinstance(source, tuple):
        for item in source:
            yield from _from_items(item)
    elif isinstance(source, ast.JoinExpr):
        yield from _from_items(source.larg)
        yield from _from_items(source.rarg)
    elif isinstance(source, (ast.RangeVar, ast.RangeSubselect, ast.RangeFunction)):
        yield source


def _limit_params(node: Any) -> frozenset[int]:
    if node is None:
        return frozenset()
    numbers = (_parameter(node.limitCount), _parameter(node.limitOffset))
    return frozenset(number for number in numbers if number is not None)


def _is_aggregate(node: Any) -> bool:
    targets = node.targetList or ()
    return bool(targets) and not node.groupClause and all(_is_aggregate_call(item.val) for item in targets)


def _is_aggregate_call(node: Any) -> bool:
    node = _bare(node)
    if isinstance(node, ast.CoalesceExpr):
        return any(_is_aggregate_call(argument) for argument in (node.args or ())[:1])
    if not isinstance(node, ast.FuncCall) or node.over is not None or not node.funcname:
        return False
    name: str = node.funcname[-1].sval
    return name.lower() in _AGGREGATES


def _is_exists(node: Any) -> bool:
    """``SELECT EXISTS (…)``, or ``SELECT 1 … LIMIT 1`` as ORMs write it."""
    targets = [_bare(item.val) for item in node.targetList or ()]
    if len(targets) != 1:
        return False
    target = targets[0]
    if isinstance(target, ast.SubLink):
        return bool(target.subLinkType == SubLinkType.EXISTS_SUBLINK)
    constant = isinstance(target, (ast.A_Const, ast.ParamRef))
    return constant and bool(node.fromClause) and node.limitCount is not None


def _is_system(relation: Relation) -> bool:
    if relation.schema in ("pg_catalog", "information_schema"):
        return True
    return relation.schema == "" and relation.name.startswith("pg_")
