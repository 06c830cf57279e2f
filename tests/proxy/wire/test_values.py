from __future__ import annotations

import math
import struct
import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.scratch import ScratchServer
from proxy.wire import values
from proxy.wire.numbers import float4_text, float8_text
from proxy.wire.values import array_length, canonical, comparable, decode_text

# Expressions whose text and binary results must come out equal, by the server's own functions.
EXPRESSIONS = [
    "32767::int2",
    "(-32768)::int2",
    "2147483647::int4",
    "(-1)::int4",
    "(-9223372036854775808)::int8",
    "4294967295::oid",
    "true",
    "false",
    "'Grüße, 世界'::text",
    "''::varchar",
    "'ab'::char(5)",
    "'pg_class'::name",
    "'q'::\"char\"",
    "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid",
    "0::numeric",
    "0.000::numeric",
    "12345678901234567890.12340000::numeric",
    "0.00001234::numeric",
    "(-99990000)::numeric",
    "1e40::numeric",
    "1e-30::numeric",
    "'NaN'::numeric",
    "'Infinity'::numeric",
    "'-Infinity'::numeric",
    "1e23::float8",
    "5e-324::float8",
    "1.7976931348623157e308::float8",
    "1e15::float8",
    "123456789012345::float8",
    "0.0001::float8",
    "0.00001::float8",
    "'-0'::float8",
    "'NaN'::float8",
    "'-Infinity'::float8",
    "0.1::float4",
    "999999::float4",
    "1e6::float4",
    "1e-45::float4",
    "'2024-02-29'::date",
    "'0044-03-15 BC'::date",
    "'4713-01-01 BC'::date",
    "'12024-12-31'::date",
    "'infinity'::date",
    "'-infinity'::date",
    "'00:00'::time",
    "'24:00'::time",
    "'12:34:56.7'::time",
    "'2024-02-29 23:59:59.999999'::timestamp",
    "'1999-12-31 23:59:59.5'::timestamp",
    "'0001-01-01 12:00:00.25 BC'::timestamp",
    "'infinity'::timestamp",
    "'2024-07-01 12:00:00+02'::timestamptz",
    "'-infinity'::timestamptz",
    "'\\xdeadbeef'::bytea",
    "''::bytea",
    "'{\"a\": [1, null]}'::json",
    "'{\"a\": [1, null]}'::jsonb",
    "'{}'::int4[]",
    "'{1,NULL,3}'::int4[]",
    "'{{1,2},{3,4}}'::int8[]",
    "'[0:1]={5,6}'::int2[]",
    "array['a b', 'c,d', '', 'NULL', 'q\"r\\s', '{}', 'plain', 'tab\there']::text[]",
    "array['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']::uuid[]",
    "array[true, false]",
    "array[1.50, 2]::numeric[]",
    "array['2024-01-01 10:00']::timestamp[]",
    "array['\\xff'::bytea]",
]


def both_formats(connection: psycopg.Connection, expression: str) -> tuple[int, bytes | None, bytes | None]:
    """The type's OID and the value as the server sends it in text and in binary."""
    seen: list[bytes | None] = []
    oid = 0
    for binary in (False, True):
        cursor = connection.execute(psycopg.sql.SQL(f"SELECT {expression}"), binary=binary)
        result = cursor.pgresult
        assert result is not None
        oid = result.ftype(0)
        seen.append(result.get_value(0, 0))
    return oid, seen[0], seen[1]


@pytest.fixture(scope="module")
def connection(pg: ScratchServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(pg.dsn(), autocommit=True) as conn:
        conn.execute("SET timezone TO 'UTC'")
        yield conn


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_binary_form_becomes_the_servers_text(connection: psycopg.Connection, expression: str) -> None:
    oid, text, binary = both_formats(connection, expression)
    assert text is not None
    assert binary is not None
    from_text, from_binary = canonical(text, 0, oid), canonical(binary, 1, oid)
    assert from_binary == from_text
    assert from_text == (text.rstrip() if oid == values.BPCHAR else text)


def test_powers_of_two_and_of_ten_agree_with_the_server(connection: psycopg.Connection) -> None:
    """Where the neighbours of a float lie at different distances, or halfway points are short decimals."""
    doubles = [math.ldexp(sign, exponent) for exponent in range(-1074, 1024) for sign in (1.0, -1.0)]
    doubles += [float(f"{digit}e{exponent}") for digit in range(1, 10) for exponent in range(-300, 300)]
    singles = [math.ldexp(1.0, exponent) for exponent in range(-149, 128)]
    for name, numbers, write in (("float8", doubles, float8_text), ("float4", singles, float4_text)):
        shown = connection.execute(
            psycopg.sql.SQL(
                f"SELECT x::{name}::text FROM unnest(%s::text[]) WITH ORDINALITY u (x, n) ORDER BY n"
            ),
            [[repr(number) for number in numbers]],
        ).fetchall()
        assert [write(number).decode() for number in numbers] == [text for (text,) in shown]


def test_random_values_agree_with_the_server(connection: psycopg.Connection) -> None:
    """Floats, numerics, dates and timestamps of any size, in one statement each."""

    def agree(type_name: str, text: str) -> None:
        oid, shown, binary = both_formats(connection, f"'{text}'::{type_name}")
        assert shown is not None
        assert binary is not None
        assert canonical(binary, 1, oid) == shown

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=9),
        st.datetimes(),
    )
    def check(double: float, single: float, decimal: Decimal, moment: datetime) -> None:
        agree("float8", repr(double))
        agree("float4", repr(single))
        agree("numeric", f"{decimal:f}")
        agree("timestamp", moment.isoformat(sep=" "))
        agree("date", moment.date().isoformat())

    check()


@pytest.mark.parametrize(
    ("raw", "oid"),
    [
        (b"\x00\x00\x01", values.INT4),
        (b"", values.BOOL),
        (b"\x01" * 15, values.UUID),
        (b"\x00\x01\x00\x00\x00\x00\x00\x00", values.NUMERIC),
        (b"\x02{}", values.JSONB),
        (b"\x00" * 7, values.TIMESTAMP),
        (struct.pack("!iIIii", 1, 0, 23, 1_000_000_000, 1), 1007),
        (struct.pack("!iIIiii", 1, 0, 23, 1, 1, 50), 1007),
        (b"anything", 99_999),
    ],
)
def test_malformed_or_unknown_binary_is_none(raw: bytes, oid: int) -> None:
    assert canonical(raw, 1, oid) is None


@given(
    st.binary(max_size=80),
    st.sampled_from([0, 1]),
    st.sampled_from([*values.ELEMENT_OF, *values.ELEMENT_OF.values(), 0]),
)
def test_no_bytes_raise(raw: bytes, format: int, oid: int) -> None:
    text = canonical(raw, format, oid)
    array_length(raw, format, oid)
    if text is not None:
        assert comparable(comparable(text)) == comparable(text)


def test_text_parameters_of_types_with_many_spellings() -> None:
    assert canonical(b" TRUE ", 0, values.BOOL) == b"t"
    assert canonical(b"off", 0, values.BOOL) == b"f"
    assert canonical(b"{A0EEBC999C0B4EF8BB6D6BB9BD380A11}", 0, values.UUID) == (
        b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    )
    assert canonical(b"ab   ", 0, values.BPCHAR) == b"ab"
    assert canonical(b"ab   ", 0, values.TEXT) == b"ab   "


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"42", b"42.00"),
        (b"+42", b"42"),
        (b"-0", b"0.0"),
        (b"0.5", b"0.50"),
        (b"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", b"a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        (b"2024-07-01 12:00:00+02", b"2024-07-01T10:00:00Z"),
        (b"2024-07-01 12:00:00.500+05:30", b"2024-07-01 06:30:00.5+00"),
        (b"2024-07-01 12:00", b"2024-07-01T12:00:00.000"),
    ],
)
def test_equal_values_fold_to_the_same_bytes(one: bytes, other: bytes) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"007", b"7"),
        (b"7", b"70"),
        (b"", b"0"),
        (b"-1", b"1"),
        (b"2024-07-01 12:00", b"2024-07-01 12:00+00"),
        (b"2024-13-01 12:00", b"2025-01-01 12:00"),
        (b"Abc", b"abc"),
    ],
)
def test_different_values_stay_apart(one: bytes, other: bytes) -> None:
    assert comparable(one) != comparable(other)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_numbers_fold_by_value(number: Decimal) -> None:
    folded = comparable(f"{number:f}".encode())
    assert Decimal(folded.decode()) == number
    assert folded == comparable(f"{number:f}00".encode())


@given(st.uuids())
def test_every_spelling_of_a_uuid_is_one_value(value: uuid.UUID) -> None:
    canonical_form = str(value).encode()
    assert canonical(value.bytes, 1, values.UUID) == canonical_form
    assert comparable(str(value).upper().encode()) == canonical_form


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (b"{}", 0),
        (b"{1,2,3}", 3),
        (b'{"a,b","c\\"d",e}', 3),
        (b"{{1,2},{3,4}}", 4),
        (b"[0:1]={5,6}", 2),
        (b'{""}', 1),
        (b"{a\\,b}", 1),
        (b"not an array", None),
        (b'{"open}', None),
    ],
)
def test_length_of_a_text_array(text: bytes, length: int | None) -> None:
    assert array_length(text, 0, 0) == length


def test_length_of_a_binary_array() -> None:
    raw = struct.pack("!iIIiiiiii", 1, 0, 23, 2, 1, 4, 7, 4, 8)
    assert array_length(raw, 1, 1007) == 2
    assert canonical(raw, 1, 1007) == b"{7,8}"
    assert array_length(struct.pack("!iII", 0, 0, 23), 1, 1007) == 0
    assert array_length(raw, 1, 23) is None
    assert array_length(raw[:9], 1, 1007) is None


def test_text_is_decoded_by_the_clients_encoding() -> None:
    assert decode_text(b"\xe9", "LATIN1") == "é"
    assert decode_text("é".encode(), "UTF8") == "é"
    assert decode_text(b"\xe9", "UTF8") == "\ufffd"
