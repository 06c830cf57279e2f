"""What a worker sends the recorder each second: one ``Delta`` in MessagePack, behind a 4-byte length.

Its size is bounded by distinct statements, and by budgets for samples and units of work, never by
traffic. A statement is defined once per worker (and again after the recorder asked, because it was
restarted); everything else refers to it by number.

Hashes of values are keyed 8-byte BLAKE2b of the value's canonical text (``proxy.wire.values``), as
unsigned integers; 0 stands for NULL. The key is the run's: all workers of one ``pgcoach up`` share it.
"""

from __future__ import annotations

import msgspec


class StatementDef(msgspec.Struct, array_like=True, frozen=True):
    """A statement shape met for the first time by this worker."""

    id: int
    """Worker-wide number; refers to a (shape, database) pair."""
    shape: str
    """One statement, literals lexed out to $n (after the parameters that it had), comments removed."""
    database: str
    truncated: bool
    """The text was longer than the observer's cap: the shape is a head, it will not parse."""


class StatementDelta(msgspec.Struct, array_like=True, frozen=True):
    """What one statement did since the last flush."""

    id: int
    calls: int
    errors: int
    rows: int
    bytes_out: int
    timed_calls: int
    total_us: int
    max_us: int
    histogram: dict[int, int]
    """Log-bucket index to count (workload.capture.histogram), over the timed calls."""
    sqlstates: dict[str, int]
    qualities: tuple[int, int, int, int]
    """Executions by proxy.observe.execution.Quality."""
    applications: tuple[str, ...]
    """application_name values seen, at most a handful."""


class SampleMessage(msgspec.Struct, array_like=True, frozen=True):
    statement: int
    params: tuple[str | None, ...]
    """In the order of the shape's $n: Bind values, then lexed literals. Masked before it gets here."""
    oids: tuple[int, ...]
    duration_us: int
    """-1 where the execution has no time of its own."""
    rows: int
    taken_at: float
    """Epoch seconds."""
    masked: bool


class Step(msgspec.Struct, array_like=True, frozen=True):
    """One execution in a unit of work."""

    statement: int
    params: tuple[int, ...]
    """Hash of each parameter, in the order of the shape's $n."""
    list_length: int
    """Longest IN list or array parameter: 0 where there is none."""
    rows: int
    duration_us: int
    gap_us: int
    """Client think time before it; −1 when it was sent before the answer to the one before had come
    (pipelined, or another statement of the same Query message): no round trip of its own."""
    transaction: int
    """Ordinal of the transaction within the unit, from 1; 0 outside of any."""
    result_hash: int
    """Hash of the result's bytes; 0 where it was not kept."""


class ResultColumn(msgspec.Struct, array_like=True, frozen=True):
    """A column of an earlier result whose values turned up in later parameters."""

    step: int
    """Index into Unit.steps."""
    name: str
    table_oid: int
    attnum: int
    type_oid: int
    values: tuple[int, ...]
    """Hashes in row order, at most 4,096 rows."""
    rows: int
    """Rows of the result, which may be more than are hashed here."""
    dense: bool
    """A dense range of small integers (max − min < 2 × distinct): coincidence is likely."""
    low_information: bool
    """Booleans, dates at midnight and the like: never counts as a link on its own."""


class Unit(msgspec.Struct, array_like=True, frozen=True):
    """The consecutive statements of one session that belong together, because a group in it repeats."""

    session: int
    database: str
    user: str
    application_name: str
    boundary: str
    """What bounds it: burst, transaction, trace."""
    started_at: float
    steps: tuple[Step, ...]
    """At most 1,000; the rest is counted in ``dropped_steps``."""
    dropped_steps: int
    columns: tuple[ResultColumn, ...]
    calls: dict[int, tuple[tuple[str | None, ...], ...]]
    """Statement to the parameters of up to 50 of its consecutive calls; empty unless samples are full."""
    call_oids: dict[int, tuple[int, ...]]
    statement_names: dict[int, str]
    """Statement to a prepared statement's name seen with it: a hint at the driver."""
    part: int = 0
    """A unit that runs long is sent in parts: 0 for its first, then 1, 2, …"""
    carried: int = 0
    """The first so many steps were sent in an earlier part; they stand here for ``columns`` to refer to."""
    prior_calls: dict[int, int] = {}
    """Statement to its calls in the parts before this one."""
    overflow: dict[int, tuple[int, int]] = {}
    """Statement to calls and microseconds of the dropped steps."""


class Delta(msgspec.Struct, array_like=True, frozen=True):
    worker: int
    sequence: int
    """Counts up by one a flush: a gap tells the recorder that it missed some."""
    at: float
    """Epoch seconds at the flush."""
    definitions: tuple[StatementDef, ...]
    statements: tuple[StatementDelta, ...]
    samples: tuple[SampleMessage, ...]
    units: tuple[Unit, ...]
    counters: dict[str, int]
    """Increments since the last flush: sessions, opaque.<reason>, lost.<what>, bytes …"""
    gauges: dict[str, float]
    """Current values: sessions open, memory, lag."""
