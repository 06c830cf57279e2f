from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.numbers import float4_text, float8_text, numeric_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e23, b"9.999999999999999e+22"),
        (0.1, b"0.1"),
        (5.960464477539063e-08, b"5.960464477539063e-08"),
        (-5.960464477539063e-08, b"-5.960464477539063e-08"),
        (-0.0, b"-0"),
        (1e15, b"1e+15"),
        (999999999999999.0, b"999999999999999"),
        (1e-5, b"1e-05"),
        (0.0001, b"0.0001"),
        (float("nan"), b"NaN"),
        (float("-inf"), b"-Infinity"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
    ],
)
def test_doubles_as_the_server_prints_them(value: float, text: bytes) -> None:
    assert float8_text(value) == text


@given(st.floats(allow_nan=False))
def test_a_doubles_text_reads_back_as_itself(value: float) -> None:
    assert float(float8_text(value)) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_singles_text_reads_back_as_itself(value: float) -> None:
    text = float4_text(value)
    assert struct.unpack("!f", struct.pack("!f", float(text)))[0] == value
    assert len(text) <= len(b"-1.17549435e-38")


@pytest.mark.parametrize(
    ("count", "weight", "sign", "scale", "groups", "text"),
    [
        (0, 0, 0x0000, 0, (), b"0"),
        (0, 0, 0x0000, 2, (), b"0.00"),
        (2, 0, 0x4000, 1, (12, 5000), b"-12.5"),
        (1, 2, 0x0000, 0, (3,), b"300000000"),
        (1, -2, 0x0000, 8, (12,), b"0.00000012"),
        (0, 0, 0xC000, 0, (), b"NaN"),
    ],
)
def test_numerics(
    count: int, weight: int, sign: int, scale: int, groups: tuple[int, ...], text: bytes
) -> None:
    assert numeric_text(struct.pack(f"!hhHH{count}h", count, weight, sign, scale, *groups)) == text


@pytest.mark.parametrize(
    "raw", [b"", struct.pack("!hhHH", 3, 0, 0, 0), struct.pack("!hhHHh", 1, 0, 0, 0, 10_000)]
)
def test_malformed_numerics_raise_what_is_documented(raw: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        numeric_text(raw)
