"""The filter that lists take behind ``/``: free text and conditions, all of which must hold.

    orders p95>50ms !app:cron is:n+1

``calls errors rows`` compare counts (``calls>1k``), ``mean p50 p95 p99 max total`` (and ``d``, the mean)
compare durations (``d>100ms``), ``load`` compares a share (``load>5%``). ``op: table: db: app:`` look for
a text in the kind, the tables, the database and the application names; ``is:`` asks for a flag
(``slow error n+1 advice``). ``!`` in front negates. Everything else is looked for in the query's text.

Pure: a filter is parsed once into a predicate over ``QueryRow``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from tui.app.rows import QueryRow
from tui.format import parse_count, parse_duration

Predicate = Callable[[QueryRow], bool]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
}
_CONDITION = re.compile(r"^([a-z0-9]+)(>=|<=|>|<|=)(.+)$")
_DURATIONS = {
    "d": "mean_ms",
    "mean": "mean_ms",
    "p50": "p50_ms",
    "p95": "p95_ms",
    "p99": "p99_ms",
    "max": "max_ms",
    "total": "total_ms",
}
_COUNTS = {"calls": "calls", "errors": "errors", "rows": "rows"}
_TEXTS: dict[str, Callable[[QueryRow], tuple[str, ...]]] = {
    "op": lambda row: (row.query.kind,),
    "table": lambda row: row.query.tables,
    "db": lambda row: (row.query.database,),
    "app": lambda row: row.query.applications,
}
FLAGS = {"slow": "S", "error": "E", "n+1": "N", "advice": "A"}


class FilterError(ValueError):
    """The filter cannot be understood; the message says which part and what would be."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    text: str
    predicates: tuple[Predicate, ...]

    def __call__(self, row: QueryRow) -> bool:
        return all(predicate(row) for predicate in self.predicates)


def parse(text: str) -> Filter:
    """The filter for a line of text; an empty one lets everything through. Raises FilterError."""
    return Filter(text.strip(), tuple(_term(term) for term in text.split()))


def _term(term: str) -> Predicate:
    if term.startswith("!") and len(term) > 1:
        inner = _term(term[1:])
        return lambda row: not inner(row)
    lowered = term.lower()
    condition = _CONDITION.match(lowered)
    if condition and (condition[1] in _DURATIONS or condition[1] in _COUNTS or condition[1] == "load"):
        return _comparison(condition[1], condition[2], condition[3])
    name, colon, wanted = lowered.partition(":")
    if colon and name == "is":
        if wanted not in FLAGS:
            raise FilterError(f"is:{wanted} is not known; there are is:" + ", is:".join(FLAGS))
        flag = FLAGS[wanted]
        return lambda row: flag in row.flags
    if colon and name in _TEXTS and wanted:
        texts = _TEXTS[name]
        return lambda row: any(wanted in text.lower() for text in texts(row))
    return lambda row: lowered in row.text.lower()


def _comparison(name: str, sign: str, amount: str) -> Predicate:
    compare = _COMPARE[sign]
    try:
        if name == "load":
            share = parse_count(amount.removesuffix("%")) / 100
            return lambda row: compare(row.load, share)
        if name in _DURATIONS:
            attribute, limit = _DURATIONS[name], parse_duration(amount)
        else:
            attribute, limit = _COUNTS[name], parse_count(amount)
    except ValueError as error:
        raise FilterError(f"{name}{sign}…: {error}") from None
    return lambda row: compare(float(getattr(row.query, attribute)), limit)
