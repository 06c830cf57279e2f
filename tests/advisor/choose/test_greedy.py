"""The choice among candidates, with a planner that is a table of costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from advisor.choose.greedy import Choice, WeightedQuery, choose
from advisor.model import IndexCandidate, IndexKey, ProofMethod
from advisor.propose.indexes import ProposedIndex
from advisor.prove.explain import Explained, ExplainError
from advisor.prove.statements import Explainable
from advisor.prove.whatif import Progress
from workload.plans.model import parse_plan

Costs = Callable[[int, frozenset[str]], tuple[float, str]]
"""Query and visible indexes to the plan's cost and the index it uses (or "")."""


class FakePlanner:
    def __init__(self, costs: Costs, sizes: Mapping[str, int] | None = None) -> None:
        self.visible: set[str] = set()
        self._costs = costs
        self._sizes = sizes or {}

    @property
    def method(self) -> ProofMethod:
        return "hypopg"

    async def prepare(
        self, candidates: Sequence[IndexCandidate], progress: Progress | None = None
    ) -> dict[IndexCandidate, str]:
        return {}

    async def create(self, candidate: IndexCandidate) -> None:
        self.visible.add(candidate.name)

    async def drop(self, candidate: IndexCandidate) -> None:
        self.visible.discard(candidate.name)

    async def size(self, candidate: IndexCandidate) -> int | None:
        return self._sizes.get(candidate.name)

    async def costs(self, queries: Iterable[Explainable]) -> dict[int, Explained | ExplainError]:
        answers: dict[int, Explained | ExplainError] = {}
        for query in queries:
            cost, *used = self._costs(query.query_id, frozenset(self.visible))
            scans = [
                {"Node Type": "Index Scan", "Index Name": name, "Total Cost": 0.0}
                for name in used[0].split("+")
                if name
            ]
            document = {"Plan": {"Node Type": "Scan", "Total Cost": cost, "Plans": scans}}
            answers[query.query_id] = Explained((document,), (parse_plan(document),), False)
        return answers


def proposal(name: str, *columns: str, table: str = "t", bundle: str = "") -> ProposedIndex:
    keys = tuple(IndexKey(column=column) for column in columns or (name,))
    candidate = IndexCandidate(schema="public", table=table, keys=keys, name=name)
    return ProposedIndex(candidate, len(keys), (1,), 0.0, bundle)


async def run(
    costs: Costs,
    proposals: Sequence[ProposedIndex],
    weights: Mapping[int, float],
    tables: Mapping[int, str] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Choice:
    planner = FakePlanner(costs, sizes)
    queries = [
        WeightedQuery(Explainable(id, "", 0, ()), ms, frozenset({("public", (tables or {}).get(id, "t"))}))
        for id, ms in weights.items()
    ]
    baseline = {
        id: answer
        for id, answer in (await planner.costs(query.query for query in queries)).items()
        if isinstance(answer, Explained)
    }
    choice = await choose(planner, proposals, queries, baseline)
    assert planner.visible == {chosen.proposal.candidate.name for chosen in choice.chosen}
    return choice


def names(choice: Choice) -> list[str]:
    return [chosen.proposal.candidate.name for chosen in choice.chosen]


async def test_benefit_is_observed_time_in_proportion_to_cost() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (25.0, "a") if "a" in visible else (100.0, "")

    choice = await run(costs, [proposal("a")], {1: 400.0})
    [chosen] = choice.chosen
    assert chosen.benefit_ms == pytest.approx(300.0)
    assert [(g.query_id, g.before.cost, g.after.cost) for g in chosen.gains] == [(1, 100.0, 25.0)]


async def test_the_heavier_query_decides_and_the_rest_is_weighed_beside_the_choice() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        for name in ("a", "b"):
            if name in visible and query == {"a": 1, "b": 2}[name]:
                return 10.0, name
        return 100.0, ""

    choice = await run(costs, [proposal("b"), proposal("a")], {1: 500.0, 2: 100.0})
    assert names(choice) == ["a", "b"]
    assert [round(chosen.benefit_ms) for chosen in choice.chosen] == [450, 90]
    assert all(chosen.together_with == () for chosen in choice.chosen)


@pytest.mark.parametrize(
    ("cost", "used", "reason"),
    [
        (100.0, "", "does not use it"),
        (100.0, "a", "no plan gets cheaper"),
        (120.0, "a", "no plan gets cheaper"),
        (85.0, "a", "fall by 15% at most"),
    ],
)
async def test_what_is_not_advised(cost: float, used: str, reason: str) -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (cost, used) if visible else (100.0, "")

    choice = await run(costs, [proposal("a")], {1: 400.0})
    assert choice.chosen == ()
    [(what, why)] = choice.rejections
    assert what == "index on public.t (a)"
    assert reason in why


async def test_a_cost_that_falls_without_the_index_is_not_its_gain() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (10.0, "") if visible else (100.0, "")

    choice = await run(costs, [proposal("a")], {1: 400.0})
    assert choice.chosen == ()


async def test_a_saving_too_small_for_the_workload_is_left() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (1.0, "a") if query == 1 and visible else (100.0, "")

    choice = await run(costs, [proposal("a")], {1: 1.0, 2: 100_000.0})
    [(_, why)] = choice.rejections
    assert "too little to matter" in why


async def test_a_narrower_index_wins_when_nearly_as_good() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        if "wide" in visible:
            return 9.0, "wide"
        return (10.0, "narrow") if "narrow" in visible else (100.0, "")

    choice = await run(costs, [proposal("wide", "a", "b"), proposal("narrow", "a")], {1: 400.0})
    assert names(choice) == ["narrow"]
    assert choice.rejections == (("index on public.t (a, b)", "no further gain beside narrow"),)


async def test_of_equals_the_smaller_wins() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (10.0, sorted(visible)[0]) if visible else (100.0, "")

    choice = await run(costs, [proposal("a"), proposal("b")], {1: 400.0}, sizes={"a": 900, "b": 100})
    assert names(choice) == ["b"]


async def test_an_index_whose_work_a_later_one_does_falls_out() -> None:
    """The narrow one saves most at first; the wide one, taken for query 2, does nearly all of it as well."""

    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        table = {1: {"narrow": 10.0, "wide": 11.0}, 2: {"wide": 10.0}}[query]
        return min(((table[name], name) for name in visible & table.keys()), default=(100.0, ""))

    proposals = [proposal("narrow", "a"), proposal("wide", "a", "b")]
    choice = await run(costs, proposals, {1: 10_000.0, 2: 50.0})
    assert names(choice) == ["wide"]
    assert dict(choice.rejections)["index on public.t (a)"] == "the other advised indexes do its work as well"
    [chosen] = choice.chosen
    assert chosen.benefit_ms == pytest.approx(10_000 * 0.89 + 50 * 0.9)


async def test_indexes_that_help_one_query_together_say_so() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        if {"a", "b"} <= visible:
            return 10.0, "a+b"
        return (50.0, "a") if "a" in visible else (100.0, "")

    choice = await run(costs, [proposal("a"), proposal("b")], {1: 100.0})
    assert [(c.proposal.candidate.name, c.together_with) for c in choice.chosen] == [("a", ()), ("b", ("a",))]
    assert [c.benefit_ms for c in choice.chosen] == pytest.approx([50.0, 40.0])


async def test_the_arms_of_an_or_are_taken_together_when_neither_helps_alone() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        return (10.0, "a+b") if {"a", "b"} <= visible else (100.0, "")

    arms = [proposal("a", bundle="1"), proposal("b", bundle="1")]
    choice = await run(costs, arms, {1: 100.0})
    assert sorted(names(choice)) == ["a", "b"]
    assert [c.benefit_ms for c in choice.chosen] == pytest.approx([45.0, 45.0])
    assert {c.together_with for c in choice.chosen} == {("a",), ("b",)}
    assert choice.rejections == ()


async def test_an_arm_that_helps_alone_is_taken_alone() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        if query == 1 and {"a", "b"} <= visible:
            return 10.0, "a+b"
        return (10.0, "a") if query == 2 and "a" in visible else (100.0, "")

    arms = [proposal("a", bundle="1"), proposal("b", bundle="1")]
    choice = await run(costs, arms, {1: 100.0, 2: 100.0})
    assert names(choice) == ["a", "b"]
    assert [gain.query_id for gain in choice.chosen[0].gains] == [2]
    assert [gain.query_id for gain in choice.chosen[1].gains] == [1]


async def test_a_candidate_is_looked_at_again_only_where_a_choice_reached_its_table() -> None:
    def costs(query: int, visible: frozenset[str]) -> tuple[float, str]:
        name = {1: "a", 2: "b"}[query]
        return (10.0, name) if name in visible else (100.0, "")

    proposals = [proposal("a", table="t"), proposal("b", table="u")]
    choice = await run(costs, proposals, {1: 200.0, 2: 100.0}, tables={1: "t", 2: "u"})
    assert names(choice) == ["a", "b"]
    # One look at each, and one at each without it.
    assert choice.explained == 4


async def test_a_query_without_a_plan_is_left_out() -> None:
    planner = FakePlanner(lambda query, visible: (10.0, "a") if visible else (100.0, ""))
    query = WeightedQuery(Explainable(1, "", 0, ()), 100.0, frozenset({("public", "t")}))
    choice = await choose(planner, [proposal("a")], [query], {})
    assert choice.chosen == ()
