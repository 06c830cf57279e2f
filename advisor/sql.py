"""The one place where names and values become SQL text.

Everything that builds a statement (what-if, migrations, screens) goes through these functions, so there is
one piece of code to read when asking whether a name can break out of its quotes. Rules are PostgreSQL's own
(``quote_identifier`` and ``quote_literal_internal`` in ruleutils.c and quote.c).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Sequence

from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from advisor.model import IndexCandidate, IndexKey

MAX_NAME = 30
"""Characters of a generated index name: the tightest limit among the frameworks we export to (Django)."""

_MAX_NAME_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL cuts longer names silently."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_KEYWORDS = frozenset(COL_NAME_KEYWORDS) | frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS)
_METHODS = frozenset({"btree", "hash", "brin", "gin", "gist", "spgist"})


def quote_identifier(name: str) -> str:
    """``name`` as an SQL identifier, in double quotes only where PostgreSQL needs them.

    Raises ValueError for what cannot be an identifier: an empty name or one with a NUL.
    """
    if not name or "\0" in name:
        raise ValueError(f"not a possible identifier: {name!r}")
    if _PLAIN.match(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """``schema.name``, quoted; without the schema when it is empty."""
    return f"{quote_identifier(schema)}.{quote_identifier(name)}" if schema else quote_identifier(name)


def quote_literal(value: str) -> str:
    """``value`` as a string literal that means the same under either standard_conforming_strings.

    Raises ValueError for a NUL, which no text value of PostgreSQL can hold.
    """
    if "\0" in value:
        raise ValueError("a PostgreSQL string cannot hold NUL")
    body = value.replace("'", "''")
    if "\\" in body:
        return "E'" + body.replace("\\", "\\\\") + "'"
    return f"'{body}'"


def _key_sql(key: IndexKey) -> str:
    sql = quote_identifier(key.column)
    if key.descending:
        sql += " DESC"
    if key.nulls_first is not None and key.nulls_first != key.descending:
        sql += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return sql


def index_definition(candidate: IndexCandidate) -> str:
    """``table USING method (keys) INCLUDE (columns)``: what follows ``ON`` in CREATE INDEX."""
    if candidate.method not in _METHODS:
        raise ValueError(f"unknown index method {candidate.method!r}: one of {', '.join(sorted(_METHODS))}")
    if not candidate.keys:
        raise ValueError(f"index on {qualified(candidate.schema, candidate.table)} without any key")
    keys = ", ".join(_key_sql(key) for key in candidate.keys)
    sql = f"{qualified(candidate.schema, candidate.table)} USING {candidate.method} ({keys})"
    if candidate.include:
        sql += " INCLUDE (" + ", ".join(quote_identifier(column) for column in candidate.include) + ")"
    return sql


def index_ddl(candidate: IndexCandidate, concurrently: bool = True, if_not_exists: bool = True) -> str:
    """CREATE INDEX for the candidate, one statement without a semicolon.

    CONCURRENTLY cannot run inside a transaction block (SQLSTATE 25001): the caller's concern.
    """
    words = ["CREATE INDEX"]
    if concurrently:
        words.append("CONCURRENTLY")
    if if_not_exists:
        words.append("IF NOT EXISTS")
    words += [quote_identifier(candidate_name(candidate)), "ON", index_definition(candidate)]
    return " ".join(words)


def drop_index_ddl(candidate: IndexCandidate, concurrently: bool = True, if_exists: bool = True) -> str:
    """DROP INDEX for the candidate's index, one statement without a semicolon."""
    words = ["DROP INDEX"]
    if concurrently:
        words.append("CONCURRENTLY")
    if if_exists:
        words.append("IF EXISTS")
    words.append(qualified(candidate.schema, candidate_name(candidate)))
    return " ".join(words)


def candidate_name(candidate: IndexCandidate) -> str:
    """The candidate's own name, or the one made from its table and columns."""
    return candidate.name or index_name(candidate.table, candidate.keys, candidate.include)


def index_name(
    table: str, keys: Sequence[IndexKey], include: Sequence[str] = (), taken: Container[str] = ()
) -> str:
    """``ix_<table>_<cols>``, at most 30 characters, with a 6-hex tail when it had to be cut or is taken.

    The tail hashes everything that tells two indexes of one table apart, so the name is the same in every
    run. Names in ``taken`` belong to other relations of the schema.
    """
    name = "_".join(["ix", table, *(key.column for key in keys)])
    fits = len(name) <= MAX_NAME and len(name.encode()) <= _MAX_NAME_BYTES
    if fits and name not in taken:
        return name
    parts = [table, *(_key_sql(key) for key in keys), "include", *include]
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=3).hexdigest()
    head = name[: MAX_NAME - 7]
    while len(head.encode()) > _MAX_NAME_BYTES - 7:
        head = head[:-1]
    return f"{head.rstrip('_')}_{digest}"
