"""What one condition says about the tables it names: equality, range, join, order of a row comparison, OR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, BoolTestType, NullTestType

from advisor.model import IndexKey
from advisor.propose.names import (
    ROW_COMPARISON,
    Scopes,
    Source,
    TableRef,
    add_equality,
    bind,
    bindings_in,
    conjuncts,
    join,
    walk,
)

_RANGE_OPERATORS = frozenset({"<", "<=", ">", ">="})
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def read_predicate(node: Any, scopes: Scopes) -> None:
    """Take in one conjunct of WHERE, ON or HAVING. Subqueries inside it are the caller's concern."""
    match node:
        case ast.A_Expr():
            _comparison(node, scopes)
        case ast.NullTest(nulltesttype=NullTestType.IS_NULL):
            add_equality(bind(node.arg, scopes))
        case ast.BooleanTest(booltesttype=BoolTestType.IS_TRUE | BoolTestType.IS_FALSE):
            add_equality(bind(node.arg, scopes))
        case ast.ColumnRef():
            add_equality(bind(node, scopes))
        case ast.BoolExpr(boolop=BoolExprType.NOT_EXPR):
            add_equality(bind((node.args or (None,))[0], scopes))
        case ast.BoolExpr(boolop=BoolExprType.OR_EXPR):
            _or(node, scopes)
        case _:
            pass


def _comparison(node: Any, scopes: Scopes) -> None:
    operator = node.name[-1].sval if node.name else ""
    left, right = node.lexpr, node.rexpr
    match node.kind:
        case A_Expr_Kind.AEXPR_IN if operator == "=":
            for one in (left.args or ()) if isinstance(left, ast.RowExpr) else (left,):
                _compare("=", one, right, scopes)
        case A_Expr_Kind.AEXPR_OP_ANY if operator == "=":
            _compare("=", left, right, scopes)
        case A_Expr_Kind.AEXPR_BETWEEN | A_Expr_Kind.AEXPR_BETWEEN_SYM:
            _compare("<=", left, right, scopes)
        case A_Expr_Kind.AEXPR_OP:
            if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
                _rows(operator, left, right, scopes)
            else:
                _compare(operator, left, right, scopes)
                _compare(_MIRRORED.get(operator, operator), right, left, scopes)
        case _:
            pass


def _compare(operator: str, column: Any, value: Any, scopes: Scopes) -> None:
    """``column operator value`` where the column side is one that an index could serve."""
    binding = bind(column, scopes)
    if not binding:
        return
    others = bindings_in(value, scopes)
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
                join(binding, other, both=False)
        else:
            add_equality(binding)


def _rows(operator: str, left: Any, right: Any, scopes: Scopes) -> None:
    pairs = list(zip(left.args or (), right.args or (), strict=False))
    if operator == "=":
        for one, other in pairs:
            _compare("=", one, other, scopes)
            _compare("=", other, one, scopes)
        return
    if operator not in _RANGE_OPERATORS:
        return
    bindings = [bind(one, scopes) for one, _ in pairs]
    if bindings and all(len(binding) == 1 for binding in bindings):
        refs = {id(binding[0][0]) for binding in bindings}
        if len(refs) == 1 and not bindings[0][0][0].order:
            ref = bindings[0][0][0]
            ref.ranges.add(bindings[0][0][1])
            ref.order = tuple(IndexKey(column=binding[0][1]) for binding in bindings)
            ref.order_from = ROW_COMPARISON


def _or(node: Any, scopes: Scopes) -> None:
    """An OR on one column is a list of values; over several columns, each arm wants its own index.

    What all arms demand holds for the whole: the planner takes it out too (find_duplicate_ors, prepqual.c).
    """
    first, *others = [list(conjuncts(arm)) for arm in node.args or ()]
    for condition in first:
        if others and all(condition in other for other in others):
            read_predicate(condition, scopes)
    arms = [_read_arm(arm, scopes) for arm in node.args or ()]
    found = [arm for arm in arms if arm is not None]
    if len(found) < len(arms) or any(arm.ref is not found[0].ref for arm in found):
        return
    ref = found[0].ref
    columns = {arm.columns for arm in found}
    if len(columns) == 1 and all(arm.equality for arm in found):
        ref.equality.update(next(iter(columns)))
    elif len(columns) > 1 and not ref.arms:
        ref.arms = tuple(sorted(columns))


@dataclass(frozen=True, slots=True)
class _Arm:
    """One arm of an OR that an index on one table could serve."""

    ref: TableRef
    columns: tuple[str, ...]
    """Equalities first, then at most one range."""
    equality: bool
    """All of them are equalities."""


def _read_arm(arm: Any, scopes: Scopes) -> _Arm | None:
    """Read the arm on copies of the table references, so that it leaves no trace on them."""
    if any(isinstance(inner, ast.SubLink) for inner in walk(arm)):
        return None
    copies: dict[int, tuple[TableRef, TableRef]] = {}
    copied = tuple([_copy(source, copies) for source in level] for level in scopes)
    for conjunct in conjuncts(arm):
        read_predicate(conjunct, copied)
    touched = [(original, copy) for original, copy in copies.values() if copy.touched]
    if len(touched) != 1:
        return None
    original, copy = touched[0]
    if copy.joins or not (copy.equality or copy.ranges):
        return None
    ranges = sorted(copy.ranges - copy.equality)[:1]
    return _Arm(original, (*sorted(copy.equality), *ranges), not ranges)


def _copy(source: Source, copies: dict[int, tuple[TableRef, TableRef]]) -> Source:
    def copied(ref: TableRef) -> TableRef:
        return copies.setdefault(id(ref), (ref, TableRef(ref.relation)))[1]

    columns = {
        name: tuple((copied(ref), column) for ref, column in binding)
        for name, binding in source.columns.items()
    }
    return Source(source.name, source.schema, columns, source.opaque)
