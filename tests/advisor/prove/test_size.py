"""Estimated index sizes next to the real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import asyncpg
import psycopg

from advisor.catalog import load_catalog
from advisor.model import IndexCandidate, IndexKey
from advisor.prove.size import estimated_index_bytes
from advisor.scratch import ScratchServer
from proxy.dsn import parse_dsn

_TABLE = """
    CREATE TABLE t (
        id bigint, few text, kind int, price numeric(10, 2), word text, at timestamptz, flag boolean);
    INSERT INTO t
    SELECT g, 'status ' || g % 5, g % 3000, g % 1000 / 7.0, md5(g::text),
           now() + g * interval '1 s', g % 2 = 0
      FROM generate_series(1, 60000) g;
    ANALYZE t;
"""


SHAPES = (
    ("id",),
    ("few",),
    ("kind",),
    ("price",),
    ("word",),
    ("at",),
    ("flag",),
    ("flag", "few"),
    ("kind", "at"),
)


async def test_estimates_are_near_the_truth(
    pg18: ScratchServer, make_database: Callable[[ScratchServer], str]
) -> None:
    dsn = make_database(pg18)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_TABLE)
    reader = await asyncpg.connect(**parse_dsn(dsn).connect_kwargs())
    try:
        relation = (await load_catalog(reader)).resolve("", "t")
        assert relation is not None
        for columns in SHAPES:
            await reader.execute(f"CREATE INDEX i ON t ({', '.join(columns)})")
            real = await reader.fetchval("SELECT pg_relation_size('i')")
            await reader.execute("DROP INDEX i")
            estimate = estimated_index_bytes(_candidate(*columns), relation)
            assert estimate is not None
            # HypoPG's own estimate is 2 to 4 times too big where keys repeat.
            assert 0.9 < estimate / real < 1.1, (columns, estimate, real)
    finally:
        await reader.close()
    assert estimated_index_bytes(_candidate("id"), replace(relation, rows=-1.0)) is None
    assert estimated_index_bytes(_candidate("id"), replace(relation, has_statistics=False)) is None
    wider = estimated_index_bytes(_candidate("flag", include=("word",)), relation)
    assert wider is not None
    # Nothing is shared between equal keys once other columns come along.
    assert wider > 60_000 * 40


def _candidate(*columns: str, include: tuple[str, ...] = ()) -> IndexCandidate:
    keys = tuple(IndexKey(column=column) for column in columns)
    return IndexCandidate(schema="public", table="t", keys=keys, include=include)
