"""Numbers, times and texts as people read them: one place for the command line and the screens.

Everything here is pure. Durations come in milliseconds, ages in seconds, sizes in bytes.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_COUNT_UNITS = ("", "k", "M", "G", "T")

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters: statements and values come from the wire and must not drive the terminal."""


def duration(ms: float | None) -> str:
    """A duration with three significant digits and its unit: ``312 µs``, ``4.20 ms``, ``1.5 s``, ``3 min``.

    ``None`` (an execution without a time of its own) reads ``–``.
    """
    if ms is None or math.isnan(ms):
        return "–"
    if ms <= 0:
        return "0 ms"
    if ms < 0.9995:
        return f"{max(1, round(ms * 1000))} µs"
    if ms < 999.5:
        return f"{_three_digits(ms)} ms"
    seconds = ms / 1000
    if seconds < 99.95:
        return f"{_three_digits(seconds)} s"
    minutes = seconds / 60
    if minutes < 99.95:
        return f"{_three_digits(minutes)} min"
    return f"{minutes / 60:,.1f} h"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}"


def count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{round(number):,}"


def counted(number: float, one: str, many: str = "") -> str:
    """``1 call``, ``1,200 calls``; ``many`` where the plural is more than an s."""
    text = count(number)
    return f"{text} {one if text == '1' else many or one + 's'}"


def short_count(number: float) -> str:
    """A number in at most five characters: ``999``, ``1.2k``, ``12k``, ``3.4M``."""
    if number < 0:
        return "-" + short_count(-number)
    value = float(number)
    for unit in _COUNT_UNITS:
        last = unit == _COUNT_UNITS[-1]
        if value < 999.5 or last:
            if not unit:
                return f"{value:.0f}"
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit always returns")


def rate(per_second: float) -> str:
    """Events a second; slow ones keep a decimal so that a trickle does not read as nothing."""
    if 0 < per_second < 10:
        return f"{per_second:.1f}/s"
    return f"{short_count(per_second)}/s"


def size(octets: float | None) -> str:
    """Bytes as PostgreSQL's pg_size_pretty writes them: powers of 1,024, units from ``kB``."""
    if octets is None:
        return "–"
    value = float(octets)
    for unit in _SIZE_UNITS:
        if abs(value) < 1024 or unit == _SIZE_UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable: the last unit always returns")


def percent(share: float) -> str:
    """A share of one. ``<0.1 %`` rather than a zero that is not one."""
    value = share * 100
    if value <= 0:
        return "0 %"
    if value < 0.1:
        return "<0.1 %"
    return f"{value:.1f} %" if value < 99.95 else "100 %"


def age(seconds: float) -> str:
    """How long ago, in one unit: ``3 s``, ``5 min``, ``2 h``, ``4 d``."""
    if seconds < 0.5:
        return "0 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"


def timestamp(epoch: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, whole seconds."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def speedup(before: float, after: float) -> str:
    """``12×`` faster, ``1.4×`` faster; ``–`` where one of them is not positive."""
    if before <= 0 or after <= 0:
        return "–"
    factor = before / after
    return f"{factor:,.0f}×" if factor >= 9.95 else f"{factor:.1f}×"


def one_line(text: str) -> str:
    """White space folded and control characters replaced: safe for a table cell."""
    return CONTROL.sub("�", " ".join(text.split()))


def printable(text: str) -> str:
    """Control characters replaced, line breaks and tabs kept: safe for a block of text."""
    return CONTROL.sub("�", text.replace("\r\n", "\n"))


def clip(text: str, width: int) -> str:
    """At most ``width`` characters; an ellipsis says that something was cut."""
    if len(text) <= width:
        return text
    return text[: max(0, width - 1)] + "…" if width > 0 else ""


_PARSE_UNITS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0}
_SPAN_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_AMOUNT = re.compile(r"^\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-zµ%]*)\s*$", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """``100ms``, ``1.5s``, ``250us`` in milliseconds; a bare number is milliseconds.

    Raises ValueError, with a message for people.
    """
    return _parse(text, _PARSE_UNITS, "ms", "a duration such as 250us, 100ms or 1.5s")


def parse_span(text: str) -> float:
    """``90s``, ``15m``, ``2h``, ``1d`` in seconds; a bare number is seconds.

    Raises ValueError, with a message for people.
    """
    return _parse(text, _SPAN_UNITS, "s", "a span of time such as 90s, 15m, 2h or 1d")


def parse_count(text: str) -> float:
    """``100``, ``1k``, ``2.5M``, ``1e5``. Raises ValueError, with a message for people."""
    return _parse(text, {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}, "", "a number such as 100, 1k or 1e5")


def _parse(text: str, units: dict[str, float], default: str, wanted: str) -> float:
    found = _AMOUNT.match(text)
    unit = (found.group(2).lower() or default) if found else ""
    if not found or unit not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return float(found.group(1)) * units[unit]
