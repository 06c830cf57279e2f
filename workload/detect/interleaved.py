"""Loops whose body has several statements: A, B, A, B, …

When one statement of the body is seen to loop over the rows of a parent, those that run in step with it
loop over the same rows, even where their own parameters come from somewhere else (the row that the first
one fetched).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from workload.detect.confidence import Verdict
from workload.detect.groups import Group

MAX_PERIOD: Final = 8
"""Statements in a loop's body: as Sentry's MN+1 detector has it."""
MIN_REPEATS: Final = 3
MIN_REGULAR: Final = 0.8
"""Share of the distances between calls that must be the period."""


def companions(judged: Sequence[tuple[Group, Verdict]]) -> list[tuple[Group, Verdict]]:
    """The same groups; those that run in step with a surer one have its parent, at medium confidence."""
    leaders = [
        (group, verdict)
        for group, verdict in judged
        if verdict.confidence != "low" and verdict.link is not None
    ]
    result = []
    for group, verdict in judged:
        leader = next((other for other in leaders if _in_step(group, other[0])), None)
        if verdict.confidence == "low" and leader is not None and group.varying():
            verdict = replace(verdict, confidence="medium", link=leader[1].link)
        result.append((group, verdict))
    return result


def in_step_with(group: Group, judged: Sequence[tuple[Group, Verdict]]) -> tuple[str, ...]:
    """Fingerprints of the other statements of the loop's body."""
    return tuple(other.fingerprint for other, _verdict in judged if _in_step(group, other))


def _in_step(group: Group, other: Group) -> bool:
    if group is other or min(len(group.steps), len(other.steps)) <= MIN_REPEATS:
        return False
    period, regular = group.stride()
    other_period, other_regular = other.stride()
    if period != other_period or not 2 <= period <= MAX_PERIOD:
        return False
    overlap = min(group.steps[-1], other.steps[-1]) - max(group.steps[0], other.steps[0])
    return min(regular, other_regular) >= MIN_REGULAR and overlap >= MIN_REPEATS * period
