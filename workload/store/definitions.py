"""Which queries there are: a row for every fingerprint in a database, made when it is first seen."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from workload.store import schema
from workload.store.writing import NewQuery, parts


def define_queries(connection: Connection, queries: Sequence[NewQuery]) -> list[int]:
    """The ids of the queries, in their order; those that are not there are added."""
    if not queries:
        return []
    rows = [
        {
            "database": query.database,
            "fingerprint": query.fingerprint,
            "text": query.text,
            "kind": query.kind,
            "tables": json.dumps(query.tables),
            "applications": "[]",
            "parse_error": query.parse_error,
            "first_seen": query.seen_at,
            "last_seen": query.seen_at,
        }
        for query in queries
    ]
    connection.execute(insert(schema.query).on_conflict_do_nothing(), rows)
    table = schema.query.c
    ids: dict[tuple[str, str], int] = {}
    for part in parts([(query.database, query.fingerprint) for query in queries]):
        found = select(table.database, table.fingerprint, table.id).where(
            tuple_(table.database, table.fingerprint).in_(part)
        )
        ids.update({(row.database, row.fingerprint): row.id for row in connection.execute(found)})
    return [ids[query.database, query.fingerprint] for query in queries]


def texts_of(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """The texts that the store has for these queries: of the first shape that it was told of each."""
    table = schema.query.c
    found: dict[int, str] = {}
    for part in parts(ids):
        rows = connection.execute(select(table.id, table.text).where(table.id.in_(part)))
        found.update({row.id: row.text for row in rows})
    return found


def present(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the ids that the store has: a query that did not run for long may have been pruned."""
    table = schema.query.c
    found: set[int] = set()
    for part in parts(ids):
        found.update(connection.execute(select(table.id).where(table.id.in_(part))).scalars())
    return found
