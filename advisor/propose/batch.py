"""From the N calls of an N+1 to the one statement that does their work.

The rows of the catalogue, in the order in which they are tried:

``exists``     ``SELECT 1 … WHERE k = $1 LIMIT 1`` asks whether there is a row: one EXISTS a key.
``aggregate``  ``SELECT count(*) … WHERE k = $1``: the keys left-joined to the rows, grouped by key, so that
               a key without rows keeps its zero.
``any``        independent rows by one key: ``k = ANY($1::type[])``, the key added to the result.
``composite``  independent rows by several keys, or by a key whose equality is not identity of text
               (numeric, citext): joined to ``unnest($1::a[], $2::b[])``, which hands the key back as given.
``lateral``    all else (ORDER BY … LIMIT n a key, DISTINCT, windows, set operations): the statement as it
               is, run for each key inside of one. Always right; saves the round trips only.

Parameters that do not vary stay scalars behind the arrays. The result is a plan: the candidate that people
see, and what the judge needs to compare it with the calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pglast import enums

from advisor.model import BatchCandidate, Rejection
from advisor.propose import sqltree
from advisor.propose.child import (
    Child,
    KeyPredicate,
    ServerFacts,
    SortKey,
    is_star,
    output_name,
    read_calls,
    read_child,
    single_table,
)
from advisor.propose.sqltree import Node, UnsupportedStatementError, ast
from workload.model import Finding

DJANGO_GET_LIMIT = 21
"""Django's ``get()`` asks for 21 rows, to tell how many too many there are (MAX_GET_RESULTS in
django/db/models/query.py)."""

_NULL_SAFE_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max"})
"""On a column these pass over the NULLs that a left join makes; others need a FILTER."""

_READS = frozenset(
    {
        "n_plus_one_read",
        "n_plus_one_with_repeats",
        "count_or_exists_per_row",
        "top_k_per_row",
        "repeated_query",
    }
)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """A candidate and how to run and read it."""

    candidate: BatchCandidate
    call_sql: str
    """The repeated statement as it is replayed: its parameters are ``call_order``, renumbered from 1."""
    call_order: tuple[int, ...]
    arrays: tuple[int, ...]
    """Original numbers of the parameters that the batched statement takes as arrays, from its $1 on."""
    scalars: tuple[int, ...]
    """Original numbers of the parameters that follow them."""
    leading_keys: int
    """Result columns in front that are the keys and not part of the child's row."""
    key_result: str
    """Where ``leading_keys`` is 0: the result column of the child that is the key."""
    drop_null_keys: bool
    presence: bool
    """The batched statement tells true or false for each key, the child a row or none."""
    sort: tuple[SortKey, ...]
    limit: int | None
    """Rows a key at most, where the batched statement keeps that limit."""


@dataclass(frozen=True, slots=True)
class _Built:
    select: Node
    shape: str
    notes: tuple[str, ...] = ()
    leading_keys: int = 1
    key_result: str = ""
    presence: bool = False
    keeps_limit: bool = False
    null_keys: bool = False
    """The form must be given NULL keys too."""


def propose_batch(
    finding: Finding, query: str, facts: ServerFacts, *, orm: str = "", orm_fix: str = ""
) -> BatchPlan | Rejection:
    """The batched statement for a finding, or why there is none.

    ``query`` is the finding's normalised statement; its captured calls tell which parameters vary.
    """
    what = f"one statement for: {finding.title}"
    if finding.cls not in _READS:
        reason = {
            "n_plus_one_write": "it writes; only reads are batched and proved so far",
            "duplicate_read": "the same row is read again and again: keep the first result, or cache it",
        }.get(finding.cls, f"nothing is known about batching a {finding.cls}")
        return Rejection(what=what, reason=reason, database=finding.database)
    if not finding.sample_calls:
        return Rejection(what=what, reason=NO_SAMPLES, database=finding.database)
    try:
        return _plan(finding, query, facts, orm, orm_fix)
    except UnsupportedStatementError as error:
        return Rejection(what=what, reason=str(error), database=finding.database)


NO_SAMPLES = (
    "no parameters of the repeated calls were kept, so nothing can be compared: "
    "run `pgcoach up` with --samples full and let the application repeat them"
)


def _plan(finding: Finding, query: str, facts: ServerFacts, orm: str, orm_fix: str) -> BatchPlan:
    child = read_child(query, finding.sample_calls, facts)
    replayed, _, _ = read_calls(query, finding.sample_calls)
    call_order = tuple(sorted(set(sqltree.parameters(replayed))))
    sqltree.renumber(replayed, call_order)
    call_sql = sqltree.deparse(replayed)

    built = _build(child, facts)
    used = set(sqltree.parameters(built.select))
    scalars = tuple(number for number in call_order if number not in child.varying and number in used)
    sqltree.renumber(built.select, (*child.varying, *scalars))
    drop_nulls = child.strict and not built.null_keys
    notes = list(built.notes)
    if drop_nulls:
        notes.append("Leave NULL keys out: the statement finds nothing for them, as before.")
    if built.shape != "any":
        notes.append("Pass each key once: a key given twice comes back twice.")
    candidate = BatchCandidate(
        finding_id=finding.id,
        original=query,
        batched=sqltree.deparse(built.select, pretty=True),
        shape=built.shape,
        key_column=", ".join(_key_names(child)),
        orm=orm,
        orm_fix=orm_fix,
        notes=tuple(notes),
    )
    return BatchPlan(
        candidate=candidate,
        call_sql=call_sql,
        call_order=call_order,
        arrays=child.varying,
        scalars=scalars,
        leading_keys=built.leading_keys,
        key_result=built.key_result,
        drop_null_keys=drop_nulls,
        presence=built.presence,
        sort=child.sort,
        limit=child.limit if built.keeps_limit else None,
    )


def _build(child: Child, facts: ServerFacts) -> _Built:
    keys = _Keys(child, facts)
    notes: tuple[str, ...] = ()
    if child.plain and child.limit == 1 and _constant_targets(child):
        return _exists(child, keys)
    dropped = _needless_limit(child, facts)
    if dropped:
        notes = (dropped,)
        child = _without_limit(child)
    if child.aggregate and _can_group(child, keys):
        return _aggregate(child, keys, facts)
    if child.plain and child.limit is None and not _below_from(child):
        if _can_use_any(child, keys):
            return _any(child, keys, notes)
        return _join(child, keys, notes)
    return _lateral(child, keys, notes)


def _needless_limit(child: Child, facts: ServerFacts) -> str:
    """Why the child's LIMIT can go; empty when there is none or it means something."""
    if not child.limit or not child.plain:
        return ""
    if len(child.predicates) == 1 and child.predicates[0].name in facts.unique_columns:
        return f"LIMIT {child.limit} is left out: {child.predicates[0].name} is unique."
    if child.limit == DJANGO_GET_LIMIT and not child.sort:
        return (
            f"LIMIT {DJANGO_GET_LIMIT} is left out: Django adds it to get(), which raises when there is more "
            "than one row. If you rely on that, look for keys that have several rows."
        )
    return ""


def _without_limit(child: Child) -> Child:
    child.select.limitCount = None
    child.select.limitOption = enums.LimitOption.LIMIT_OPTION_DEFAULT
    return replace(child, limit=None)


def _key_names(child: Child) -> list[str]:
    if child.predicates:
        return [predicate.name for predicate in child.predicates]
    return ["key"] if len(child.varying) == 1 else [f"key{n}" for n, _ in enumerate(child.varying, 1)]


class _Keys:
    """The keys as a relation: ``unnest($1::a[], …) [WITH ORDINALITY] AS k (key, …)``, names chosen fresh."""

    def __init__(self, child: Child, facts: ServerFacts) -> None:
        taken = sqltree.identifiers(child.select)
        self.types = {number: facts.parameters[number - 1] for number in child.varying}
        self.relation = sqltree.fresh_name("k", taken)
        self.names = {number: sqltree.fresh_name("key", taken) for number in child.varying}
        self.ordinal = sqltree.fresh_name("ord", taken)
        self.rows = sqltree.fresh_name("r", taken)
        self.results = dict(zip(child.varying, _key_names(child), strict=True))

    def reference(self, number: int) -> Node:
        return sqltree.column(self.relation, self.names[number])

    def targets(self) -> tuple[Node, ...]:
        return tuple(ast.ResTarget(name=self.results[n], val=self.reference(n)) for n in self.names)

    def source(self, *, ordinality: bool) -> Node:
        arrays = tuple(sqltree.array_parameter(n, self.types[n].name) for n in self.names)
        columns = [*self.names.values(), *([self.ordinal] if ordinality else [])]
        call = ast.FuncCall(
            funcname=(ast.String("unnest"),),
            args=arrays,
            agg_within_group=False,
            agg_star=False,
            agg_distinct=False,
            func_variadic=False,
            funcformat=enums.CoercionForm.COERCE_EXPLICIT_CALL,
        )
        return ast.RangeFunction(
            lateral=False,
            ordinality=ordinality,
            is_rowsfrom=False,
            functions=((call, None),),
            alias=ast.Alias(aliasname=self.relation, colnames=tuple(ast.String(name) for name in columns)),
        )

    def put_into(self, value: Node) -> Node:
        """``value`` with the varying parameters replaced by the keys' columns."""
        return sqltree.replace(
            value,
            lambda node: (
                self.reference(node.number)
                if isinstance(node, ast.ParamRef) and node.number in self.names
                else None
            ),
        )

    def identity(self) -> bool:
        return all(type_.identity for type_ in self.types.values())


def _select(targets: tuple[Node, ...], sources: tuple[Node, ...]) -> Node:
    return ast.SelectStmt(
        targetList=targets,
        fromClause=sources,
        groupDistinct=False,
        limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
    )


def _join_expr(kind: enums.JoinType, left: Node, right: Node, condition: Node | None) -> Node:
    return ast.JoinExpr(jointype=kind, isNatural=False, larg=left, rarg=right, quals=condition, rtindex=0)


# exists


def _constant_targets(child: Child) -> bool:
    def constant(node: Node) -> bool:
        while isinstance(node, ast.TypeCast):
            node = node.arg
        return isinstance(node, ast.A_Const) or (
            isinstance(node, ast.ParamRef) and node.number in child.constants
        )

    return bool(child.select.fromClause) and all(constant(target.val) for target in child.select.targetList)


def _exists(child: Child, keys: _Keys) -> _Built:
    inner = child.select
    inner.targetList = (ast.ResTarget(val=sqltree.integer(1)),)
    inner.sortClause = None
    inner.limitCount = None
    inner.limitOption = enums.LimitOption.LIMIT_OPTION_DEFAULT
    test = ast.SubLink(
        subLinkType=enums.SubLinkType.EXISTS_SUBLINK, subLinkId=0, subselect=keys.put_into(inner)
    )
    targets = (*keys.targets(), ast.ResTarget(name="found", val=test))
    return _Built(
        select=_select(targets, (keys.source(ordinality=False),)),
        shape="exists",
        notes=("found says whether there is a row; the calls returned a row or none.",),
        leading_keys=len(child.varying),
        presence=True,
    )


# aggregate


def _can_group(child: Child, keys: _Keys) -> bool:
    """The grouped form needs one source, keys that group as they compare, and no subquery in the way."""
    return (
        len(child.select.fromClause or ()) == 1
        and bool(child.predicates)
        and keys.identity()
        and not any(isinstance(node, ast.SubLink) for node in sqltree.walk(child.select.targetList))
    )


def _aggregate(child: Child, keys: _Keys, facts: ServerFacts) -> _Built:
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
    joined = _join_expr(
        enums.JoinType.JOIN_LEFT,
        keys.source(ordinality=False),
        select.fromClause[0],
        sqltree.conjunction([*keyed, *rest]),
    )
    grouped = _select((*keys.targets(), *select.targetList), (joined,))
    grouped.groupClause = tuple(keys.reference(number) for number in child.varying)
    return _Built(select=grouped, shape="aggregate", leading_keys=len(child.varying))


def _other_terms(child: Child) -> list[Node]:
    """The WHERE conjuncts that are not about the keys."""
    own = {id(predicate.conjunct) for predicate in child.predicates}
    return [term for term in sqltree.conjuncts(child.select.whereClause) if id(term) not in own]


def _equalities(predicates: tuple[KeyPredicate, ...], keys: _Keys) -> list[Node]:
    """``column = k.key`` for each predicate, with the cast that stood around the parameter."""
    terms = []
    for predicate in predicates:
        key = keys.reference(predicate.number)
        if predicate.cast is not None:
            same = predicate.cast == sqltree.type_name(keys.types[predicate.number].name)
            key = key if same else ast.TypeCast(arg=key, typeName=predicate.cast)
        terms.append(sqltree.equals(predicate.column, key))
    return terms


# any and join


def _below_from(child: Child) -> bool:
    """A varying parameter inside FROM cannot see a relation that stands beside it."""
    return bool(set(sqltree.parameters(child.select.fromClause)) & set(child.varying))


def _can_use_any(child: Child, keys: _Keys) -> bool:
    if len(child.predicates) != 1 or not keys.identity():
        return False
    predicate = child.predicates[0]
    return predicate.cast is None or predicate.cast == sqltree.type_name(keys.types[predicate.number].name)


def _any(child: Child, keys: _Keys, notes: tuple[str, ...]) -> _Built:
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
        return _Built(select=select, shape="any", notes=notes, leading_keys=0, key_result=present)
    names = {output_name(target) for target in select.targetList}
    alias = None
    if predicate.name in names or any(is_star(target) for target in select.targetList):
        alias = sqltree.fresh_name(f"{predicate.name}_key", names)
    _put_in_front(select, (ast.ResTarget(name=alias, val=predicate.column),))
    return _Built(select=select, shape="any", notes=notes)


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


def _join(child: Child, keys: _Keys, notes: tuple[str, ...]) -> _Built:
    select = child.select
    if not _qualify_stars(select):
        return _lateral(child, keys, notes)
    sources: tuple[Node, ...] = select.fromClause or ()
    if len(sources) == 1 and child.predicates:
        rest = _other_terms(child)
        condition = sqltree.conjunction(_equalities(child.predicates, keys))
        select.fromClause = (
            _join_expr(enums.JoinType.JOIN_INNER, sources[0], keys.source(ordinality=False), condition),
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
    return _Built(
        select=select,
        shape="exists" if exists else "composite",
        notes=notes,
        leading_keys=len(child.varying),
        null_keys=not child.strict,
    )


# lateral


def _lateral(child: Child, keys: _Keys, notes: tuple[str, ...]) -> _Built:
    inner = keys.put_into(child.select)
    rows = ast.RangeSubselect(lateral=True, subquery=inner, alias=ast.Alias(aliasname=keys.rows))
    joined = _join_expr(enums.JoinType.JOIN_INNER, keys.source(ordinality=True), rows, None)
    everything = ast.ResTarget(val=ast.ColumnRef(fields=(ast.String(keys.rows), ast.A_Star())))
    select = _select((*keys.targets(), everything), (joined,))
    order, told = _order_within_key(child, keys)
    select.sortClause = (_sort_by(sqltree.column(keys.relation, keys.ordinal)), *order)
    if told:
        notes = (*notes, told)
    return _Built(
        select=select,
        shape="lateral",
        notes=notes,
        leading_keys=len(child.varying),
        keeps_limit=True,
        null_keys=not child.strict,
    )


def _order_within_key(child: Child, keys: _Keys) -> tuple[tuple[Node, ...], str]:
    """The child's ORDER BY as the outer statement can say it, and a note where it cannot."""
    names = [output_name(target) for target in child.select.targetList or ()]
    if not child.sort or any(not key.name or names.count(key.name) > 1 for key in child.sort):
        missing = "The rows of a key come in the order of the subquery; sort them again if it matters."
        return (), missing if child.sort else ""
    return tuple(
        ast.SortBy(
            node=sqltree.column(keys.rows, key.name),
            sortby_dir=item.sortby_dir,
            sortby_nulls=item.sortby_nulls,
            useOp=item.useOp,
        )
        for key, item in zip(child.sort, child.select.sortClause, strict=True)
    ), ""


def _sort_by(node: Node) -> Node:
    return ast.SortBy(
        node=node,
        sortby_dir=enums.SortByDir.SORTBY_DEFAULT,
        sortby_nulls=enums.SortByNulls.SORTBY_NULLS_DEFAULT,
    )
