"""A step of a unit of work as it waits in the worker, and the bounds of what may wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Samples = Literal["full", "masked", "none"]


@dataclass(frozen=True, slots=True)
class UnitLimits:
    """Bounds of a worker's units of work. Counts, or bytes or seconds where it says so."""

    burst_gap: float = 0.020
    """Seconds of client think time that never end a unit."""
    steps: int = 1_000
    """Steps of one part."""
    steps_without_source: int = 200
    statements: int = 1_000
    """Different statements of one unit; a session that never rests nor repeats itself then begins another."""
    name_bytes: int = 64
    """Of a prepared statement's name, which is a hint at the driver and as long as a client likes."""
    worker_steps: int = 100_000
    """Steps that wait in all units together."""
    rows: int = 4_096
    """Values read for one column of a statement."""
    columns: int = 256
    """Columns sent with one part: in nested loops one for each outer call."""
    session_bytes: int = 256 * 1024
    worker_bytes: int = 16 * 1024 * 1024
    bytes_per_second: int = 256 * 1024
    waiting: int = 500
    """Finished units between two drains."""
    cells: int = 20_000
    """Result cells decoded at one drain."""
    sample_calls: int = 50
    param_bytes: int = 256
    """A longer parameter is hashed at once and never sampled."""


class StepRecord(NamedTuple):
    """One step: parameters in the clear, save those that were too long, which are hashes already."""

    statement: int
    params: tuple[bytes | int | None, ...]
    list_length: int
    rows: int
    duration_us: int
    gap_us: int
    transaction: int
    result_hash: int
