"""The query detail in lines of text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.app.charts import axis, bar, columns, latency_bands
from tui.app.reading import QueryDetail
from tui.app.rows import class_label, state_label
from tui.format import age, count, counted, duration, one_line, percent, rate, size
from tui.sql_text import runnable
from workload.model import Query, Sample
from workload.store import Point

SHOWN_SAMPLES = 5


def numbers(detail: QueryDetail, now: float) -> list[str]:
    """The counters of a query, the ones that matter first."""
    query = detail.query
    lines = [
        f"calls {count(query.calls)}   total {duration(query.total_ms)}   mean {_timed(query, query.mean_ms)}"
        f"   rows {count(query.rows)}   {size(query.bytes)}",
        f"p50 {_timed(query, query.p50_ms)}   p95 {_timed(query, query.p95_ms)}   "
        f"p99 {_timed(query, query.p99_ms)}   max {_timed(query, query.max_ms)}",
        f"database {one_line(query.database)}   seen {age(now - query.first_seen)} to "
        f"{age(now - query.last_seen)} ago   {query.fingerprint}",
    ]
    if query.applications:
        lines.append("from " + ", ".join(one_line(name) for name in query.applications))
    if query.errors:
        states = ", ".join(f"{count(times)} × {state}" for state, times in detail.errors.items())
        lines.append(
            f"⚠ {counted(query.errors, 'error')}: {states}"
            if states
            else f"⚠ {counted(query.errors, 'error')}"
        )
    if query.timed_calls < query.calls:
        lines.append(
            f"{percent(query.timed_calls / query.calls)} of the calls have a time of their own "
            "(the others shared a pipeline)"
        )
    if query.parse_error:
        lines.append("PostgreSQL's parser does not understand this text; it is grouped as it is")
    return lines


def _timed(query: Query, ms: float) -> str:
    return duration(ms if query.timed_calls else None)


def histogram(latencies: Mapping[float, int], width: int) -> list[str]:
    """One bar a latency band, with its calls."""
    bands = latency_bands(latencies)
    if not bands:
        return ["no call had a time of its own"]
    total = sum(band.calls for band in bands)
    most = max(band.calls for band in bands)
    room = max(5, width - 28)
    return [
        f"{_edge(band.low_ms):>7}–{_edge(band.high_ms):<7} {bar(band.calls / most, room)} "
        f"{percent(band.calls / total):>7}"
        for band in bands
    ]


def _edge(ms: float) -> str:
    """A band's border without needless digits: bands begin at 1, 2 or 5."""
    if ms < 1:
        return f"{ms * 1000:g} µs"
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def traffic(points: Sequence[Point], width: int, height: int, now: float) -> list[str]:
    """Calls a second over the last minutes."""
    if not points:
        return ["no call in the last minutes"]
    rates = [point.calls / point.seconds for point in points]
    foot = axis(f"-{age(now - points[0].start)}", [f"peak {rate(max(rates))}"], width)
    return [*columns(rates, width, height), foot]


def sample_lines(query: Query, samples: Sequence[Sample]) -> list[str]:
    """Real executions, newest first: runnable where the values were kept."""
    if not samples:
        return ["none kept (the proxy was started with --samples none, or nothing ran since)"]
    lines: list[str] = []
    for sample in samples[:SHOWN_SAMPLES]:
        lines.append(f"-- {duration(sample.duration_ms)}, {counted(sample.rows, 'row')}")
        if sample.masked:
            values = ", ".join(f"${place} {value}" for place, value in enumerate(sample.params, 1))
            lines.append("-- masked: " + one_line(values))
        else:
            lines.append(" ".join(runnable(query.query, sample.params, sample.param_oids).split("\n")) + ";")
    return lines


def related(detail: QueryDetail) -> list[str]:
    """What was found about this query, and what is advised."""
    lines = [f"▸ {class_label(each)} ({each.confidence}): {one_line(each.title)}" for each in detail.findings]
    lines += [
        f"▸ {state_label(record.state)} {record.kind}: {one_line(record.title)}" for record in detail.advice
    ]
    return lines or ["nothing so far"]
