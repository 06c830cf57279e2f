"""What the recorder knows of a statement that a worker gave a number to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    query_id: int
    """Query.id in the store."""
    fingerprint: str
    text: str
    """Normalised: literals replaced by $n, in the order of the parameters of a unit's steps."""
    database: str = ""
