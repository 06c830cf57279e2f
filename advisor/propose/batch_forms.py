"""The rows of the catalogue as tree transformations: each takes the child apart and builds one statement.

They change the child's tree; which of them fits is decided in ``advisor.propose.batch``.
"""

from __future__ import annotations

from pglast import enums

from advisor.propose import sqltree
from advisor.propose.batch_keys import Built, Keys, join_expr, new_select
from advisor.propose.child import (
    Child,
    KeyPredicate,
    ServerFacts,
    is_star,
    output_name,
    single_table,
    sort_items,
)
from advisor.propose.sqltree import Node, ast

_NULL_SAFE_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max"})
"""On a column these pass over the NULLs that a left join makes; others need a FILTER."""


# exists


def constant_targets(child: Child) -> bool:
    def constant(node: Node) -> bool:
        while isinstance(node, ast.TypeCast):
            node = node.arg
        return isinstance(node, ast.A_Const) or (
            isinstance(node, ast.ParamRef) and node.number in child.constants
        )

    return bool(child.select.fromClause) and all(constant(target.val) for target in child.select.targetList)


def exists_form(child: Child, keys: Keys) -> Built:
    inner = child.select
    inner.targetList = (ast.ResTarget(val=sqltree.integer(1)),)
    inner.sortClause = None
    inner.limitCount = None
    inner.limitOption = enums.LimitOption.LIMIT_OPTION_DEFAULT
    test = ast.SubLink(
        subLinkType=enums.SubLinkType.EXISTS_SUBLINK, subLinkId=0, subselect=keys.put_into(inner)
    )
    targets = (*keys.targets(), ast.ResTarget(name="found", val=test))
    return Built(
        select=new_select(targets, (keys.source(ordinality=False),)),
        shape="exists",
        notes=("found says whether there is a row; the calls returned a row or none.",),
        leading_keys=len(child.varying),
        presence=True,
    )


# aggregate


def can_group(child: Child, keys: Keys) -> bool:
    """The grouped form needs one source, keys that group as they compare, and no subquery in the way."""
    return (
        len(child.select.fromClause or ()) == 1
        and bool(child.predicates)
        and keys.identity()
        and not any(isinstance(node, ast.SubLink) for node in sqltree.walk(child.select.targetList))
    )


def aggregate_form(child: Child, keys: Keys, facts: ServerFacts) -> Built:
    select = child.select
    found = child.predicates[0].column
    for call in [node for node in sqltree.walk(select.targetList) if isinstance(node, ast.FuncCall)]:
        name = sqltree.function_name(call)
        if call.agg_star:
            call.agg_star = False
            call.args = (found,)
        elif name in facts.aggregates and not (
            name in _NULL_SAFE_AGGREGATES and isinstance(call.args[0], ast.ColumnRef)
        ):
            present = ast.NullTest(arg=found, nulltesttype=enums.NullTestType.IS_NOT_NULL, argisrow=False)
            call.agg_filter = sqltree.conjunction([*sqltree.conjuncts(call.agg_filter), present])
    keyed = _equalities(child.predicates, keys)
    rest = _other_terms(child)
    joined = join_expr(
        enums.JoinType.JOIN_LEFT,
        keys.source(ordinality=False),
        select.fromClause[0],
        sqltree.conjunction([*keyed, *rest]),
    )
    grouped = new_select((*keys.targets(), *select.targetList), (joined,))
    grouped.groupClause = tuple(keys.reference(number) for number in child.varying)
    return Built(select=grouped, shape="aggregate", leading_keys=len(child.varying))


def _other_terms(child: Child) -> list[Node]:
    """The WHERE conjuncts that are not about the keys."""
    own = {id(predicate.conjunct) for predicate in child.predicates}
    return [term for term in sqltree.conjuncts(child.select.whereClause) if id(term) not in own]


def _equalities(predicates: tuple[KeyPredicate, ...], keys: Keys) -> list[Node]:
    """``column = k.key`` for each predicate, with the cast that stood around the parameter."""
    terms = []
    for predicate in predicates:
        key = keys.reference(predicate.number)
        if predicate.cast is not None:
            same = sqltree.same_type(predicate.cast, sqltree.type_name(keys.types[predicate.number].name))
            key = key if same else ast.TypeCast(arg=key, typeName=predicate.cast)
        terms.append(sqltree.equals(predicate.column, key))
    return terms


# any and composite


def below_from(child: Child) -> bool:
    """A varying parameter inside FROM cannot see a relation that stands beside it."""
    return bool(set(sqltree.parameters(child.select.fromClause)) & set(child.varying))


def can_use_any(child: Child, keys: Keys) -> bool:
    if len(child.predicates) != 1 or not keys.identity():
        return False
    predicate = child.predicates[0]
    own = sqltree.type_name(keys.types[predicate.number].name)
    return predicate.cast is None or sqltree.same_type(predicate.cast, own)


def any_form(child: Child, keys: Keys, notes: tuple[str, ...]) -> Built:
    select = child.select
    (predicate,) = child.predicates
    listed = ast.A_Expr(
        kind=enums.A_Expr_Kind.AEXPR_OP_ANY,
        name=(ast.String("="),),
        lexpr=predicate.column,
        rexpr=sqltree.array_parameter(predicate.number, keys.types[predicate.number].name),
        rexpr_list_start=0,
        rexpr_list_end=0,
    )
    terms = [listed if term is predicate.conjunct else term for term in sqltree.conjuncts(select.whereClause)]
    select.whereClause = sqltree.conjunction(terms)
    present = _key_in_result(select, predicate)
    if present:
        return Built(select=select, shape="any", notes=notes, leading_keys=0, key_result=present)
    names = {output_name(target) for target in select.targetList}
    alias = None
    if predicate.name in names or any(is_star(target) for target in select.targetList):
        alias = sqltree.fresh_name(f"{predicate.name}_key", names)
    _put_in_front(select, (ast.ResTarget(name=alias, val=predicate.column),))
    return Built(select=select, shape="any", notes=notes)


def _key_in_result(select: Node, predicate: KeyPredicate) -> str:
    """Name of the child's result column that is the key already; empty when there is none."""
    targets = select.targetList
    stars = [target for target in targets if is_star(target)]
    names = [output_name(target) for target in targets]
    if stars:
        if single_table(select) is not None and len(targets) == 1:
            return predicate.name
        return ""
    for target, name in zip(targets, names, strict=True):
        if target.val == predicate.column and names.count(name) == 1:
            return name
    return ""


def _qualify_stars(select: Node) -> bool:
    """Make ``*`` say ``table.*``, so that it leaves the keys out; False where that cannot be said."""
    table = single_table(select)
    for target in select.targetList:
        if is_star(target) and len(target.val.fields) == 1:
            if table is None:
                return False
            name = table.alias.aliasname if table.alias else table.relname
            target.val = ast.ColumnRef(fields=(ast.String(name), ast.A_Star()))
    return True


def _put_in_front(select: Node, targets: tuple[Node, ...]) -> None:
    """Add result columns in front; ``ORDER BY 1`` then means ``ORDER BY 2``."""
    select.targetList = (*targets, *select.targetList)
    for item in select.sortClause or ():
        if isinstance(item.node, ast.A_Const) and isinstance(item.node.val, ast.Integer):
            item.node = sqltree.integer(item.node.val.ival + len(targets))


def join_form(child: Child, keys: Keys, notes: tuple[str, ...]) -> Built:
    select = child.select
    if not _qualify_stars(select):
        return lateral_form(child, keys, notes)
    sources: tuple[Node, ...] = select.fromClause or ()
    if len(sources) == 1 and child.predicates:
        rest = _other_terms(child)
        condition = sqltree.conjunction(_equalities(child.predicates, keys))
        select.fromClause = (
            join_expr(enums.JoinType.JOIN_INNER, sources[0], keys.source(ordinality=False), condition),
        )
        select.whereClause = sqltree.conjunction(rest)
    else:
        if select.whereClause is not None:
            select.whereClause = keys.put_into(select.whereClause)
        select.targetList = keys.put_into(select.targetList)
        for item in select.sortClause or ():
            item.node = keys.put_into(item.node)
        select.fromClause = (*sources, keys.source(ordinality=False))
    _put_in_front(select, keys.targets())
    exists = not sources and any(
        isinstance(node, ast.SubLink) and node.subLinkType == enums.SubLinkType.EXISTS_SUBLINK
        for node in sqltree.walk(select.targetList)
    )
    return Built(
        select=select,
        shape="exists" if exists else "composite",
        notes=notes,
        leading_keys=len(child.varying),
        null_keys=not child.strict,
    )


# lateral


def lateral_form(child: Child, keys: Keys, notes: tuple[str, ...]) -> Built:
    inner = keys.put_into(child.select)
    rows = ast.RangeSubselect(lateral=True, subquery=inner, alias=ast.Alias(aliasname=keys.rows))
    joined = join_expr(enums.JoinType.JOIN_INNER, keys.source(ordinality=True), rows, None)
    everything = ast.ResTarget(val=ast.ColumnRef(fields=(ast.String(keys.rows), ast.A_Star())))
    select = new_select((*keys.targets(), everything), (joined,))
    order, told = _order_within_key(child, keys)
    select.sortClause = (_sort_by(sqltree.column(keys.relation, keys.ordinal)), *order)
    if told:
        notes = (*notes, told)
    return Built(
        select=select,
        shape="lateral",
        notes=notes,
        leading_keys=len(child.varying),
        keeps_limit=True,
        null_keys=not child.strict,
    )


def _order_within_key(child: Child, keys: Keys) -> tuple[tuple[Node, ...], str]:
    """The child's ORDER BY as the outer statement can say it, and a note where it cannot."""
    targets = child.select.targetList or ()
    names = [output_name(target) for target in targets]
    mixed = len(targets) > 1 and any(is_star(target) for target in targets)
    if not child.sort or mixed or any(not key.name or names.count(key.name) > 1 for key in child.sort):
        missing = "The rows of a key come in the order of the subquery; sort them again if it matters."
        return (), missing if child.sort else ""
    return tuple(
        ast.SortBy(
            node=sqltree.column(keys.rows, key.name),
            sortby_dir=item.sortby_dir,
            sortby_nulls=item.sortby_nulls,
            useOp=item.useOp,
        )
        for key, item in zip(child.sort, sort_items(child.select), strict=True)
    ), ""


def _sort_by(node: Node) -> Node:
    return ast.SortBy(
        node=node,
        sortby_dir=enums.SortByDir.SORTBY_DEFAULT,
        sortby_nulls=enums.SortByNulls.SORTBY_NULLS_DEFAULT,
    )
