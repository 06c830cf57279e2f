"""Numbers as people read them."""

from __future__ import annotations

import pytest

from tui import format as fmt


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0 ms"),
        (0.0001, "1 µs"),
        (0.312, "312 µs"),
        (0.9996, "1.00 ms"),
        (4.2, "4.20 ms"),
        (42.25, "42.2 ms"),
        (420, "420 ms"),
        (999.6, "1.00 s"),
        (1500, "1.50 s"),
        (200_000, "3.33 min"),
        (3 * 3600 * 1000, "3.0 h"),
        (5000 * 3600 * 1000, "5,000.0 h"),
    ],
)
def test_duration(ms: float | None, text: str) -> None:
    assert fmt.duration(ms) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (1234, "1.2k"),
        (12345, "12k"),
        (999_600, "1.0M"),
        (3.4e9, "3.4G"),
    ],
)
def test_short_count(number: float, text: str) -> None:
    assert fmt.short_count(number) == text
    assert len(text) <= 5


def test_short_count_keeps_the_sign_and_the_last_unit() -> None:
    assert fmt.short_count(-1234) == "-1.2k"
    assert fmt.short_count(5e15) == "5000T"


def test_count_and_rate() -> None:
    assert fmt.count(1234567.4) == "1,234,567"
    assert fmt.rate(0) == "0/s"
    assert fmt.rate(0.31) == "0.3/s"
    assert fmt.rate(1234) == "1.2k/s"


@pytest.mark.parametrize(
    ("octets", "text"),
    [(None, "–"), (0, "0 bytes"), (8192, "8.0 kB"), (150 * 1024 * 1024, "150 MB"), (2.5 * 1024**3, "2.5 GB")],
)
def test_size(octets: float | None, text: str) -> None:
    assert fmt.size(octets) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.0001, "<0.1 %"), (0.123, "12.3 %"), (0.9999, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert fmt.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (3, "3 s"), (150, "2 min"), (3 * 3600, "3 h"), (5 * 86400, "5 d")],
)
def test_age(seconds: float, text: str) -> None:
    assert fmt.age(seconds) == text


def test_timestamp_is_utc() -> None:
    assert fmt.timestamp(0) == "1970-01-01T00:00:00Z"


def test_speedup() -> None:
    assert fmt.speedup(100, 10) == "10×"
    assert fmt.speedup(14, 10) == "1.4×"
    assert fmt.speedup(5, 0) == "–"


def test_texts_from_the_wire_cannot_drive_the_terminal() -> None:
    assert fmt.one_line("SELECT\n  \x1b[31m1") == "SELECT �[31m1"
    assert fmt.printable("a\r\nb\tc\x07") == "a\nb\tc�"


def test_clip_says_that_it_cut() -> None:
    assert fmt.clip("abcdef", 6) == "abcdef"
    assert fmt.clip("abcdef", 4) == "abc…"
    assert fmt.clip("abcdef", 0) == ""


def test_parsing_amounts() -> None:
    assert fmt.parse_duration("100ms") == 100
    assert fmt.parse_duration("1.5s") == 1500
    assert fmt.parse_duration("250us") == 0.25
    assert fmt.parse_duration("7") == 7
    assert fmt.parse_span("15m") == 900
    assert fmt.parse_span("1d") == 86400
    assert fmt.parse_count("1k") == 1000
    assert fmt.parse_count("1e5") == 100_000


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "-5s"])
def test_what_is_not_an_amount_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="is not a span of time such as 90s"):
        fmt.parse_span(text)


def test_one_is_not_plural() -> None:
    assert fmt.counted(1, "call") == "1 call"
    assert fmt.counted(0, "call") == "0 calls"
    assert fmt.counted(1200, "query", "queries") == "1,200 queries"
    assert fmt.counted(1, "query", "queries") == "1 query"
    assert fmt.counted(0.6, "row") == "1 row"  # as it is printed
