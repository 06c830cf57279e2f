from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.datetimes import date_text, fold_timestamp, time_text, timestamp_text

EPOCH = datetime(2000, 1, 1)


@given(st.datetimes())
def test_binary_timestamps_and_dates_in_iso_text(moment: datetime) -> None:
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    text = timestamp_text(microseconds, zone=False).decode()
    assert datetime.fromisoformat(text.ljust(26, "0") if "." in text else text) == moment
    assert date_text((moment - EPOCH).days).decode() == moment.date().isoformat()


@given(st.datetimes(min_value=datetime(2, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_one_instant_in_any_zone_is_one_text(moment: datetime, minutes: int) -> None:
    instant = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = instant.isoformat(sep=" ").encode()
    other = instant.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()
    assert fold_timestamp(text) == fold_timestamp(other) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"2024-13-01 10:00",
        b"2024-01-01 25:00",
        b"2024-01-01",
        b"10:00",
        b"",
        b"2024-01-01 10:00 BC",
        b"infinity",
    ],
)
def test_what_is_no_timestamp_is_not_folded(text: bytes) -> None:
    assert fold_timestamp(text) is None


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, b"2000-01-01"),
        (-730_119, b"0001-01-01"),
        (-730_120, b"0001-12-31 BC"),
        (2**31 - 1, b"infinity"),
        (-(2**31), b"-infinity"),
        ((datetime(9999, 12, 31) - EPOCH).days + 1, b"10000-01-01"),
    ],
)
def test_dates_beyond_pythons(days: int, text: bytes) -> None:
    assert date_text(days) == text


def test_times() -> None:
    assert time_text(0) == b"00:00:00"
    assert time_text(86_400_000_000) == b"24:00:00"
    assert time_text(3_600_000_500) == b"01:00:00.0005"
    with pytest.raises(ValueError, match="outside"):
        time_text(-1)
