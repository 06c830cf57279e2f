"""Numbers of the binary format, printed as the server prints them.

``numeric`` is sent as digits of base 10,000 (numeric_send in numeric.c). Floats are printed in the
shortest form that reads back as the same float, in fixed notation for small exponents and scientific
beyond (src/common/d2s.c and f2s.c; extra_float_digits 1, the default since PostgreSQL 12).
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Final

_NUMERIC_NEGATIVE: Final = 0x4000
_NUMERIC_SPECIAL: Final = {0xC000: b"NaN", 0xD000: b"Infinity", 0xF000: b"-Infinity"}
_FLOAT8_FIXED_BELOW: Final = 15
_FLOAT4_FIXED_BELOW: Final = 6
_FIXED_FROM: Final = -4


def numeric_text(raw: bytes) -> bytes:
    """Text of a binary numeric with its display scale. Raises ValueError or struct.error when malformed."""
    count, weight, sign, scale = struct.unpack_from("!hhHH", raw)
    special = _NUMERIC_SPECIAL.get(sign)
    if special is not None:
        return special
    if count < 0 or len(raw) != 8 + 2 * count:
        raise ValueError("numeric digits do not fill the value")
    groups = struct.unpack_from(f"!{count}h", raw, 8)
    if any(not 0 <= group <= 9999 for group in groups):
        raise ValueError("numeric digit out of range")
    whole = "".join(f"{groups[i] if i < count else 0:04d}" for i in range(weight + 1)).lstrip("0") or "0"
    text = "-" + whole if sign == _NUMERIC_NEGATIVE else whole
    if scale:
        first = weight + 1
        needed = (scale + 3) // 4
        fraction = "".join(f"{groups[i] if 0 <= i < count else 0:04d}" for i in range(first, first + needed))
        text += "." + fraction[:scale]
    return text.encode("ascii")


def float8_text(value: float) -> bytes:
    """Text of a double precision value."""
    special = _special(value)
    if special is not None:
        return special
    below, above = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
    shortest = len(repr(abs(value)).partition("e")[0].replace(".", "").strip("0"))
    return _shortest(value, below, above, max(1, shortest), _FLOAT8_FIXED_BELOW)


def float4_text(value: float) -> bytes:
    """Text of a single precision value that was widened to a Python float."""
    special = _special(value)
    if special is not None:
        return special
    below, above = _neighbours4(value)
    return _shortest(value, below, above, 1, _FLOAT4_FIXED_BELOW)


def _special(value: float) -> bytes | None:
    if math.isnan(value):
        return b"NaN"
    if math.isinf(value):
        return b"Infinity" if value > 0 else b"-Infinity"
    if value == 0:
        return b"-0" if math.copysign(1.0, value) < 0 else b"0"
    return None


def _shortest(value: float, below: float, above: float, digits: int, fixed_below: int) -> bytes:
    """The fewest digits that fall strictly between the halfway points to the neighbours.

    Strictly: PostgreSQL builds Ryu without accepting the bounds themselves, so 1e23 is printed as
    9.999999999999999e+22 there, other than in Python.
    """
    exact = Fraction(value)
    low = (exact + Fraction(below)) / 2 if math.isfinite(below) else exact - (Fraction(above) - exact) / 2
    high = (exact + Fraction(above)) / 2 if math.isfinite(above) else exact + (exact - Fraction(below)) / 2
    text = ""
    for count in range(digits, 18):
        text = f"{value:.{count - 1}e}"
        if low < Fraction(text) < high:
            break
        # Below a power of two the neighbour is nearer: a tie may have been rounded to the wrong side of it.
        text = _one_further(text, count)
        if low < Fraction(text) < high:
            break
    mantissa, _, exponent_text = text.partition("e")
    return _layout(mantissa, int(exponent_text), fixed_below)


def _one_further(text: str, count: int) -> str:
    """The next number of ``count`` digits away from zero."""
    number = Decimal(text)
    return f"{number + Decimal((number.is_signed(), (1,), number.adjusted() - count + 1)):.{count - 1}e}"


def _layout(mantissa: str, exponent: int, fixed_below: int) -> bytes:
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    if not _FIXED_FROM <= exponent < fixed_below:
        point = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".encode("ascii")
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}".encode("ascii")
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}{'.' + fraction if fraction else ''}".encode("ascii")


def _neighbours4(value: float) -> tuple[float, float]:
    (bits,) = struct.unpack("!I", struct.pack("!f", abs(value)))
    smaller: float = struct.unpack("!f", struct.pack("!I", bits - 1))[0]
    larger: float = struct.unpack("!f", struct.pack("!I", bits + 1))[0]
    return (smaller, larger) if value > 0 else (-larger, -smaller)
