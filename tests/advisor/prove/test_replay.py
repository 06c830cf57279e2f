"""Parameters as they go out, and results as they come back."""

from __future__ import annotations

import psycopg
import pytest

from advisor.prove.replay import TextParameter, array_text, run, widened_oids

ODD = [
    "",
    "NULL",
    "null",
    '"',
    "\\",
    '\\"',
    "{1,2}",
    "a,b",
    " padded ",
    "new\nline",
    "größe",
    "$1",
    "%s",
    "%",
]


async def test_arrays_come_back_as_they_were_given(shop: str) -> None:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        result = await run(
            connection, "SELECT unnest($1::text[])", [TextParameter(array_text([*ODD, None]), 0)]
        )
    assert [row[0] for row in result.rows] == [*(value.encode() for value in ODD), None]


@pytest.mark.parametrize(("oid", "column"), [(0, 25), (25, 25), (23, 23), (20, 20)])
async def test_a_parameter_has_the_type_it_is_sent_as(shop: str, oid: int, column: int) -> None:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        for _ in range(7):  # past the point where psycopg prepares
            result = await run(connection, "SELECT $1 AS v", [TextParameter("7", oid)])
            assert (result.names, result.oids, result.rows) == (("v",), (column,), ((b"7",),))


async def test_types_of_two_runs_do_not_mix(shop: str) -> None:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        for oid, type_ in ((23, b"integer"), (20, b"bigint"), (23, b"integer")):
            result = await run(connection, "SELECT pg_typeof($1)", [TextParameter("7", oid)])
            assert result.rows == ((type_,),)


async def test_null_and_percent_signs(shop: str) -> None:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        result = await run(connection, "SELECT $1::int IS NULL, 7 % 4, '%s'", [None])
    assert result.rows == ((b"t", b"3", b"%s"),)


@pytest.mark.parametrize(
    ("calls", "oids", "wide"),
    [
        ([("7",), ("70000",)], (21,), (23,)),
        ([("7",), ("5000000000",)], (21,), (20,)),
        ([("7",), (None,)], (21,), (21,)),
        ([("-32768",)], (21,), (21,)),
        ([("9223372036854775808",)], (20,), (0,)),
        ([("x", "70000")], (25, 21), (25, 23)),
        ([("x",)], (21,), (21,)),
        ([("1",)], (21, 21), (21, 21)),
    ],
)
def test_integer_types_hold_the_values_of_all_calls(
    calls: list[tuple[str | None, ...]], oids: tuple[int, ...], wide: tuple[int, ...]
) -> None:
    assert widened_oids(calls, oids) == wide
