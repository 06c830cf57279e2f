"""The order that a query level asks for: ORDER BY, GROUP BY, DISTINCT ON, min and max."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast
from pglast.enums import SortByDir, SortByNulls

from advisor.model import IndexKey
from advisor.propose.names import ROW_COMPARISON, Binding, Scopes, TableRef, bind


def read_order(node: Any, targets: list[Any], outputs: dict[str, Binding], scopes: Scopes) -> None:
    """Take in what a SelectStmt sorts or groups by; ``targets`` and ``outputs`` are its select list."""
    sort = [_sort_key(item, targets, outputs, scopes) for item in node.sortClause or ()]
    if sort:
        _set_order(sort, "ORDER BY")
    group = [(_grouped(item, targets, outputs, scopes), False, None) for item in node.groupClause or ()]
    if group:
        _set_order(group, "GROUP BY")
    distinct = [item for item in node.distinctClause or () if item is not None]
    if distinct and not sort:
        _set_order(
            [(_expression(i, targets, outputs, scopes), False, None) for i in distinct],
            "DISTINCT ON",
        )
    if len(targets) == 1 and not group and isinstance(targets[0], ast.FuncCall):
        call: Any = targets[0]
        if call.funcname[-1].sval in ("min", "max") and len(call.args or ()) == 1:
            name = call.funcname[-1].sval
            _set_order([(bind(call.args[0], scopes), False, None)], f"{name}()")


def _sort_key(
    item: Any, targets: list[Any], outputs: dict[str, Binding], scopes: Scopes
) -> tuple[Binding, bool, bool | None]:
    descending = item.sortby_dir == SortByDir.SORTBY_DESC
    nulls = {SortByNulls.SORTBY_NULLS_FIRST: True, SortByNulls.SORTBY_NULLS_LAST: False}
    wanted = nulls.get(item.sortby_nulls)
    return (
        _expression(item.node, targets, outputs, scopes),
        descending,
        None if wanted is None or wanted == descending else wanted,
    )


def _grouped(node: Any, targets: list[Any], outputs: dict[str, Binding], scopes: Scopes) -> Binding:
    """What an item of GROUP BY means: unlike in ORDER BY, a column of FROM comes before an output name.

    findTargetlistEntrySQL92 in parse_clause.c.
    """
    return bind(node, scopes[:1]) or _expression(node, targets, outputs, scopes)


def _expression(node: Any, targets: list[Any], outputs: dict[str, Binding], scopes: Scopes) -> Binding:
    """What an item of ORDER BY or DISTINCT ON means: an ordinal, an output name, or a column."""
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
        ordinal = node.val.ival or 0
        return bind(targets[ordinal - 1], scopes) if 0 < ordinal <= len(targets) else ()
    if isinstance(node, ast.ColumnRef) and len(node.fields or ()) == 1:
        last = node.fields[0] if node.fields else None
        if isinstance(last, ast.String) and last.sval in outputs:
            return outputs[last.sval]
    return bind(node, scopes)


def _set_order(keys: Sequence[tuple[Binding, bool, bool | None]], origin: str) -> None:
    """An order helps one table only when all of it is on that table (leading part otherwise)."""
    ref: TableRef | None = None
    taken: list[IndexKey] = []
    for binding, descending, nulls_first in keys:
        if len(binding) != 1 or (ref is not None and binding[0][0] is not ref):
            break
        ref = binding[0][0]
        if all(key.column != binding[0][1] for key in taken):
            taken.append(IndexKey(column=binding[0][1], descending=descending, nulls_first=nulls_first))
    if ref is not None and (not ref.order or ref.order_from == ROW_COMPARISON):
        ref.order, ref.order_from = tuple(taken), origin
