"""Dates and times of the binary format in ISO text, and timestamps folded for comparison.

Python's datetime ends at the year 9999 and knows no BC, PostgreSQL's calendar does: the day number is
turned into a date by the algorithm of ``j2date`` (src/backend/utils/adt/datetime.c).
"""

from __future__ import annotations

import re
from typing import Final

_POSTGRES_EPOCH_JULIAN: Final = 2_451_545
"""Julian day of 2000-01-01, day 0 of a binary date."""
_DAY_US: Final = 86_400_000_000
_DATE_INFINITY: Final = 2**31 - 1
_DATE_MINUS_INFINITY: Final = -(2**31)
_STAMP_INFINITY: Final = 2**63 - 1
_STAMP_MINUS_INFINITY: Final = -(2**63)

_STAMP: Final = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
    rb" ?(Z|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?"
)


def date_text(days: int) -> bytes:
    """A binary date (days since 2000-01-01) as ``YYYY-MM-DD``, with `` BC`` where it is."""
    if days == _DATE_INFINITY:
        return b"infinity"
    if days == _DATE_MINUS_INFINITY:
        return b"-infinity"
    year, month, day = _civil(days)
    return _date(year, month, day) + (b" BC" if year <= 0 else b"")


def time_text(microseconds: int) -> bytes:
    """A binary time (microseconds since midnight) as ``HH:MM:SS[.ffffff]``."""
    if not 0 <= microseconds <= _DAY_US:
        raise ValueError("time outside of a day")
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + (b".%06d" % fraction).rstrip(b"0") if fraction else text


def timestamp_text(microseconds: int, *, zone: bool) -> bytes:
    """A binary timestamp (microseconds since 2000-01-01) in ISO text; with ``zone`` in UTC, ``+00``."""
    if microseconds == _STAMP_INFINITY:
        return b"infinity"
    if microseconds == _STAMP_MINUS_INFINITY:
        return b"-infinity"
    days, rest = divmod(microseconds, _DAY_US)
    year, month, day = _civil(days)
    text = _date(year, month, day) + b" " + time_text(rest)
    return text + (b"+00" if zone else b"") + (b" BC" if year <= 0 else b"")


def fold_timestamp(text: bytes) -> bytes | None:
    """A timestamp's text in UTC without its offset's spelling, for comparison; None when it is none.

    One without an offset keeps its clock time and stays without one.
    """
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(match[group]) for group in range(1, 6))
    second = int(match[6] or b"0")
    fraction = int((match[7] or b"").ljust(6, b"0"))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute < 60 and second <= 60):
        return None
    clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
    stamp = _days(year, month, day) * _DAY_US + clock
    offset = match[8]
    if offset is None:
        return timestamp_text(stamp, zone=False)
    return timestamp_text(stamp - _offset_us(offset), zone=True)


def _offset_us(offset: bytes) -> int:
    if offset == b"Z":
        return 0
    digits = offset[1:].replace(b":", b"").ljust(6, b"0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6])
    return (-seconds if offset.startswith(b"-") else seconds) * 1_000_000


def _date(year: int, month: int, day: int) -> bytes:
    return b"%04d-%02d-%02d" % (year if year > 0 else 1 - year, month, day)


def _civil(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day of a day number since 2000-01-01 (j2date)."""
    julian = days + _POSTGRES_EPOCH_JULIAN + 32044
    quad, extra = divmod(julian, 146097)
    extra = extra * 4 + 3
    julian += 60 + quad * 3 + extra // 146097
    quad, julian = divmod(julian, 1461)
    year_of_quad = julian * 4 // 1461
    julian = ((julian + 305) % 365 if year_of_quad else (julian + 306) % 366) + 123
    year = year_of_quad + quad * 4
    quad = julian * 2141 // 65536
    day = julian - 7834 * quad // 256
    month = (quad + 10) % 12 + 1
    return year - 4800, month, day


def _days(year: int, month: int, day: int) -> int:
    """Day number since 2000-01-01 of a date after Christ (date2j)."""
    if month > 2:
        month, year = month + 1, year + 4800
    else:
        month, year = month + 13, year + 4799
    century = year // 100
    julian = year * 365 - 32167 + year // 4 - century + century // 4 + 7834 * month // 256 + day
    return julian - _POSTGRES_EPOCH_JULIAN
