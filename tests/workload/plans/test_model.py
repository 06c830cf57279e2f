"""Plans read from EXPLAIN's JSON: what is kept, what the hash ignores, where the cost sits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workload.plans.model import PlanError, parse_plan, plan_lines, render_plan


def node(kind: str, cost: float, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"Node Type": kind, "Startup Cost": 0.0, "Total Cost": cost, "Plan Rows": 1, "Plan Width": 8}
    made |= {key.replace("_", " "): value for key, value in more.items()}
    if children:
        made["Plans"] = list(children)
    return made


def document(root: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"Plan": root}]


SCAN = node("Index Scan", 8.0, Relation_Name="orders", Alias="o", Index_Name="ix", Index_Cond="(id = 42)")


def test_reads_text_list_and_object_alike() -> None:
    for form in (
        document(SCAN),
        document(SCAN)[0],
        json.dumps(document(SCAN)),
        json.dumps(document(SCAN)).encode(),
    ):
        plan = parse_plan(form)
        assert plan.total_cost == 8.0
        assert plan.indexes == {"ix"}
        assert plan.root.details == (("Index Cond", "(id = 42)"),)


@pytest.mark.parametrize("what", ["not json", "[]", [], {}, [{"Plan": 3}], None, [3]])
def test_anything_else_is_refused(what: Any) -> None:
    with pytest.raises(PlanError):
        parse_plan(what)


def test_hash_ignores_constants_costs_and_aliases() -> None:
    other = node(
        "Index Scan", 999.0, Relation_Name="orders", Alias="x", Index_Name="ix", Index_Cond="(id = 7)"
    )
    assert parse_plan(document(SCAN)).hash == parse_plan(document(other)).hash


@pytest.mark.parametrize(
    "change",
    [
        {"Index Name": "iy"},
        {"Relation Name": "lines"},
        {"Node Type": "Index Only Scan"},
        {"Scan Direction": "Backward"},
    ],
)
def test_hash_tells_other_work_apart(change: dict[str, str]) -> None:
    assert parse_plan(document(SCAN)).hash != parse_plan(document(SCAN | change)).hash


def test_hash_tells_join_orders_apart() -> None:
    a, b = node("Seq Scan", 1.0, Relation_Name="a"), node("Seq Scan", 1.0, Relation_Name="b")
    one = parse_plan(document(node("Hash Join", 5.0, a, b)))
    other = parse_plan(document(node("Hash Join", 5.0, b, a)))
    nested = parse_plan(document(node("Hash Join", 5.0, node("Hash", 2.0, a, b))))
    assert len({one.hash, other.hash, nested.hash}) == 3


def test_exclusive_cost_of_a_nested_loop_counts_the_inner_sides_rescans() -> None:
    outer = node("Seq Scan", 10.0, Relation_Name="a", Parent_Relationship="Outer", Plan_Rows=100)
    inner = node("Index Scan", 2.0, Relation_Name="b", Parent_Relationship="Inner")
    root = parse_plan(document(node("Nested Loop", 215.0, outer, inner))).root
    assert [n.exclusive_cost for n in root.walk()] == pytest.approx([5.0, 10.0, 200.0])


def test_exclusive_cost_under_limit_is_the_part_that_runs() -> None:
    sort = node("Sort", 1000.0, node("Seq Scan", 900.0), Startup_Cost=990.0)
    root = parse_plan(document(node("Limit", 10.0, sort))).root
    costs = [n.exclusive_cost for n in root.walk()]
    assert costs == pytest.approx([0.0, 1.0, 9.0])
    assert sum(costs) == pytest.approx(root.total_cost)


def test_no_cost_at_all_divides_by_nothing() -> None:
    [line] = plan_lines(parse_plan(document(node("Result", 0.0))))
    assert line.share == 0.0


def test_lines_for_people() -> None:
    inner = node(
        "Seq Scan", 90.0, Relation_Name="orders", Alias="o", Filter="(status = 'open')", Plan_Rows=1234
    )
    plan = parse_plan(document(node("Aggregate", 100.0, inner, Strategy="Hashed", Group_Key=["a", "b"])))
    assert render_plan(plan) == [
        "Aggregate (Hashed)  (cost 100.00, rows 1, own 10%)",
        "  Group Key: a, b",
        "  -> Seq Scan on orders o  (cost 90.00, rows 1,234, own 90%)",
        "       Filter: (status = 'open')",
    ]
