"""SQL for people: laid out over lines, and samples with their parameters filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui.format import printable

LONGEST_PRETTY = 20_000
"""Characters beyond which a statement is shown as it is: laying it out would take seconds."""

NUMERIC_OIDS = frozenset({20, 21, 23, 26, 700, 701, 1700})
"""int8, int2, int4, oid, float4, float8, numeric (pg_type.dat)."""
BOOL_OID = 16

_NUMBER = re.compile(r"^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$")
_PLACEHOLDER = re.compile(
    r"""
      "(?:[^"]|"")*"                      # a quoted identifier
    | \b[eE]'(?:[^'\\]|''|\\.)*'          # an escape string
    | '(?:[^']|'')*'                      # a string
    | \$(?P<tag>[A-Za-z_]\w*)?\$.*?\$(?P=tag)?\$   # a dollar-quoted string
    | \$(?P<number>\d+)
    """,
    re.VERBOSE | re.DOTALL,
)


def pretty(sql: str) -> str:
    """The statement laid out over lines; as it is where PostgreSQL's parser rejects it."""
    text = printable(sql)
    if len(text) > LONGEST_PRETTY:
        return text
    from pglast import Error, prettify

    try:
        return prettify(text)
    except (Error, NotImplementedError, RecursionError):
        return text


def placeholders(sql: str) -> list[int]:
    """The numbers of the $n in the statement, in order of appearance."""
    return [int(found["number"]) for found in _PLACEHOLDER.finditer(sql) if found["number"]]


def runnable(sql: str, params: Sequence[str | None], oids: Sequence[int]) -> str:
    """The statement with its parameters as literals: what a person pastes into psql.

    A $n without a value stays as it is. The server reads an unknown literal with the type that its place
    asks for, so that text needs quotes only; numbers go without where their type is known to be one.
    """

    def fill(found: re.Match[str]) -> str:
        number = found["number"]
        if number is None or not 1 <= int(number) <= len(params):
            return found[0]
        place = int(number) - 1
        return literal(params[place], oids[place] if place < len(oids) else 0)

    return printable(_PLACEHOLDER.sub(fill, sql))


def literal(value: str | None, oid: int = 0) -> str:
    """A value as an SQL literal that no server setting can misread (no bare backslashes)."""
    if value is None:
        return "NULL"
    if oid in NUMERIC_OIDS and _NUMBER.match(value):
        return f"({value})" if value.startswith("-") else value
    if oid == BOOL_OID and value in ("t", "f", "true", "false"):
        return "true" if value.startswith("t") else "false"
    quoted = value.replace("'", "''")
    if "\\" in quoted:
        return "E'" + quoted.replace("\\", "\\\\") + "'"
    return f"'{quoted}'"
