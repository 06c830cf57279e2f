"""Values on the wire, brought to one text form.

The same value reaches us in many spellings: in text or binary format, as a column, as a Bind parameter or
as a literal lexed out of the SQL. Two forms are made of it here.

``canonical``
    what the server itself would print for the value (DateStyle ISO, bytea_output hex, extra_float_digits
    1, UTC): made to be read by people and to be sent back as a text parameter of the same type.
    Text stays as it was sent, save where the type gives one value many texts (bool, uuid, bpchar).
``comparable``
    made to be compared and hashed only: it folds the differences that types leave between equal
    values, so that int ``42`` equals numeric ``42.00``, an upper-case UUID literal equals the column's,
    and a timestamptz equals itself in another time zone. Never show or replay it.

Bytes stay in the client's encoding; ``decode_text`` makes a str of them.

Binary layouts: the ``*_send`` functions of PostgreSQL (src/backend/utils/adt: numeric.c, date.c,
timestamp.c, arrayfuncs.c, float.c).
"""

from __future__ import annotations

import re
import struct
from typing import Final

from proxy.wire.datetimes import date_text, fold_timestamp, time_text, timestamp_text
from proxy.wire.numbers import float4_text, float8_text, numeric_text

BOOL: Final = 16
BYTEA: Final = 17
INT8: Final = 20
INT2: Final = 21
INT4: Final = 23
TEXT: Final = 25
OID: Final = 26
FLOAT4: Final = 700
FLOAT8: Final = 701
BPCHAR: Final = 1042
VARCHAR: Final = 1043
DATE: Final = 1082
TIME: Final = 1083
TIMESTAMP: Final = 1114
TIMESTAMPTZ: Final = 1184
NUMERIC: Final = 1700
UUID: Final = 2950
JSONB: Final = 3802

# "char", name, text, json, xml, unknown, bpchar, varchar: binary format is the text.
_TEXTUAL: Final = frozenset({18, 19, TEXT, 114, 142, 705, BPCHAR, VARCHAR})
_SIGNED: Final = {INT2: 2, INT4: 4, INT8: 8}
# oid, xid, cid: four bytes without a sign.
_UNSIGNED: Final = frozenset({OID, 28, 29})

ELEMENT_OF: Final[dict[int, int]] = {
    1000: BOOL,
    1001: BYTEA,
    1002: 18,
    1003: 19,
    1005: INT2,
    1007: INT4,
    1009: TEXT,
    1014: BPCHAR,
    1015: VARCHAR,
    1016: INT8,
    1021: FLOAT4,
    1022: FLOAT8,
    1028: OID,
    1115: TIMESTAMP,
    1182: DATE,
    1183: TIME,
    1185: TIMESTAMPTZ,
    1231: NUMERIC,
    199: 114,
    2951: UUID,
    3807: JSONB,
}
"""Array type OID to the OID of its elements (src/include/catalog/pg_type.dat)."""

_TRUE: Final = frozenset({b"t", b"true", b"y", b"yes", b"on", b"1"})
_FALSE: Final = frozenset({b"f", b"false", b"n", b"no", b"off", b"0"})
_UUID: Final = re.compile(
    rb"\{?[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\}?"
)
_NUMBER: Final = re.compile(rb"([+-]?)(0|[1-9][0-9]*)(?:\.([0-9]*))?")
_NEEDS_QUOTES: Final = re.compile(rb'[{}",\\\s]')
_MAX_ARRAY_DIMENSIONS: Final = 6

# client_encoding as the server reports it, to Python's codec. What is missing is read as UTF-8.
_CODECS: Final = {
    "LATIN1": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN9": "iso8859-15",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "SQL_ASCII": "latin-1",
    "EUC_JP": "euc_jp",
    "SJIS": "cp932",
    "EUC_KR": "euc_kr",
    "EUC_CN": "gb2312",
    "GBK": "gbk",
    "GB18030": "gb18030",
    "BIG5": "big5",
    "KOI8R": "koi8-r",
}


def canonical(raw: bytes, format: int, oid: int) -> bytes | None:
    """The text of a value; None when its binary form is of a type not known here, or malformed.

    ``format`` is 0 for text and 1 for binary, ``oid`` the type's OID, 0 where unknown. Never raises.
    """
    if format == 0:
        return _canonical_text(raw, oid)
    try:
        return _canonical_binary(raw, oid)
    except (struct.error, ValueError, IndexError, OverflowError):
        return None


def comparable(text: bytes) -> bytes:
    """A canonical text folded so that equal values of related types become the same bytes.

    Numbers lose a plus sign and trailing zeros of the fraction (leading zeros stay: ``007`` is a code,
    not a number), UUIDs become lower-case with dashes, timestamps with an offset move to UTC, a ``T``
    between date and time becomes a blank. Everything else is returned as it is.
    """
    if text.isdigit() and not text.startswith(b"0"):
        return text
    if not text or len(text) > 64:
        return text
    first = text[0]
    if 0x30 <= first <= 0x39 or first in b"+-":
        number = _NUMBER.fullmatch(text)
        if number is not None:
            return _fold_number(number[1], number[2], number[3] or b"")
        stamp = fold_timestamp(text)
        if stamp is not None:
            return stamp
    if len(text) >= 32 and _UUID.fullmatch(text):
        return _uuid_text(bytes.fromhex(text.translate(None, b"-{}").decode("ascii")))
    return text


def decode_text(raw: bytes, client_encoding: str = "UTF8") -> str:
    """Bytes of the client's encoding as str; bytes that do not belong to it become U+FFFD."""
    return raw.decode(_CODECS.get(client_encoding.upper(), "utf-8"), errors="replace")


def encode_text(text: str, client_encoding: str = "UTF8") -> bytes:
    """A str as bytes of the client's encoding, as ``decode_text`` reads it back; ``?`` for what it lacks."""
    return text.encode(_CODECS.get(client_encoding.upper(), "utf-8"), errors="replace")


def array_length(raw: bytes, format: int, oid: int) -> int | None:
    """Number of elements of an array value over all its dimensions; None when it is not an array.

    A text of unknown type (``oid`` 0) counts as an array when it is written like one: ``{1,2,3}``.
    """
    if oid != 0 and oid not in ELEMENT_OF:
        return None
    if format == 0:
        return _text_array_length(raw)
    if oid == 0:
        return None
    try:
        return _binary_array_length(raw)
    except (struct.error, ValueError):
        return None


def _canonical_text(raw: bytes, oid: int) -> bytes:
    if oid == BOOL:
        lowered = raw.strip().lower()
        if lowered in _TRUE:
            return b"t"
        if lowered in _FALSE:
            return b"f"
    elif oid == BPCHAR:
        return raw.rstrip(b" ")
    elif oid == UUID and _UUID.fullmatch(raw):
        return _uuid_text(bytes.fromhex(raw.translate(None, b"-{}").decode("ascii")))
    return raw


def _canonical_binary(raw: bytes, oid: int) -> bytes | None:
    width = _SIGNED.get(oid)
    if width is not None:
        _expect(raw, width)
        return b"%d" % int.from_bytes(raw, "big", signed=True)
    if oid in _TEXTUAL:
        return raw.rstrip(b" ") if oid == BPCHAR else raw
    if oid == UUID:
        _expect(raw, 16)
        return _uuid_text(raw)
    if oid in _UNSIGNED:
        _expect(raw, 4)
        return b"%d" % int.from_bytes(raw, "big")
    if oid == BOOL:
        _expect(raw, 1)
        return b"t" if raw[0] else b"f"
    if oid == BYTEA:
        return b"\\x" + raw.hex().encode("ascii")
    if oid == JSONB:
        return raw[1:] if raw[:1] == b"\x01" else None
    element = ELEMENT_OF.get(oid)
    if element is not None:
        return _array_text(raw, element)
    return _number_or_instant(raw, oid)


def _number_or_instant(raw: bytes, oid: int) -> bytes | None:
    if oid == NUMERIC:
        return numeric_text(raw)
    if oid == FLOAT8:
        return float8_text(struct.unpack("!d", raw)[0])
    if oid == FLOAT4:
        return float4_text(struct.unpack("!f", raw)[0])
    if oid == DATE:
        return date_text(struct.unpack("!i", raw)[0])
    if oid == TIME:
        return time_text(struct.unpack("!q", raw)[0])
    if oid in (TIMESTAMP, TIMESTAMPTZ):
        return timestamp_text(struct.unpack("!q", raw)[0], zone=oid == TIMESTAMPTZ)
    return None


def _expect(raw: bytes, width: int) -> None:
    if len(raw) != width:
        raise ValueError(f"{len(raw)} bytes where {width} were expected")


def _uuid_text(raw: bytes) -> bytes:
    digits = raw.hex().encode("ascii")
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _fold_number(sign: bytes, whole: bytes, fraction: bytes) -> bytes:
    fraction = fraction.rstrip(b"0")
    digits = whole + b"." + fraction if fraction else whole
    return b"-" + digits if sign == b"-" and digits != b"0" else digits


def _array_header(raw: bytes) -> tuple[int, list[tuple[int, int]], int]:
    """Element OID, (length, lower bound) of each dimension, and where the elements begin."""
    dimensions, _has_nulls, element = struct.unpack_from("!iII", raw)
    if not 0 <= dimensions <= _MAX_ARRAY_DIMENSIONS:
        raise ValueError(f"array of {dimensions} dimensions")
    bounds = [struct.unpack_from("!ii", raw, 12 + 8 * index) for index in range(dimensions)]
    if any(length < 0 for length, _lower in bounds):
        raise ValueError("array dimension of negative length")
    return element, bounds, 12 + 8 * dimensions


def _binary_array_length(raw: bytes) -> int:
    _element, bounds, _start = _array_header(raw)
    if not bounds:
        return 0
    total = 1
    for length, _lower in bounds:
        total *= length
    return total


def _array_text(raw: bytes, element_oid: int) -> bytes | None:
    """As array_out writes it, lower bounds included where they are not 1."""
    _element, bounds, position = _array_header(raw)
    total = _binary_array_length(raw)
    if total == 0:
        return b"{}"
    if total > len(raw):
        raise ValueError("array claims more elements than it has bytes")
    items: list[bytes] = []
    for _ in range(total):
        (size,) = struct.unpack_from("!i", raw, position)
        position += 4
        if size < 0:
            items.append(b"NULL")
            continue
        if position + size > len(raw):
            raise ValueError("array element runs past the end")
        text = _canonical_binary(raw[position : position + size], element_oid)
        if text is None:
            return None
        items.append(_array_item(text))
        position += size
    for length, _lower in reversed(bounds):
        items = [b"{" + b",".join(items[at : at + length]) + b"}" for at in range(0, len(items), length)]
    if any(lower != 1 for _length, lower in bounds):
        prefix = b"".join(b"[%d:%d]" % (lower, lower + length - 1) for length, lower in bounds)
        return prefix + b"=" + items[0]
    return items[0]


def _array_item(text: bytes) -> bytes:
    if not text or text.upper() == b"NULL" or _NEEDS_QUOTES.search(text):
        return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return text


def _text_array_length(raw: bytes) -> int | None:
    """Count the elements of ``{…}`` without building them; None when it is not an array's text."""
    text = raw.strip()
    if text.startswith(b"[") and b"=" in text:
        text = text[text.index(b"=") + 1 :]
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return None
    count, in_element, quoted, position = 0, False, False, 0
    while position < len(text):
        byte = text[position]
        if quoted:
            if byte == 0x5C:
                position += 1
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = in_element = True
        elif byte in b",}":
            count += in_element
            in_element = False
        elif byte not in b"{ \t\n":
            in_element = True
            if byte == 0x5C:
                position += 1
        position += 1
    return None if quoted else count
