"""Candidate, proof, advice: what somebody proposes, what was done to it, what a person reviews.

One document a piece of advice, stored as JSON. A candidate is untrusted, always; only what carries a
proof becomes advice. Costs are the planner's units, sizes bytes, durations ms.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

AdviceState = Literal[
    "new", "accepted", "rejected", "snoozed", "exported", "applied", "verified", "regressed"
]
ProofMethod = Literal["hypopg", "build", "snapshot"]


class IndexKey(msgspec.Struct, frozen=True, kw_only=True):
    column: str
    descending: bool = False
    nulls_first: bool | None = None
    """None is the default of the direction."""


class IndexCandidate(msgspec.Struct, frozen=True, kw_only=True, tag="index"):
    """An index in fields; the DDL is always built from them, never taken from anybody's text."""

    schema: str
    table: str
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...] = ()
    method: str = "btree"
    name: str = ""
    why: str = ""
    """The rule that proposed it, in a sentence."""


class BatchCandidate(msgspec.Struct, frozen=True, kw_only=True, tag="batch"):
    """One statement that does the work of the N calls of an N+1."""

    finding_id: str
    original: str
    """The repeated statement, normalised."""
    batched: str
    """Takes one array for each varying parameter; constants stay scalars."""
    shape: str
    """any, ordered, lateral, aggregate, exists, composite: the row of the catalogue it came from."""
    key_column: str
    orm: str = ""
    """Recognised ORM or empty."""
    orm_fix: str = ""
    """The call that does it in that ORM."""
    notes: tuple[str, ...] = ()


class QueryGain(msgspec.Struct, frozen=True, kw_only=True):
    """What one query gains; plans are EXPLAIN (FORMAT JSON) documents."""

    query_id: int
    fingerprint: str
    query: str
    calls: int
    total_ms: float
    cost_before: float
    cost_after: float
    plan_before: dict[str, Any]
    plan_after: dict[str, Any]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    method: ProofMethod
    server_version: str
    made_at: float
    summary: str
    """One sentence: what was done and what came out."""
    index_bytes: int | None = None
    table_bytes: int | None = None
    table_rows: float | None = None
    compared_calls: int | None = None
    compared_rows: int | None = None
    calls_ms: float | None = None
    """Measured time of the captured calls, one after the other."""
    batched_ms: float | None = None
    """Measured time of the one batched statement on the same snapshot."""
    limits: tuple[str, ...] = ()
    """What the proof does not cover."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Stable: a hash of what is proposed on which database, not of when."""
    title: str
    database: str
    candidate: IndexCandidate | BatchCandidate
    proof: Proof
    gains: tuple[QueryGain, ...] = ()
    ddl: str = ""
    """For people; exports build their own statements."""
    rollback: str = ""
    lock_note: str = ""
    benefit_ms: float = 0.0


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that did not make it, and why: shown on demand ("why not?")."""

    what: str
    reason: str
    database: str
