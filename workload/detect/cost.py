"""What a loop's calls cost beyond one batched statement that does the same.

The batch is predicted from the calls themselves: a fixed part, paid once, and a part for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from workload.capture.messages import Step


@dataclass(frozen=True, slots=True)
class LoopCost:
    """Milliseconds."""

    spent: float
    batch: float

    @property
    def wasted(self) -> float:
        return max(0.0, self.spent - self.batch)


def loop_cost(calls: Sequence[Step], dropped: int, dropped_us: int) -> LoopCost:
    """Cost of the calls and of one batch in their place.

    ``spent`` is the sum of the known durations. The time for a row is the slope of a least-squares line of
    durations over rows, where rows differ, else what an average call takes beyond the fastest; the fixed
    part is the fastest call. Nothing is known of ``dropped`` calls but their number and time: they are
    taken to bring as many rows as the others.
    """
    timed = [step for step in calls if step.duration_us >= 0]
    if not timed:
        return LoopCost(dropped_us / 1000, dropped_us / 1000)
    durations = [step.duration_us / 1000 for step in timed]
    rows = [float(step.rows) for step in timed]
    fixed = min(durations)
    spent = sum(durations) + dropped_us / 1000
    mean_rows = fmean(rows)
    all_rows = mean_rows * (len(calls) + dropped)
    batch = fixed + all_rows * _row_ms(durations, rows, fixed)
    return LoopCost(spent, min(spent, batch))


def _row_ms(durations: Sequence[float], rows: Sequence[float], fixed: float) -> float:
    mean_rows, mean_ms = fmean(rows), fmean(durations)
    spread = sum((row - mean_rows) ** 2 for row in rows)
    if spread > 0:
        slope = sum((row - mean_rows) * (ms - mean_ms) for row, ms in zip(rows, durations, strict=True))
        return max(0.0, slope / spread)
    return (mean_ms - fixed) / mean_rows if mean_rows else 0.0
