"""The calls of one fingerprint within a unit of work, and what can be measured on them alone.

Grouped by fingerprint, not by statement: a driver prepares the same query under several names and texts.
Calls with a list of more than one key are batches and stand apart, and so do calls that went out in a
pipeline: they cost no round trip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

import msgspec

from workload.capture.messages import Step, Unit
from workload.detect.predicates import Shape, shape_of
from workload.detect.statement import Statement
from workload.parameters import permutation

LOOP_CALLS: Final = 5
"""Calls of one transaction that may be a loop."""
FEW_CALLS: Final = 3
"""A transaction with fewer is none, beside others that are."""


@dataclass(slots=True)
class Group:
    """Calls of one fingerprint, one key each; ``steps`` are indices into the unit's."""

    fingerprint: str
    statement: Statement
    shape: Shape
    statement_ids: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    calls: list[Step] = field(default_factory=list)
    batched: int = 0
    """Calls with a list of several keys."""
    pipelined: int = 0
    prior: int = 0
    """Calls in the parts of the unit before this one."""
    dropped: int = 0
    """Calls of this part for which there was no room."""
    dropped_us: int = 0

    @property
    def count(self) -> int:
        """Calls in this part."""
        return len(self.calls) + self.dropped

    @property
    def total(self) -> int:
        """Calls in the unit so far."""
        return self.count + self.prior

    def single_share(self) -> float:
        """The share of calls that ask for one key in a round trip of their own."""
        seen = len(self.calls) + self.batched + self.pipelined
        return len(self.calls) / seen if seen else 0.0

    def keys(self) -> list[tuple[int, ...]]:
        return [step.params for step in self.calls]

    def asked(self) -> Counter[tuple[int, ...]]:
        """How often each key was asked for. Another transaction asking for it again is another request."""
        return Counter((step.transaction, *step.params) for step in self.calls)

    def distinct(self) -> int:
        return len(self.asked())

    def varying(self) -> list[int]:
        """Positions of the parameters that take more than one value."""
        keys = self.keys()
        width = len(keys[0]) if keys else 0
        return [position for position in range(width) if len({key[position] for key in keys}) > 1]

    def transactions(self) -> Counter[int]:
        """Calls by the ordinal of their explicit transaction, 0 for none."""
        return Counter(step.transaction for step in self.calls)

    def keep_loops(self) -> None:
        """Where some transactions make many calls, forget those that make one or two: other requests, on
        the same connection, looked up a row."""
        counts = self.transactions()
        if 0 in counts or max(counts.values(), default=0) < LOOP_CALLS:
            return
        kept = [
            (index, step)
            for index, step in zip(self.steps, self.calls, strict=True)
            if counts[step.transaction] >= FEW_CALLS
        ]
        self.steps = [index for index, _step in kept]
        self.calls = [step for _index, step in kept]

    def in_one_transaction(self) -> bool:
        return len(self.transactions()) == 1 and self.calls[0].transaction != 0

    def spread_over_transactions(self) -> bool:
        """Hardly more than one call in each of several transactions: requests, not a loop."""
        counts = self.transactions()
        return 0 not in counts and len(counts) > 1 and len(self.calls) < 2 * len(counts)

    def median_gap_ms(self) -> float:
        return median(max(0, step.gap_us) for step in self.calls) / 1000

    def median_rows(self) -> float:
        return median(step.rows for step in self.calls)

    def database_ms(self) -> float:
        """Time of all calls, known ones summed; dropped ones included."""
        return (sum(max(0, step.duration_us) for step in self.calls) + self.dropped_us) / 1000

    def stride(self) -> tuple[int, float]:
        """The most common distance between two calls, and the share of distances that equal it."""
        distances = Counter(after - before for before, after in pairwise(self.steps))
        if not distances:
            return 0, 0.0
        distance, times = distances.most_common(1)[0]
        return distance, times / (len(self.steps) - 1)


def groups_of(unit: Unit, statements: Mapping[int, Statement]) -> list[Group]:
    """Groups in order of their first call. Steps of statements that are not known are left out."""
    groups: dict[str, Group] = {}
    for index, step in enumerate(unit.steps):
        if index < unit.carried:
            continue
        group = _group(groups, step.statement, statements)
        if group is None:
            continue
        if step.list_length > 1:
            group.batched += 1
        elif step.gap_us < 0:
            group.pipelined += 1
        else:
            call = _in_the_groups_order(step, statements[step.statement], group)
            if call is not None:
                group.steps.append(index)
                group.calls.append(call)
    for statement, (calls, total_us) in unit.overflow.items():
        group = _group(groups, statement, statements)
        if group is not None:
            # What was dropped is taken to be as the rest was: single calls, batches and pipelined ones.
            share = group.single_share()
            group.dropped += round(calls * share)
            group.dropped_us += round(total_us * share)
    for statement, calls in unit.prior_calls.items():
        known = statements.get(statement)
        if known is not None and known.fingerprint in groups:
            group = groups[known.fingerprint]
            group.prior += round(calls * group.single_share())
    for group in groups.values():
        group.keep_loops()
    return list(groups.values())


def _group(groups: dict[str, Group], statement_id: int, statements: Mapping[int, Statement]) -> Group | None:
    statement = statements.get(statement_id)
    if statement is None:
        return None
    group = groups.get(statement.fingerprint)
    if group is None:
        group = Group(statement.fingerprint, statement, shape_of(statement.text))
        groups[statement.fingerprint] = group
    if statement_id not in group.statement_ids:
        group.statement_ids.append(statement_id)
    return group


def _in_the_groups_order(step: Step, statement: Statement, group: Group) -> Step | None:
    """The step with its parameters numbered as the group's first statement numbers them."""
    if statement.text != group.statement.text:
        order = permutation(group.statement.text, statement.text)
        if order is None or len(order) != len(step.params):
            return None
        step = msgspec.structs.replace(step, params=tuple(step.params[position] for position in order))
    return step if not group.calls or len(group.calls[0].params) == len(step.params) else None


def start_times_ms(steps: Sequence[Step]) -> list[float]:
    """When each step began, from the first on: think times and durations added up."""
    times: list[float] = []
    now = 0.0
    for step in steps:
        now += max(0, step.gap_us) / 1000
        times.append(now)
        now += max(0, step.duration_us) / 1000
    return times
