"""Heads of messages: what an observer needs from a body, and no more.

Every reader takes ``(buffer, start, end)`` with the body at ``buffer[start:end]``, which may be only its
head (see ``proxy.wire.framing``). They are defensive on both sides: what is malformed or missing gives
empty values, never an exception, because judging it is for the server.

Format: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, unpack_from

_INT32 = Struct("!i")
_UINT32 = Struct("!I")
_UINT16 = Struct("!H")
_COLUMN = Struct("!IhIhih")

MAX_NAME = 63
"""NAMEDATALEN − 1: PostgreSQL tells statement and portal names apart by that many bytes."""


def cstring(buffer: bytes, start: int, end: int) -> tuple[bytes, int]:
    """The bytes up to the zero byte, and the position behind it; up to ``end`` if there is none."""
    stop = buffer.find(0, start, end)
    if stop < 0:
        return buffer[start:end], end
    return buffer[start:stop], stop + 1


def name(buffer: bytes, start: int, end: int) -> tuple[bytes, int]:
    """As ``cstring``, cut to what PostgreSQL distinguishes."""
    if start < end and buffer[start] == 0:
        return b"", start + 1
    stop = buffer.find(0, start, end)
    if stop < 0:
        return buffer[start:end][:MAX_NAME], end
    if stop - start > MAX_NAME:
        return buffer[start : start + MAX_NAME], stop + 1
    return buffer[start:stop], stop + 1


def query(buffer: bytes, start: int, end: int, size: int, cap: int) -> tuple[bytes, int]:
    """Query: at most ``cap`` bytes of the text, and its true length in bytes."""
    length = size - 1 if size > 0 else 0
    return buffer[start : start + min(length, cap, end - start)], length


def parse(
    buffer: bytes, start: int, end: int, size: int, cap: int
) -> tuple[bytes, bytes, int, tuple[int, ...]]:
    """Parse: statement name, at most ``cap`` bytes of the text, its true length, parameter type OIDs.

    The OIDs stand behind the text. When the head ends before them they are unknown (empty), and the
    length is then an upper bound that counts them in.
    """
    statement, pos = name(buffer, start, end)
    stop = buffer.find(0, pos, end)
    if stop < 0:
        length = max(0, size - (pos - start) - 3)
        return statement, buffer[pos : min(end, pos + cap, pos + length)], length, ()
    oids, _ = _words(buffer, stop + 1, end, 4)
    return statement, buffer[pos : min(stop, pos + cap)], stop - pos, oids


class Bind:
    """The head of a Bind message; created once per execution, hence a plain class."""

    __slots__ = ("formats", "params", "portal", "result_formats", "statement")

    def __init__(self, portal: bytes, statement: bytes) -> None:
        self.portal = portal
        self.statement = statement
        self.formats: tuple[int, ...] = ()
        self.params: list[bytes | None] | None = None
        """None when they are longer than the cap, cut off or malformed."""
        self.result_formats: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the values that are kept."""
        size = 0
        if self.params is not None:
            for value in self.params:
                if value is not None:
                    size += len(value)
        return size


def bind(buffer: bytes, start: int, end: int, size: int, cap: int) -> Bind:
    """Bind: names, formats and the raw values if formats and values take at most ``cap`` bytes."""
    portal, pos = name(buffer, start, end)
    statement, pos = name(buffer, pos, end)
    head = Bind(portal, statement)
    if end - start < size or end - pos > cap or end - pos < 6:
        return head
    formats: tuple[int, ...] = ()
    # No formats at all means all text: what most text-mode clients send.
    if buffer[pos] or buffer[pos + 1]:
        formats, pos = _words(buffer, pos, end, 2)
        if end - pos < 4:
            return head
    else:
        pos += 2
    (count,) = _UINT16.unpack_from(buffer, pos)
    pos += 2
    params: list[bytes | None] = []
    length_at = _INT32.unpack_from
    for _ in range(count):
        if end - pos < 4:
            return head
        length = length_at(buffer, pos)[0]
        pos += 4
        if length < 0:
            params.append(None)
        elif length > end - pos:
            return head
        else:
            params.append(buffer[pos : pos + length])
            pos += length
    head.formats = formats
    head.params = params
    if end - pos > 2:
        head.result_formats, _ = _words(buffer, pos, end, 2)
    return head


def _words(buffer: bytes, pos: int, end: int, width: int) -> tuple[tuple[int, ...], int]:
    """A counted array of 2- or 4-byte words, and the position behind it; empty if it is cut off."""
    if end - pos < 2:
        return (), end
    (count,) = _UINT16.unpack_from(buffer, pos)
    pos += 2
    if count == 0:
        return (), pos
    if count * width > end - pos:
        return (), end
    return unpack_from(f"!{count}{'H' if width == 2 else 'I'}", buffer, pos), pos + count * width


def target(buffer: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Describe, Close: ``S`` (statement) or ``P`` (portal) as a byte value, 0 if missing; the name."""
    if end <= start:
        return 0, b""
    return buffer[start], name(buffer, start + 1, end)[0]


def execute(buffer: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Execute: portal name and maximum number of rows, 0 for all."""
    portal, pos = name(buffer, start, end)
    return portal, _INT32.unpack_from(buffer, pos)[0] if end - pos >= 4 else 0


def function_call(buffer: bytes, start: int, end: int) -> int:
    """FunctionCall: OID of the function, 0 if missing."""
    return int(_UINT32.unpack_from(buffer, start)[0]) if end - start >= 4 else 0


def command_tag(buffer: bytes, start: int, end: int) -> bytes:
    """CommandComplete: the tag, without its zero byte."""
    if end > start and buffer[end - 1] == 0:
        return buffer[start : end - 1]
    return buffer[start:end]


def tag_rows(tag: bytes) -> int:
    """The tag's last integer: rows of INSERT, SELECT, COPY and so on; 0 where a tag counts nothing."""
    word = tag[tag.rfind(b" ") + 1 :]
    return int(word) if word.isdigit() and len(word) < 20 else 0


def tag_verb(tag: bytes) -> bytes:
    """The tag without its integers: ``INSERT``, ``CREATE TABLE``."""
    words = tag.split(b" ")
    while words and words[-1].isdigit():
        words.pop()
    return b" ".join(words)


def error_fields(buffer: bytes, start: int, end: int) -> dict[str, bytes]:
    """ErrorResponse, NoticeResponse: the fields by their letter, as far as they can be read."""
    fields: dict[str, bytes] = {}
    pos = start
    while pos < end and buffer[pos] != 0:
        code = chr(buffer[pos])
        fields[code], pos = cstring(buffer, pos + 1, end)
    return fields


def sqlstate(buffer: bytes, start: int, end: int) -> bytes:
    """ErrorResponse: five letters or digits; ``XX000`` (internal error) when the server sent none."""
    code = error_fields(buffer, start, end).get("C", b"")
    return code if len(code) == 5 and code.isalnum() else b"XX000"


def parameter_status(buffer: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """ParameterStatus: name and value."""
    key, pos = cstring(buffer, start, end)
    return key, cstring(buffer, pos, end)[0]


def backend_pid(buffer: bytes, start: int, end: int) -> int:
    """BackendKeyData: the process id. The key is not read."""
    return int(_UINT32.unpack_from(buffer, start)[0]) if end - start >= 4 else 0


def parameter_description(buffer: bytes, start: int, end: int) -> tuple[int, ...]:
    """ParameterDescription: type OIDs; empty if cut off."""
    return _words(buffer, start, end, 4)[0]


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """A column of a result as RowDescription names it."""

    name: bytes
    table_oid: int
    """0 when the column is not a plain column of a table; ``attnum`` likewise."""
    attnum: int
    type_oid: int
    type_modifier: int
    format: int
    """0 text, 1 binary; 0 also where it was not known yet (description of a statement)."""


def row_description(body: bytes) -> list[ColumnDescription]:
    """RowDescription: its columns, as far as the body goes."""
    columns: list[ColumnDescription] = []
    end = len(body)
    if end < 2:
        return columns
    (count,) = _UINT16.unpack_from(body, 0)
    pos = 2
    for _ in range(count):
        column, pos = cstring(body, pos, end)
        if end - pos < _COLUMN.size:
            break
        table_oid, attnum, type_oid, _, modifier, fmt = _COLUMN.unpack_from(body, pos)
        pos += _COLUMN.size
        columns.append(ColumnDescription(column, table_oid, attnum, type_oid, modifier, fmt))
    return columns
