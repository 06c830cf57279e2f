"""Charts made of block characters. Pure: numbers in, text out; no colour is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.format import clip

LEVELS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"


def resample(values: Sequence[float], width: int) -> list[float]:
    """The values in ``width`` columns: fewer are drawn wider, more are joined by their maximum, so that a
    short spike stays visible."""
    if width <= 0 or not values:
        return []
    if len(values) <= width:
        return [float(values[column * len(values) // width]) for column in range(width)]
    joined = []
    for column in range(width):
        begin = column * len(values) // width
        end = (column + 1) * len(values) // width
        joined.append(float(max(values[begin:end])))
    return joined


def columns(values: Sequence[float], width: int, height: int) -> list[str]:
    """A column chart as ``height`` lines of ``width`` characters, from zero to the greatest value.

    A value above zero always shows at least the lowest block.
    """
    shown = resample(values, width)
    top = max(shown, default=0.0)
    steps = height * 8
    heights = [0 if value <= 0 else max(1, round(value / top * steps)) for value in shown]
    return [
        "".join(LEVELS[min(8, max(0, filled - line * 8))] for filled in heights)
        for line in range(height - 1, -1, -1)
    ]


def bar(share: float, width: int) -> str:
    """A horizontal bar of ``width`` characters for a share of one; above zero it always shows something."""
    eighths = 0 if share <= 0 else max(1, round(min(1.0, share) * width * 8))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def axis(begin: str, totals: Sequence[str], width: int) -> str:
    """The line under a chart: where it begins, as many of the totals as fit, and "now"."""
    room = width - len(begin) - len("now")
    for fitting in range(len(totals), -1, -1):
        middle = " · ".join(totals[:fitting])
        if len(middle) + 2 <= room:
            return begin + middle.center(room) + "now"
    return clip(begin, width)


@dataclass(frozen=True, slots=True)
class Band:
    """One row of a latency histogram: calls of at least ``low_ms`` and less than ``high_ms``."""

    low_ms: float
    high_ms: float
    calls: int


_STEPS = (1.0, 2.0, 5.0)


def latency_bands(milliseconds: Mapping[float, int], most: int = 12) -> list[Band]:
    """Counts by latency (ms), gathered into bands of 1–2–5 steps from the fastest to the slowest call.

    Empty bands between are kept, so that two humps look like two humps. With more than ``most`` bands the
    ones at the slow end are joined.
    """
    filled = {value: calls for value, calls in milliseconds.items() if calls > 0}
    if not filled:
        return []
    edges = _edges(min(filled), max(filled))
    counts = [0] * (len(edges) - 1)
    for value, calls in filled.items():
        index = next(i for i in range(len(counts)) if value < edges[i + 1] or i == len(counts) - 1)
        counts[index] += calls
    bands = [Band(low, high, n) for low, high, n in zip(edges, edges[1:], counts, strict=False)]
    if len(bands) > most:
        joined = bands[most - 1 :]
        bands = [
            *bands[: most - 1],
            Band(joined[0].low_ms, joined[-1].high_ms, sum(each.calls for each in joined)),
        ]
    return bands


def _edges(low: float, high: float) -> list[float]:
    """1–2–5 steps around the two, at least two of them."""
    decade = 1e-3
    edges = [0.0]
    while True:
        for step in _STEPS:
            edge = step * decade
            if edge <= low:
                edges = [edge]
            else:
                edges.append(edge)
            if edge > high:
                return edges
        decade *= 10
