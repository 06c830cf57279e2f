"""The repeated statement of an N+1, read: what varies, where it stands, which shape it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pglast import enums

from advisor.propose import sqltree
from advisor.propose.sqltree import Node, UnsupportedStatementError, ast
from workload.tokens import SQUASHED


@dataclass(frozen=True, slots=True)
class ParameterType:
    """The type that PostgreSQL gives a ``$n`` of the statement."""

    oid: int
    name: str
    """As ``format_type(oid, -1)`` writes it: a plain ``character`` would mean character(1) in a cast."""
    identity: bool
    """Equal values have one text (integers, uuid, text, enums); not so for numeric, float, citext, …"""
    array: bool = False


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a proposal needs to know of the target; all of it read from the catalog."""

    parameters: tuple[ParameterType, ...]
    """In the order of the statement's $n."""
    aggregates: frozenset[str] = frozenset()
    """Those functions of the statement that are aggregates, named as written."""
    unique_columns: frozenset[str] = frozenset()
    """Columns of the statement's one table that alone identify a row."""


@dataclass(frozen=True, slots=True)
class KeyPredicate:
    """A top-level conjunct ``column = $n`` (or its equal: ``$n = column``, ``column IN ($n)``)."""

    number: int
    column: Node
    conjunct: Node
    cast: Node | None
    """TypeName of a cast written around the parameter."""

    @property
    def name(self) -> str:
        return str(self.column.fields[-1].sval)


@dataclass(frozen=True, slots=True)
class SortKey:
    """A sort key of the child as it can be found in its result."""

    position: int | None
    """Of the result column, from 0; None where only ``name`` is known."""
    name: str
    """Result column; empty when the sort key is not in the result."""


@dataclass(frozen=True, slots=True)
class Child:
    select: Node
    varying: tuple[int, ...]
    """Parameters that take more than one value in the captured calls, in ascending order."""
    constants: dict[int, str | None]
    """Value of each other parameter."""
    predicates: tuple[KeyPredicate, ...]
    """One per varying parameter, or empty when any of them stands elsewhere too."""
    aggregate: bool
    """One row whatever is found: aggregates without GROUP BY."""
    limit: int | None
    sort: tuple[SortKey, ...]
    plain: bool
    """No DISTINCT, GROUP BY, window, aggregate, set operation, WITH or OFFSET: rows are independent."""

    @property
    def strict(self) -> bool:
        """NULL among the keys matches nothing."""
        return bool(self.predicates)


def read_child(query: str, calls: Sequence[Sequence[str | None]], facts: ServerFacts) -> Child:
    """Read the normalised ``query`` together with the parameters of its captured ``calls``.

    Raises UnsupportedStatementError, with the reason for people, for what must not or cannot be batched.
    """
    select, varying, constants = read_calls(query, calls)
    if not varying:
        raise UnsupportedStatementError(
            "every captured call has the same parameters: one call whose result is kept does it, "
            "there is nothing to batch"
        )
    for place in (select.limitCount, select.limitOffset):
        if set(sqltree.parameters(place)) & set(varying):
            raise UnsupportedStatementError(
                "LIMIT or OFFSET varies between the calls: that is paging through one result"
            )
    for number in varying:
        if number > len(facts.parameters):
            raise UnsupportedStatementError(f"the type of ${number} is not known")
        if facts.parameters[number - 1].array:
            raise UnsupportedStatementError(f"${number} is a list already: the calls are batches themselves")
    aggregate, plain = _kind(select, facts)
    return Child(
        select=select,
        varying=varying,
        constants=constants,
        predicates=_key_predicates(select, varying),
        aggregate=aggregate,
        limit=_limit(select, constants),
        sort=_sort_keys(select),
        plain=plain,
    )


def read_calls(
    query: str, calls: Sequence[Sequence[str | None]]
) -> tuple[Node, tuple[int, ...], dict[int, str | None]]:
    """The statement's tree, the parameters that vary between the calls, and the value of each other one.

    Raises UnsupportedStatementError for what must not be run a second time, or does not fit the calls.
    """
    if SQUASHED in query:
        raise UnsupportedStatementError(
            "a list of the statement is not kept in full, so its calls cannot be repeated as they were"
        )
    select = sqltree.parse_select(query)
    refuse_unsafe_shape(select)
    varying, constants = _split_parameters(select, calls)
    return select, varying, constants


def refuse_unsafe_shape(select: Node) -> None:
    """Raises UnsupportedStatementError for what locks, writes, or gives other rows each time it runs."""
    if select.valuesLists:
        raise UnsupportedStatementError("it is a VALUES list, no query of a table")
    for node in sqltree.walk(select):
        if isinstance(node, (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)):
            raise UnsupportedStatementError("it writes (a data-modifying WITH)")
        if isinstance(node, ast.RangeTableSample):
            raise UnsupportedStatementError("TABLESAMPLE gives other rows each time")
        if isinstance(node, ast.SelectStmt):
            if node.lockingClause:
                raise UnsupportedStatementError(
                    "it locks rows (FOR UPDATE or FOR SHARE): the order of the locks matters"
                )
            if node.intoClause:
                raise UnsupportedStatementError("SELECT INTO creates a table")


def output_name(target: Node) -> str:
    """The result column's name of a select list entry; empty where PostgreSQL makes one up or for ``*``."""
    if target.name:
        return str(target.name)
    value = target.val
    while isinstance(value, ast.TypeCast):
        value = value.arg
    if isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.String):
        return str(value.fields[-1].sval)
    if isinstance(value, ast.FuncCall):
        return str(value.funcname[-1].sval)
    return ""


def is_star(target: Node) -> bool:
    return isinstance(target.val, ast.ColumnRef) and isinstance(target.val.fields[-1], ast.A_Star)


def single_table(select: Node) -> Node | None:
    """The RangeVar when the statement reads exactly one table directly."""
    items: tuple[Node, ...] = select.fromClause or ()
    return items[0] if len(items) == 1 and isinstance(items[0], ast.RangeVar) else None


def _split_parameters(
    select: Node, calls: Sequence[Sequence[str | None]]
) -> tuple[tuple[int, ...], dict[int, str | None]]:
    used = sorted(set(sqltree.parameters(select)))
    if used and any(len(call) < used[-1] for call in calls):
        raise UnsupportedStatementError(
            f"a captured call has fewer parameters than the statement's ${used[-1]}"
        )
    varying: list[int] = []
    constants: dict[int, str | None] = {}
    for number in used:
        values = {call[number - 1] for call in calls}
        if len(values) > 1:
            varying.append(number)
        else:
            constants[number] = next(iter(values))
    return tuple(varying), constants


def _key_predicates(select: Node, varying: tuple[int, ...]) -> tuple[KeyPredicate, ...]:
    found: dict[int, KeyPredicate] = {}
    for conjunct in sqltree.conjuncts(select.whereClause):
        predicate = _key_predicate(conjunct)
        if predicate is not None and predicate.number in varying:
            found.setdefault(predicate.number, predicate)
    occurrences = sqltree.parameters(select)
    if set(found) == set(varying) and all(occurrences.count(number) == 1 for number in varying):
        return tuple(found[number] for number in varying)
    return ()


def _key_predicate(conjunct: Node) -> KeyPredicate | None:
    if not isinstance(conjunct, ast.A_Expr) or [part.sval for part in conjunct.name] != ["="]:
        return None
    left, right = conjunct.lexpr, conjunct.rexpr
    if conjunct.kind == enums.A_Expr_Kind.AEXPR_IN and len(right) == 1:
        (right,) = right
    elif conjunct.kind != enums.A_Expr_Kind.AEXPR_OP:
        return None
    elif not isinstance(left, ast.ColumnRef):
        left, right = right, left
    if not isinstance(left, ast.ColumnRef) or not isinstance(left.fields[-1], ast.String):
        return None
    cast = None
    if isinstance(right, ast.TypeCast):
        cast, right = right.typeName, right.arg
    if not isinstance(right, ast.ParamRef):
        return None
    return KeyPredicate(number=right.number, column=left, conjunct=conjunct, cast=cast)


def _kind(select: Node, facts: ServerFacts) -> tuple[bool, bool]:
    """(aggregates without GROUP BY and nothing after them, independent rows)"""
    set_operation = select.op != enums.SetOperation.SETOP_NONE
    if set_operation or select.withClause or select.distinctClause or select.limitOffset is not None:
        return False, False
    calls = _own_calls((select.targetList, select.sortClause, select.havingClause))
    windows = any(call.over for call in calls)
    aggregates = any(
        call.agg_star or sqltree.function_name(call) in facts.aggregates for call in calls if not call.over
    )
    grouped = bool(select.groupClause or select.havingClause or select.windowClause or windows)
    single_row = aggregates and not grouped and not select.sortClause and select.limitCount is None
    return single_row, not (aggregates or grouped)


def _own_calls(value: object) -> list[Node]:
    """Function calls of this query level: those in subqueries belong to the subquery."""
    if isinstance(value, tuple):
        return [call for item in value for call in _own_calls(item)]
    if not isinstance(value, ast.Node) or isinstance(value, ast.SelectStmt):
        return []
    found = [value] if isinstance(value, ast.FuncCall) else []
    for attribute in value:
        found += _own_calls(getattr(value, attribute))
    return found


def _limit(select: Node, constants: dict[int, str | None]) -> int | None:
    """The number of LIMIT, None when there is none; raises UnsupportedStatementError for an expression."""
    node = select.limitCount
    if node is None:
        return None
    if select.limitOption == enums.LimitOption.LIMIT_OPTION_WITH_TIES:
        raise UnsupportedStatementError("FETCH … WITH TIES is not covered")
    while isinstance(node, ast.TypeCast):
        node = node.arg
    if isinstance(node, ast.A_Const) and node.isnull:
        return None
    value: str | None = None
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
        value = str(node.val.ival)
    elif isinstance(node, ast.ParamRef):
        value = constants.get(node.number)
        if value is None:
            return None
    if value is None or not value.isdecimal():
        raise UnsupportedStatementError("its LIMIT is no plain number")
    return int(value)


def _sort_keys(select: Node) -> tuple[SortKey, ...]:
    return tuple(_sort_key(select, item.node) for item in sort_items(select))


def sort_items(select: Node) -> list[Node]:
    """The ORDER BY items that order: a parameter is a constant, for normalised statements keep ordinals."""
    return [item for item in select.sortClause or () if not isinstance(item.node, ast.ParamRef)]


def _sort_key(select: Node, node: Node) -> SortKey:
    """Where the result shows the key, by the rules of findTargetlistEntrySQL92 (parse_clause.c)."""
    targets = select.targetList or ()
    stars = [index for index, target in enumerate(targets) if is_star(target)]
    first_star = stars[0] if stars else len(targets)
    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer):
        position = node.val.ival - 1
        return SortKey(position, output_name(targets[position]) if position < first_star else "")
    bare = (
        node.fields[0].sval
        if isinstance(node, ast.ColumnRef)
        and len(node.fields) == 1
        and isinstance(node.fields[0], ast.String)
        else None
    )
    for index, target in enumerate(targets):
        if is_star(target):
            continue
        if (bare is not None and output_name(target) == bare) or target.val == node:
            name = output_name(target)
            return SortKey(index if index < first_star else None, name)
    if stars and isinstance(node, ast.ColumnRef) and single_table(select) is not None:
        return SortKey(None, str(node.fields[-1].sval))
    return SortKey(None, "")
