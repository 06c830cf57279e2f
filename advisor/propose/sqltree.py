"""Reading and building statements as PostgreSQL's own syntax trees.

Everything that a proposer generates goes tree to text, never text to text: a value or an identifier
can then not turn into syntax. ``deparse`` proves it each time by parsing what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pglast
import pglast.ast
from pglast import enums
from pglast.stream import IndentedStream, RawStream

Node = Any
"""A pglast node. Its generated classes declare every attribute optional, also those that the grammar always
fills; narrowing each would hide the code, so trees are untyped here and what is built is read back."""

ast: Any = pglast.ast


class UnsupportedStatementError(Exception):
    """The statement is outside of what this room can transform; the text says why, for people."""


def parse_select(sql: str) -> Node:
    """The one SELECT of a text.

    Raises UnsupportedStatementError when the text does not parse, has several statements, or is no SELECT.
    """
    try:
        statements = pglast.parse_sql(sql)
    except pglast.parser.ParseError as error:
        raise UnsupportedStatementError("PostgreSQL's parser rejects the normalised statement") from error
    if len(statements) != 1:
        raise UnsupportedStatementError(f"the text holds {len(statements)} statements, not one")
    statement = statements[0].stmt
    if not isinstance(statement, ast.SelectStmt):
        raise UnsupportedStatementError("only SELECT statements are batched; this one is something else")
    return statement


def walk(value: Any) -> Iterator[Node]:
    """Every node below and including ``value``, parents first."""
    if isinstance(value, tuple):
        for item in value:
            yield from walk(item)
    elif isinstance(value, ast.Node):
        yield value
        for attribute in value:
            yield from walk(getattr(value, attribute))


def replace(value: Any, substitute: Callable[[Node], Node | None]) -> Any:
    """``value`` with every node for which ``substitute`` gives another one exchanged, in place."""
    if isinstance(value, tuple):
        return tuple(replace(item, substitute) for item in value)
    if isinstance(value, ast.Node):
        other = substitute(value)
        if other is not None:
            return other
        for attribute in value:
            old = getattr(value, attribute)
            if isinstance(old, (tuple, ast.Node)):
                new = replace(old, substitute)
                if new is not old:
                    setattr(value, attribute, new)
    return value


def parameters(value: Any) -> list[int]:
    """Numbers of the ``$n`` below ``value``, one entry an occurrence, in the tree's order."""
    return [node.number for node in walk(value) if isinstance(node, ast.ParamRef)]


def renumber(statement: Node, order: tuple[int, ...]) -> None:
    """Give the parameters ``order`` the numbers 1, 2, …"""
    numbers = {old: new for new, old in enumerate(order, 1)}
    for node in walk(statement):
        if isinstance(node, ast.ParamRef):
            node.number = numbers[node.number]


def identifiers(value: Any) -> set[str]:
    """Every name that occurs, so that new ones can be chosen apart from them."""
    names: set[str] = set()
    for node in walk(value):
        if isinstance(node, ast.String):
            names.add(node.sval)
        elif isinstance(node, ast.RangeVar):
            names.add(node.relname)
        elif isinstance(node, ast.Alias):
            names.add(node.aliasname)
        elif isinstance(node, ast.CommonTableExpr):
            names.add(node.ctename)
        elif isinstance(node, ast.ResTarget) and node.name:
            names.add(node.name)
    return names


def fresh_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}{number}"
    taken.add(name)
    return name


def column(*fields: str) -> Node:
    return ast.ColumnRef(fields=tuple(ast.String(field) for field in fields))


def integer(value: int) -> Node:
    return ast.A_Const(isnull=False, val=ast.Integer(value))


def equals(left: Node, right: Node) -> Node:
    return ast.A_Expr(kind=enums.A_Expr_Kind.AEXPR_OP, name=(ast.String("="),), lexpr=left, rexpr=right)


def type_name(text: str) -> Node:
    """The TypeName node of a type as PostgreSQL's ``format_type`` writes it.

    Raises UnsupportedStatementError when the text is no type.
    """
    try:
        return parse_select(f"SELECT NULL::{text}").targetList[0].val.typeName
    except (UnsupportedStatementError, AttributeError) as error:
        raise UnsupportedStatementError(f"{text!r} is not a type that the parser knows") from error


def same_type(one: Node, other: Node) -> bool:
    """Whether two TypeName nodes name one type; ``int4`` and ``integer`` do."""
    return _type_names(one) == _type_names(other) and all(
        getattr(one, part) == getattr(other, part) for part in ("typmods", "typemod", "arrayBounds", "setof")
    )


def _type_names(type_: Node) -> list[str]:
    names = [part.sval for part in type_.names]
    return names[1:] if names[0] == "pg_catalog" else names


def array_parameter(number: int, element_type: str) -> Node:
    """``$number::element_type[]``"""
    return ast.TypeCast(arg=ast.ParamRef(number=number), typeName=type_name(f"{element_type}[]"))


def conjuncts(condition: Node | None) -> list[Node]:
    """The terms of a condition's top-level AND."""
    if condition is None:
        return []
    if isinstance(condition, ast.BoolExpr) and condition.boolop == enums.BoolExprType.AND_EXPR:
        return [term for argument in condition.args for term in conjuncts(argument)]
    return [condition]


def conjunction(terms: list[Node]) -> Node | None:
    if not terms:
        return None
    if len(terms) == 1:
        return terms[0]
    return ast.BoolExpr(boolop=enums.BoolExprType.AND_EXPR, args=tuple(terms))


def function_name(call: Node) -> str:
    """As written: ``count`` or ``schema.name``; pg_catalog is left out."""
    parts = [part.sval for part in call.funcname]
    return ".".join(parts[1:] if parts[0] == "pg_catalog" else parts)


def functions(value: Any) -> set[str]:
    return {function_name(node) for node in walk(value) if isinstance(node, ast.FuncCall)}


def operators(value: Any) -> set[str]:
    """Names of the operators used, without their schema."""
    found: set[str] = set()
    for node in walk(value):
        if isinstance(node, ast.A_Expr) and node.name:
            found.add(node.name[-1].sval)
        elif isinstance(node, ast.SubLink) and node.operName:
            found.add(node.operName[-1].sval)
        elif isinstance(node, ast.SortBy) and node.useOp:
            found.add(node.useOp[-1].sval)
    return found


def deparse(statement: Node, *, pretty: bool = False) -> str:
    """The statement's text.

    Raises UnsupportedStatementError when the text does not parse to the same tree again: what was built
    would then mean something else than what is written.
    """
    text: str = (IndentedStream(comma_at_eoln=True) if pretty else RawStream())(statement)
    try:
        again = pglast.parse_sql(text)
    except pglast.parser.ParseError as error:
        raise UnsupportedStatementError("the statement that was built does not parse") from error
    if len(again) != 1 or again[0].stmt != statement:
        raise UnsupportedStatementError("the statement that was built does not read back as it was meant")
    return text
