"""The tables of the store.

``statistics`` holds the same counters at three resolutions, told apart by ``span``: buckets of
``FINE_SPAN`` seconds for the recent past, of ``COARSE_SPAN`` seconds for longer, and one row of span 0 for
all time, so that the commonest question (everything, ranked) reads one row a query. All three are kept up to
date by every write, so that no job has to roll anything up later.

Changing a table takes a new file in ``migrations/versions`` and a new ``HEAD``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0001"
"""The newest schema version; versions compare as text."""
APPLICATION_ID = 0x70676361
"""``PRAGMA application_id`` of a store: "pgca"."""

FINE_SPAN = 10
COARSE_SPAN = 300
TOTAL_SPAN = 0
ALL_QUERIES = 0
"""The query_id of the statistics over all queries together, which charts over everything read."""
FINE_RETENTION = 6 * 3600
"""Seconds for which the fine buckets are kept."""
COARSE_RETENTION = 60 * 86_400
SAMPLES_PER_QUERY = 20

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

query = Table(
    "query",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("database", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tables", Text, nullable=False),  # JSON array
    Column("applications", Text, nullable=False),  # JSON array
    Column("parse_error", Boolean, nullable=False),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    UniqueConstraint("database", "fingerprint"),
)

statistics = Table(
    "statistics",
    metadata,
    Column("span", Integer, nullable=False),
    Column("bucket", Integer, nullable=False),  # epoch seconds of its beginning
    Column("query_id", Integer, nullable=False),  # or ALL_QUERIES, hence no foreign key
    Column("calls", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("timed_calls", Integer, nullable=False),
    Column("total_us", Integer, nullable=False),
    Column("max_us", Integer, nullable=False),
    Column("histogram", LargeBinary, nullable=False),
    PrimaryKeyConstraint("span", "bucket", "query_id"),
    Index("statistics_by_query", "query_id", "span", "bucket"),
    sqlite_with_rowid=False,
)

query_error = Table(
    "query_error",
    metadata,
    Column("query_id", Integer, ForeignKey("query.id", ondelete="CASCADE"), nullable=False),
    Column("sqlstate", Text, nullable=False),
    Column("count", Integer, nullable=False),
    PrimaryKeyConstraint("query_id", "sqlstate"),
    sqlite_with_rowid=False,
)

sample = Table(
    "sample",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("query_id", Integer, ForeignKey("query.id", ondelete="CASCADE"), nullable=False),
    Column("params", Text, nullable=False),  # JSON array
    Column("param_oids", Text, nullable=False),  # JSON array
    Column("duration_us", Integer),
    Column("rows", Integer, nullable=False),
    Column("taken_at", Float, nullable=False),
    Column("masked", Boolean, nullable=False),
    Index("sample_by_query", "query_id", "id"),
)

finding = Table(
    "finding",
    metadata,
    Column("id", Text, primary_key=True),
    Column("database", Text, nullable=False),
    Column("wasted_ms", Float, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON of workload.model.Finding
    sqlite_with_rowid=False,
)

advice = Table(
    "advice",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("benefit_ms", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

advice_transition = Table(
    "advice_transition",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("advice_id", Text, ForeignKey("advice.id", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("advice_transition_by_advice", "advice_id", "id"),
)

rejection = Table(
    "rejection",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("database", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Integer, nullable=False),
    sqlite_with_rowid=False,
)

gauge = Table(
    "gauge",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    sqlite_with_rowid=False,
)
