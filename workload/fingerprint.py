"""From a shape to the identity of a query: fingerprint, kind, tables.

The fingerprint is libpg_query's, by way of pglast: the parse tree hashed without constants, so that it is
the same for every spelling of a statement, and for its text in pg_stat_statements. What the parser rejects
(cut-off texts, extensions of other servers, typing errors) gets an identity of its tokens instead, which
begins with ``x``. Parsing costs tens of microseconds, so it is done once a shape, in the recorder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from pglast import Error as PglastError
from pglast import ast, parser

from workload.tokens import split, tokens

MAX_SHAPES: Final = 5_000
_MAX_PARSED: Final = 256 * 1024
"""Characters; PostgreSQL's parser takes a hundred bytes of memory for each and more."""

_KINDS: Final = {
    ast.SelectStmt: "select",
    ast.InsertStmt: "insert",
    ast.UpdateStmt: "update",
    ast.DeleteStmt: "delete",
    ast.MergeStmt: "merge",
    ast.CopyStmt: "copy",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a shape from its text alone."""

    fingerprint: str
    """16 hex digits, or ``x`` and 15 hex digits for what the parser rejects."""
    kind: str
    """select, insert, update, delete, merge, copy, utility or unknown."""
    tables: tuple[str, ...]
    """Relations as written, ``schema.table`` where qualified; common table expressions are none."""
    parse_error: bool


@lru_cache(maxsize=MAX_SHAPES)
def identify(shape: str, truncated: bool = False) -> Identity:
    """The identity of a shape. Never raises; a truncated text is not parsed, it would not be itself."""
    if truncated or len(shape) > _MAX_PARSED:
        return _unparsed(shape)
    try:
        fingerprint: str = parser.fingerprint(shape)
        root = ast_of(shape)
        kind = _KINDS.get(type(root), "utility") if root is not None else "unknown"
        return Identity(fingerprint, kind, tuple(_tables(root)) if root is not None else (), False)
    except (PglastError, RecursionError, ValueError, UnicodeError):
        # Nested deeper than Python or the parser go, a NUL byte, a lone surrogate: no text of a server's.
        return _unparsed(shape)


def ast_of(shape: str) -> Any:
    """The statement node of a text with one statement; None when there is none."""
    from pglast import parse_sql

    statements = parse_sql(shape)
    return statements[0].stmt if statements else None


def _unparsed(shape: str) -> Identity:
    digest = blake2b(digest_size=8)
    for token in tokens(split(shape)):
        # Parameters are numbered differently in texts that are otherwise the same.
        digest.update(b"$" if token.kind in "pl" else token.text.encode(errors="replace"))
        digest.update(b"\0")
    return Identity("x" + digest.hexdigest()[:15], _kind_by_word(shape), (), True)


def _kind_by_word(shape: str) -> str:
    word = shape.split(None, 1)[0].lower() if shape.strip() else ""
    return word if word in ("select", "insert", "update", "delete", "merge", "copy") else "unknown"


def _tables(root: Any) -> list[str]:
    """Relations in order of appearance, each once."""
    found: dict[str, None] = {}
    hidden: set[str] = set()
    for node in _walk(root):
        if isinstance(node, ast.CommonTableExpr) and node.ctename:
            hidden.add(node.ctename)
        elif isinstance(node, ast.RangeVar) and node.relname:
            found[f"{node.schemaname}.{node.relname}" if node.schemaname else node.relname] = None
    return [name for name in found if name not in hidden]


def _walk(root: Any) -> Iterator[Any]:
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Node):
            yield node
            stack.extend(reversed([value for name in node if (value := getattr(node, name)) is not None]))
        elif isinstance(node, tuple | list):
            stack.extend(reversed(node))
