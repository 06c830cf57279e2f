"""The keys of a batch as a relation of their own, and the pieces that every form is built from."""

from __future__ import annotations

from dataclasses import dataclass

from pglast import enums

from advisor.propose import sqltree
from advisor.propose.child import Child, ServerFacts
from advisor.propose.sqltree import Node, ast


@dataclass(frozen=True, slots=True)
class Built:
    """A batched statement, and how its result is to be read."""

    select: Node
    shape: str
    notes: tuple[str, ...] = ()
    leading_keys: int = 1
    key_result: str = ""
    presence: bool = False
    keeps_limit: bool = False
    null_keys: bool = False
    """The form must be given NULL keys too."""


def key_names(child: Child) -> list[str]:
    if child.predicates:
        return [predicate.name for predicate in child.predicates]
    return ["key"] if len(child.varying) == 1 else [f"key{n}" for n, _ in enumerate(child.varying, 1)]


class Keys:
    """The keys as a relation: ``unnest($1::a[], …) [WITH ORDINALITY] AS k (key, …)``, names chosen fresh."""

    def __init__(self, child: Child, facts: ServerFacts) -> None:
        taken = sqltree.identifiers(child.select)
        self.types = {number: facts.parameters[number - 1] for number in child.varying}
        self.relation = sqltree.fresh_name("k", taken)
        self.names = {number: sqltree.fresh_name("key", taken) for number in child.varying}
        self.ordinal = sqltree.fresh_name("ord", taken)
        self.rows = sqltree.fresh_name("r", taken)
        self.results = dict(zip(child.varying, key_names(child), strict=True))

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


def new_select(targets: tuple[Node, ...], sources: tuple[Node, ...]) -> Node:
    return ast.SelectStmt(
        targetList=targets,
        fromClause=sources,
        groupDistinct=False,
        limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
        all=False,
    )


def join_expr(kind: enums.JoinType, left: Node, right: Node, condition: Node | None) -> Node:
    return ast.JoinExpr(jointype=kind, isNatural=False, larg=left, rarg=right, quals=condition, rtindex=0)
