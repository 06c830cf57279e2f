"""Plans as a small tree: parsed from EXPLAIN (FORMAT JSON), compared by shape, written out for people.

Only what the planner estimates is read; nothing here needs ANALYZE. Costs are the planner's units. Costs of
nodes add up only approximately: a nested loop runs its inner side many times, LIMIT stops its child early,
an InitPlan is charged to the node that owns it. ``exclusive_cost`` takes those three into account, which is
enough to draw where the cost sits; it is not an accounting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DETAILS = (
    "Index Cond",
    "Recheck Cond",
    "Filter",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Sort Key",
    "Presorted Key",
    "Group Key",
    "TID Cond",
    "One-Time Filter",
)
"""What a reader needs under a node, in the order of EXPLAIN's text format."""


class PlanError(ValueError):
    """The document is not what EXPLAIN (FORMAT JSON) answers."""


@dataclass(frozen=True, slots=True)
class PlanNode:
    type: str
    """As EXPLAIN names it: ``Index Scan``, ``Hash Join`` …"""
    variant: str
    """Strategy, join type, scan direction and partial mode: what distinguishes nodes of one type."""
    schema: str
    relation: str
    alias: str
    index: str
    subplan: str
    """Name of an InitPlan, SubPlan or CTE, as its consumers refer to it; empty for ordinary children."""
    startup_cost: float
    total_cost: float
    rows: float
    """Estimated rows per execution of the node."""
    width: int
    exclusive_cost: float
    """Part of the plan's total cost that this node itself adds: see the module's essay."""
    details: tuple[tuple[str, str], ...]
    children: tuple[PlanNode, ...]

    def walk(self) -> Iterator[PlanNode]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Plan:
    root: PlanNode

    @property
    def total_cost(self) -> float:
        return self.root.total_cost

    @property
    def indexes(self) -> frozenset[str]:
        """Names of the indexes that the plan reads."""
        return frozenset(node.index for node in self.root.walk() if node.index)

    @property
    def hash(self) -> str:
        """16 hex digits over shape, relations, indexes and join order; constants and costs left out.

        Two plans with one hash do the same work in the same order, only with other values. A CTE's or
        SubPlan's name is left out too: it depends on numbering.
        """
        digest = hashlib.blake2b(digest_size=8)
        _hash_node(self.root, digest.update)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One node as it is shown: data for a bar beside the text."""

    depth: int
    label: str
    details: tuple[str, ...]
    total_cost: float
    exclusive_cost: float
    rows: float
    share: float
    """Exclusive cost as a part of the plan's, 0 to 1."""


def parse_plan(document: Any) -> Plan:
    """The plan of an EXPLAIN (FORMAT JSON) answer: its text, the list, or the object inside it.

    Raises PlanError when it is not one.
    """
    if isinstance(document, (str, bytes)):
        try:
            document = json.loads(document)
        except ValueError as error:
            raise PlanError(f"EXPLAIN's answer is not JSON: {error}") from error
    if isinstance(document, list):
        if not document:
            raise PlanError("EXPLAIN answered with an empty list: the statement was rewritten to nothing")
        document = document[0]
    if not isinstance(document, Mapping) or not isinstance(document.get("Plan"), Mapping):
        raise PlanError('no "Plan" object in EXPLAIN\'s answer: was it asked with FORMAT JSON?')
    raw = document["Plan"]
    return Plan(_node(raw, charged=_number(raw, "Total Cost")))


def plan_lines(plan: Plan) -> list[PlanLine]:
    """The plan's nodes in EXPLAIN's order, with what a screen needs to draw bars."""
    whole = sum(node.exclusive_cost for node in plan.root.walk()) or 1.0
    lines: list[PlanLine] = []

    def add(node: PlanNode, depth: int) -> None:
        lines.append(
            PlanLine(
                depth=depth,
                label=_label(node),
                details=tuple(f"{name}: {value}" for name, value in node.details),
                total_cost=node.total_cost,
                exclusive_cost=node.exclusive_cost,
                rows=node.rows,
                share=node.exclusive_cost / whole,
            )
        )
        for child in node.children:
            add(child, depth + 1)

    add(plan.root, 0)
    return lines


def render_plan(plan: Plan) -> list[str]:
    """The plan as text lines, like EXPLAIN's, with the rows expected and each node's own share of cost."""
    lines: list[str] = []
    for line in plan_lines(plan):
        indent = "  " * line.depth + ("-> " if line.depth else "")
        figures = f"cost {line.total_cost:,.2f}, rows {line.rows:,.0f}, own {line.share:.0%}"
        lines.append(f"{indent}{line.label}  ({figures})")
        inner = "  " * line.depth + ("     " if line.depth else "  ")
        lines.extend(inner + detail for detail in line.details)
    return lines


def _label(node: PlanNode) -> str:
    words = [f"{node.subplan}: {node.type}" if node.subplan else node.type]
    if node.variant:
        words.append(f"({node.variant})")
    if node.index:
        words.append(f"using {node.index}")
    if node.relation:
        words.append(f"on {node.relation}")
        if node.alias and node.alias != node.relation:
            words.append(node.alias)
    elif node.alias:
        words.append(f"on {node.alias}")
    return " ".join(words)


def _hash_node(node: PlanNode, update: Any) -> None:
    for part in (node.type, node.variant, node.schema, node.relation, node.index):
        update(part.encode() + b"\0")
    update(b"(")
    for child in node.children:
        _hash_node(child, update)
    update(b")")


def _number(raw: Mapping[str, Any], key: str) -> float:
    value = raw.get(key, 0.0)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _variant(raw: Mapping[str, Any]) -> str:
    parts = [str(raw[key]) for key in ("Strategy", "Partial Mode", "Command", "Operation") if raw.get(key)]
    if raw.get("Join Type", "Inner") != "Inner":
        parts.append(str(raw["Join Type"]))
    if raw.get("Scan Direction") == "Backward":
        parts.append("Backward")
    if raw.get("Parallel Aware"):
        parts.append("Parallel")
    return ", ".join(part for part in parts if part not in {"Simple", "Plain"})


def _node(raw: Mapping[str, Any], charged: float) -> PlanNode:
    """``charged`` is the part of the plan's total that this subtree accounts for, all its loops together."""
    total = _number(raw, "Total Cost")
    children = [child for child in raw.get("Plans") or () if isinstance(child, Mapping)]
    shares = _charge_children(raw, children, total, charged)
    return PlanNode(
        type=str(raw.get("Node Type", "?")),
        variant=_variant(raw),
        schema=str(raw.get("Schema", "")),
        relation=str(raw.get("Relation Name", "")),
        alias=str(raw.get("Alias", raw.get("CTE Name", ""))),
        index=str(raw.get("Index Name", "")),
        subplan=str(raw.get("Subplan Name", "")),
        startup_cost=_number(raw, "Startup Cost"),
        total_cost=total,
        rows=_number(raw, "Plan Rows"),
        width=int(_number(raw, "Plan Width")),
        exclusive_cost=max(0.0, charged - sum(shares)),
        details=tuple((key, _detail(raw[key])) for key in _DETAILS if raw.get(key)),
        children=tuple(_node(child, share) for child, share in zip(children, shares, strict=True)),
    )


def _detail(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _charge_children(
    raw: Mapping[str, Any], children: list[Mapping[str, Any]], total: float, charged: float
) -> list[float]:
    """How much of ``charged`` each child's subtree accounts for; never more than it in sum."""
    shares = [_number(child, "Total Cost") for child in children]
    if raw.get("Node Type") == "Nested Loop":
        outer = next((c for c in children if c.get("Parent Relationship") == "Outer"), None)
        loops = max(1.0, _number(outer, "Plan Rows")) if outer is not None else 1.0
        for position, child in enumerate(children):
            if child.get("Parent Relationship") == "Inner" and child.get("Node Type") != "Materialize":
                shares[position] *= loops
    scale = charged / total if total > 0 else 0.0
    shares = [share * scale for share in shares]
    over = sum(shares)
    if over > charged:
        # A LIMIT that stops early, or rescans that caching makes cheaper than the first scan.
        shares = [share * charged / over for share in shares] if over else shares
    return shares
