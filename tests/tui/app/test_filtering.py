"""The filter language of the query list."""

from __future__ import annotations

import msgspec
import pytest

from tui.app.filtering import FilterError, parse
from tui.app.rows import QueryRow
from workload.model import Query

ROW = QueryRow(
    query=Query(
        id=1,
        fingerprint="0" * 16,
        database="shop",
        query="SELECT * FROM orders WHERE id = $1",
        first_seen=0,
        last_seen=0,
        calls=1500,
        errors=2,
        rows=1500,
        bytes=0,
        timed_calls=1500,
        total_ms=3000,
        mean_ms=2,
        p50_ms=1.5,
        p95_ms=60,
        p99_ms=110,
        max_ms=200,
        kind="select",
        tables=("public.orders",),
        applications=("web",),
        parse_error=False,
    ),
    load=0.25,
    flags="NE",
    text="SELECT * FROM orders WHERE id = $1",
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "ORDERS select",
        "p95>50ms",
        "p95>=60ms p95<0.1s",
        "d<3",
        "mean=2ms",
        "total>1s",
        "calls>1k",
        "errors>1 rows>1e3",
        "load>20%",
        "load<30",
        "op:select",
        "table:orders",
        "db:sho",
        "app:web",
        "is:n+1 is:error",
        "!customers",
        "!is:slow !is:advice",
        "!calls>1M",
        "id",
    ],
)
def test_what_lets_the_row_through(text: str) -> None:
    assert parse(text)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "customers",
        "orders customers",
        "p95>1s",
        "calls<10",
        "op:insert",
        "table:items",
        "is:slow",
        "!orders",
        "load>50%",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not parse(text)(ROW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p95>soon", "p95>…: 'soon' is not a duration such as 250us"),
        ("calls>many", "calls>…: 'many' is not a number such as 100"),
        ("is:big", "is:big is not known; there are is:slow"),
    ],
)
def test_what_cannot_be_understood_says_what_could(text: str, message: str) -> None:
    with pytest.raises(FilterError, match=message.replace("+", r"\+")):
        parse(text)


def test_a_comparison_with_an_unknown_name_is_text() -> None:
    row = msgspec.structs.replace(ROW.query, query="SELECT 1 WHERE a>1")
    assert parse("a>1")(QueryRow(query=row, load=0, flags="", text=row.query))


def test_a_name_without_a_value_is_text() -> None:
    assert not parse("table:")(ROW)
