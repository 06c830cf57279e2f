"""The little of SQL's text that the observer needs: statements that define, use or drop names.

PREPARE, EXECUTE, DEALLOCATE and CLOSE change what names mean without a message of their own. Their effect
is applied when the server's command tag says that they succeeded; here only the names are found. Texts are
bytes in the client's encoding; all that is looked at is ASCII, which every client encoding of PostgreSQL
that is safe to scan leaves alone (a wrong guess costs a name, never more).
"""

from __future__ import annotations

import re
from typing import Final

from proxy.wire.messages import MAX_NAME

# Where scanning has to stop and think: quotes, dollar quotes, comments, the end of the statement.
_INTERESTING: Final = re.compile(rb"[;'\"$]|--|/\*")
_DOLLAR_TAG: Final = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
_COMMENT_EDGE: Final = re.compile(rb"/\*|\*/")
_BLANK: Final = re.compile(rb"\s+")
_NAME: Final = rb"(\"(?:[^\"]|\"\")+\"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)"
_EXECUTE: Final = re.compile(rb"execute\s+" + _NAME, re.IGNORECASE)
_PREPARE: Final = re.compile(rb"prepare\s+" + _NAME + rb"\s*(?:\([^)]*\)\s*)?as\s+", re.IGNORECASE)
_DEALLOCATE: Final = re.compile(rb"deallocate\s+(?:prepare\s+)?" + _NAME, re.IGNORECASE)
_CLOSE: Final = re.compile(rb"close\s+" + _NAME, re.IGNORECASE)

MAY_EXECUTE: Final = frozenset(b"eE \t\r\n\f/-(")
"""First bytes of texts that may begin with EXECUTE: a check that costs nothing on the traffic path."""


def skip_blank(sql: bytes, pos: int = 0) -> int:
    """Position of the first token: blanks and comments are skipped."""
    while True:
        blank = _BLANK.match(sql, pos)
        if blank:
            pos = blank.end()
        if sql.startswith(b"--", pos):
            newline = sql.find(b"\n", pos)
            pos = len(sql) if newline < 0 else newline + 1
        elif sql.startswith(b"/*", pos):
            pos = _comment_end(sql, pos)
        elif not blank:
            return pos


def next_statement(sql: bytes, pos: int = 0) -> tuple[bytes, int]:
    """The statement at or after ``pos`` without its semicolon, and where the one after it begins.

    Empty statements are skipped, as the server does; an empty result means that there is none left.
    """
    start = skip_blank(sql, pos)
    while sql.startswith(b";", start):
        start = skip_blank(sql, start + 1)
    pos = start
    while True:
        found = _INTERESTING.search(sql, pos)
        if found is None:
            return sql[start:].rstrip(), len(sql)
        at = found.start()
        token = found.group()
        if token == b";":
            return sql[start:at].rstrip(), at + 1
        if token == b"--":
            newline = sql.find(b"\n", at)
            pos = len(sql) if newline < 0 else newline + 1
        elif token == b"/*":
            pos = _comment_end(sql, at)
        elif token == b"$":
            pos = _dollar_end(sql, at)
        else:
            escapes = token == b"'" and at > 0 and sql[at - 1 : at] in (b"e", b"E")
            pos = _quote_end(sql, at, escapes)


def _comment_end(sql: bytes, pos: int) -> int:
    """Block comments nest."""
    depth = 0
    while True:
        edge = _COMMENT_EDGE.search(sql, pos)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == b"/*" else -1
        pos = edge.end()
        if depth == 0:
            return pos


def _dollar_end(sql: bytes, pos: int) -> int:
    tag = _DOLLAR_TAG.match(sql, pos)
    if tag is None:
        return pos + 1
    close = sql.find(tag.group(), tag.end())
    return len(sql) if close < 0 else close + len(tag.group())


def _quote_end(sql: bytes, pos: int, escapes: bool) -> int:
    """A doubled quote reads as one string after the other, which ends at the same place."""
    quote = sql[pos : pos + 1]
    pos += 1
    while True:
        close = sql.find(quote, pos)
        if close < 0:
            return len(sql)
        if escapes:
            backslashes = close - len(sql[pos:close].rstrip(b"\\")) - pos
            if backslashes % 2:
                pos = close + 1
                continue
        return close + 1


def _identifier(name: bytes) -> bytes:
    """As the server stores it: folded to lower case unless quoted, and cut."""
    if name.startswith(b'"'):
        return name[1:-1].replace(b'""', b'"')[:MAX_NAME]
    return name.lower()[:MAX_NAME]


def executes(sql: bytes) -> bytes:
    """The name in ``EXECUTE name …``; empty for every other statement."""
    found = _EXECUTE.match(sql, skip_blank(sql))
    return _identifier(found.group(1)) if found else b""


def prepares(sql: bytes) -> tuple[bytes, bytes]:
    """Name and text in ``PREPARE name [(types)] AS text``; empty for every other statement."""
    found = _PREPARE.match(sql, skip_blank(sql))
    return (_identifier(found.group(1)), sql[found.end() :]) if found else (b"", b"")


def deallocates(sql: bytes) -> bytes:
    """The name in ``DEALLOCATE [PREPARE] name``."""
    found = _DEALLOCATE.match(sql, skip_blank(sql))
    return _identifier(found.group(1)) if found else b""


def closes(sql: bytes) -> bytes:
    """The name in ``CLOSE name``."""
    found = _CLOSE.match(sql, skip_blank(sql))
    return _identifier(found.group(1)) if found else b""
