"""Which indexes are worth having together: greedy over the whole workload.

Each round shows every remaining candidate to the planner beside the indexes chosen so far, and takes the one
that saves most of the workload's observed time; a narrower index wins when it saves nearly as much. A
candidate is looked at again only when the last choice changed a plan of a query that it could change too, so
rounds get cheap. At the end each chosen index is hidden once more, and one whose work the others do falls
out. This is the greedy core of AutoAdmin and of Extend (Chaudhuri and Narasayya 1997; Schlosser, Kossmann
and Boissier 2019) without their width phases, since candidates here come multi-column from the start.

Saved time is an estimate: ``total_ms × (1 − cost after / cost before)``, the planner's costs in proportion
to the time that was observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from advisor.model import IndexCandidate
from advisor.propose.indexes import ProposedIndex
from advisor.prove.explain import Explained
from advisor.prove.statements import Explainable
from advisor.prove.whatif import WhatIf

MIN_GAIN = 0.20
"""At least one query's cost must fall by this part: smaller differences are within the cost model's error."""

MIN_WORKLOAD = 0.001
"""Least part of the workload's observed time that advice has to save; less is not worth a person's look."""

NEARLY = 0.98
"""A smaller index is preferred when it keeps this part of the best one's benefit."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WeightedQuery:
    query: Explainable
    total_ms: float
    tables: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Gain:
    """What one more index did to one query."""

    query_id: int
    before: Explained
    after: Explained
    saved_ms: float


@dataclass(frozen=True, slots=True)
class Chosen:
    proposal: ProposedIndex
    gains: tuple[Gain, ...]
    """Queries whose plan uses the index and costs less with it, the largest saving first."""
    benefit_ms: float
    bytes: int | None
    together_with: tuple[str, ...]
    """Names of indexes chosen earlier that were there when this one was judged, for the same queries."""


@dataclass(frozen=True, slots=True)
class Choice:
    chosen: tuple[Chosen, ...]
    """In the order in which they were taken."""
    rejections: tuple[tuple[str, str], ...]
    explained: int
    """Plans asked for."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is shown together: one index, or the arms of an OR."""

    members: tuple[ProposedIndex, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(member.candidate.name for member in self.members)

    @property
    def width(self) -> int:
        return sum(len(member.candidate.keys) for member in self.members)

    @property
    def label(self) -> str:
        return " with ".join(member.label for member in self.members)

    def touches(self, tables: frozenset[tuple[str, str]]) -> bool:
        return any((m.candidate.schema, m.candidate.table) in tables for m in self.members)


@dataclass(slots=True)
class _Verdict:
    gains: tuple[Gain, ...]
    benefit_ms: float
    best: float
    """Largest relative fall of cost among the gains."""
    used: bool
    changed: bool
    plans: dict[int, Explained]


@dataclass(slots=True)
class _State:
    baseline: Mapping[int, Explained]
    current: dict[int, Explained]
    explained: int = 0
    chosen: list[tuple[_Unit, _Verdict]] = field(default_factory=list)


async def choose(
    what_if: WhatIf,
    proposals: Sequence[ProposedIndex],
    queries: Sequence[WeightedQuery],
    baseline: Mapping[int, Explained],
    progress: Progress | None = None,
) -> Choice:
    """The indexes worth advising, out of ``proposals`` that ``what_if`` has prepared.

    ``baseline`` holds the plans of today, asked for after preparing; queries missing there are left out.
    """
    able = [query for query in queries if query.query.query_id in baseline]
    floor = MIN_WORKLOAD * sum(query.total_ms for query in able)
    state = _State(baseline, dict(baseline))
    units = _units(proposals)
    verdicts: dict[_Unit, _Verdict] = {}
    stale = list(units)
    first: dict[_Unit, _Verdict] = {}
    while True:
        for position, unit in enumerate(stale, 1):
            if progress is not None and not state.chosen:
                progress(f"weighing {unit.label} ({position}/{len(stale)})")
            verdicts[unit] = await _judge(what_if, unit, able, state)
            first.setdefault(unit, verdicts[unit])
        worthy = [unit for unit in units if unit in verdicts and _worthy(verdicts[unit], floor)]
        # The arms of an OR are taken together only when neither is worth it by itself: one that is will
        # be chosen alone, after which the others show their use alone as well.
        worthy = [unit for unit in worthy if len(unit.members) == 1] or worthy
        if not worthy:
            break
        best = await _pick(what_if, worthy, verdicts)
        verdict = verdicts.pop(best)
        changed = {id for id, plan in verdict.plans.items() if plan.shape != state.current[id].shape}
        for member in best.members:
            await what_if.create(member.candidate)
        state.current.update(verdict.plans)
        state.chosen.append((best, verdict))
        stale = [unit for unit in verdicts if _reaches(unit, changed, able)]
    rejections: dict[_Unit, str] = {}
    await _drop_superfluous(what_if, able, state, rejections, floor)
    rejections |= {unit: _why_not(first[unit], floor, state) for unit in verdicts}
    return Choice(
        chosen=await _chosen(what_if, state),
        rejections=_reasons(units, rejections, state),
        explained=state.explained,
    )


def _units(proposals: Sequence[ProposedIndex]) -> list[_Unit]:
    units = [_Unit((proposal,)) for proposal in proposals]
    bundles: dict[str, list[ProposedIndex]] = {}
    for proposal in proposals:
        if proposal.bundle:
            bundles.setdefault(proposal.bundle, []).append(proposal)
    return units + [_Unit(tuple(members)) for members in bundles.values() if len(members) > 1]


def _reaches(unit: _Unit, changed: set[int], queries: Iterable[WeightedQuery]) -> bool:
    return any(query.query.query_id in changed and unit.touches(query.tables) for query in queries)


async def _judge(what_if: WhatIf, unit: _Unit, queries: Sequence[WeightedQuery], state: _State) -> _Verdict:
    """Show the unit beside what is chosen, look at every query on its tables, hide it again."""
    chosen = frozenset(name for other, _ in state.chosen for name in other.names)
    fresh = [member for member in unit.members if member.candidate.name not in chosen]
    relevant = [query for query in queries if unit.touches(query.tables)]
    for member in fresh:
        await what_if.create(member.candidate)
    try:
        answers = await what_if.costs(query.query for query in relevant)
    finally:
        for member in fresh:
            await what_if.drop(member.candidate)
    state.explained += sum(len(answer.plans) for answer in answers.values() if isinstance(answer, Explained))
    return _weigh(unit.names, relevant, answers, state.current, state.baseline)


def _weigh(
    names: frozenset[str],
    queries: Sequence[WeightedQuery],
    answers: Mapping[int, object],
    current: Mapping[int, Explained],
    baseline: Mapping[int, Explained],
) -> _Verdict:
    gains: list[Gain] = []
    plans: dict[int, Explained] = {}
    used = changed = False
    best = 0.0
    for query in queries:
        id = query.query.query_id
        after = answers.get(id)
        if not isinstance(after, Explained):
            continue
        before = current[id]
        plans[id] = after
        uses = any(plan.indexes & names for plan in after.plans)
        used = used or uses
        if not uses or after.shape == before.shape:
            continue
        changed = True
        if after.cost >= before.cost or baseline[id].cost <= 0:
            continue
        best = max(best, 1 - after.cost / before.cost)
        saved = query.total_ms * (before.cost - after.cost) / baseline[id].cost
        gains.append(Gain(id, before, after, saved))
    gains.sort(key=lambda gain: (-gain.saved_ms, gain.query_id))
    return _Verdict(tuple(gains), sum(gain.saved_ms for gain in gains), best, used, changed, plans)


def _worthy(verdict: _Verdict, floor: float) -> bool:
    return verdict.best >= MIN_GAIN and verdict.benefit_ms > 0 and verdict.benefit_ms >= floor


async def _pick(what_if: WhatIf, worthy: Sequence[_Unit], verdicts: Mapping[_Unit, _Verdict]) -> _Unit:
    most = max(verdicts[unit].benefit_ms for unit in worthy)
    near = [unit for unit in worthy if verdicts[unit].benefit_ms >= NEARLY * most]
    ranked = []
    for unit in near:
        sizes = [await what_if.size(member.candidate) for member in unit.members]
        total = sum(size or 0 for size in sizes)
        ranked.append((unit.width, total, -verdicts[unit].benefit_ms, unit.label, unit))
    return min(ranked, key=lambda item: item[:4])[4]


async def _drop_superfluous(
    what_if: WhatIf,
    queries: Sequence[WeightedQuery],
    state: _State,
    rejections: dict[_Unit, str],
    floor: float,
) -> None:
    """Take out chosen indexes whose work the others do, then weigh the rest again in their order."""
    removed = False
    for unit, verdict in sorted(state.chosen, key=lambda item: (item[1].benefit_ms, item[0].label)):
        if len(state.chosen) < 2:
            break
        relevant = [query for query in queries if unit.touches(query.tables)]
        for member in unit.members:
            await what_if.drop(member.candidate)
        answers = await what_if.costs(query.query for query in relevant)
        lost = 0.0
        for query in relevant:
            id = query.query.query_id
            without = answers.get(id)
            if isinstance(without, Explained) and state.baseline[id].cost > 0:
                state.explained += len(without.plans)
                worse = max(0.0, without.cost - state.current[id].cost)
                lost += query.total_ms * worse / state.baseline[id].cost
        if lost > max(floor, (1 - NEARLY) * verdict.benefit_ms):
            for member in unit.members:
                await what_if.create(member.candidate)
            continue
        removed = True
        state.chosen = [item for item in state.chosen if item[0] is not unit]
        state.current.update({id: plan for id, plan in answers.items() if isinstance(plan, Explained)})
        rejections[unit] = "the other advised indexes do its work as well"
    if removed:
        await _weigh_again(what_if, queries, state)


async def _weigh_again(what_if: WhatIf, queries: Sequence[WeightedQuery], state: _State) -> None:
    order = [unit for unit, _ in state.chosen]
    for unit in order:
        for member in unit.members:
            await what_if.drop(member.candidate)
    state.chosen, state.current = [], dict(state.baseline)
    for unit in order:
        verdict = await _judge(what_if, unit, queries, state)
        for member in unit.members:
            await what_if.create(member.candidate)
        state.current.update(verdict.plans)
        state.chosen.append((unit, verdict))


async def _chosen(what_if: WhatIf, state: _State) -> tuple[Chosen, ...]:
    results: list[Chosen] = []
    earlier: list[tuple[str, set[int]]] = []
    for unit, verdict in state.chosen:
        taken = {item.proposal.candidate.name for item in results}
        members = [member for member in unit.members if member.candidate.name not in taken]
        for member in members:
            name = member.candidate.name
            gains = tuple(gain for gain in verdict.gains if _uses(gain, name))
            helped = {gain.query_id for gain in gains}
            others = {other.candidate.name for other in members if other is not member}
            results.append(
                Chosen(
                    proposal=member,
                    gains=gains,
                    benefit_ms=sum(
                        gain.saved_ms / sum(_uses(gain, other.candidate.name) for other in members)
                        for gain in gains
                    ),
                    bytes=await what_if.size(member.candidate),
                    together_with=tuple(sorted(others | {other for other, ids in earlier if ids & helped})),
                )
            )
        helped = {gain.query_id for gain in verdict.gains}
        earlier += [(member.candidate.name, helped) for member in members]
    return tuple(results)


def _uses(gain: Gain, name: str) -> bool:
    return any(name in plan.indexes for plan in gain.after.plans)


def _why_not(verdict: _Verdict, floor: float, state: _State) -> str:
    """Why a candidate was never taken, from what it did on its own."""
    if not verdict.used:
        return "the planner does not use it for any captured query"
    if not verdict.changed or not verdict.gains:
        return "no plan gets cheaper with it"
    if verdict.best < MIN_GAIN:
        return f"costs fall by {verdict.best:.0%} at most, {MIN_GAIN:.0%} is the least"
    if verdict.benefit_ms < floor:
        return f"it would save about {verdict.benefit_ms:.1f} ms of the observed time, too little to matter"
    helped = {gain.query_id for gain in verdict.gains}
    rivals = sorted(
        name
        for unit, other in state.chosen
        if helped & {gain.query_id for gain in other.gains}
        for name in unit.names
    )
    return f"no further gain beside {', '.join(rivals)}" if rivals else "no further gain"


def _reasons(
    units: Sequence[_Unit], rejections: Mapping[_Unit, str], state: _State
) -> tuple[tuple[str, str], ...]:
    taken: set[IndexCandidate] = {m.candidate for unit, _ in state.chosen for m in unit.members}
    reasons = {
        (unit.label, rejections[unit])
        for unit in units
        if unit in rejections and not all(member.candidate in taken for member in unit.members)
    }
    return tuple(sorted(reasons))
