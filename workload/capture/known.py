"""What the recorder knows of queries: which one each statement number of a worker stands for.

A query is a fingerprint in a database; workers number shapes, of which one query may have many.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import Final

from workload.capture.messages import SampleMessage, StatementDef, Unit
from workload.detect.statement import Statement
from workload.fingerprint import identify
from workload.model import Sample
from workload.parameters import permutation
from workload.store.writing import MAX_APPLICATIONS, NewQuery

MAX_NUMBERS: Final = 50_000
"""Statement numbers remembered of one worker, who counts a tenth of that at the same time."""
MAX_SHAPE_CHARACTERS: Final = 64 * 1024 * 1024
"""Of the shapes remembered of one worker, who counts half of that at the same time."""


class KnownQuery:
    """A query of the store, or one that will be: ``id`` and ``text`` are the store's as soon as it told."""

    __slots__ = ("_shape", "applications", "database", "first_seen", "id", "identity", "text")

    def __init__(self, definition: StatementDef) -> None:
        self.identity = identify(definition.shape, definition.truncated)
        self.database = definition.database
        self.id: int | None = None
        self.text = definition.shape
        self.first_seen = inf
        """Epoch seconds; a definition alone says nothing of when it ran."""
        self.applications: set[str] = set()
        """Those that the store was told, at most as many as it keeps."""
        self._shape = definition.shape

    def untold(self, applications: Iterable[str]) -> set[str]:
        """Those of the names that the store was not told yet and has room for; from now on it was."""
        room = max(0, MAX_APPLICATIONS - len(self.applications))
        new = set(islice((name for name in applications if name not in self.applications), room))
        self.applications |= new
        return new

    def to_define(self) -> NewQuery:
        """What to add to a store that does not have it. Forgets what another row of the store was told."""
        self.applications.clear()
        return NewQuery(
            database=self.database,
            fingerprint=self.identity.fingerprint,
            text=self._shape,
            kind=self.identity.kind,
            tables=self.identity.tables,
            parse_error=self.identity.parse_error,
            seen_at=self.first_seen,
        )


class Origin:
    """One connection of a worker: its statement numbers, and which delta came last."""

    __slots__ = ("_characters", "sequence", "statements")

    def __init__(self) -> None:
        self.statements: dict[int, tuple[KnownQuery, str]] = {}
        """Number to (query, the shape that this worker saw), the longest unused first."""
        self._characters = 0
        self.sequence = 0

    def define(self, number: int, query: KnownQuery, shape: str) -> None:
        """Remember what a number stands for. Numbers that were not used for longest make room."""
        if number not in self.statements:
            self._characters += len(shape)
        self.statements[number] = (query, shape)
        if len(self.statements) > MAX_NUMBERS or self._characters > MAX_SHAPE_CHARACTERS:
            for unused in list(self.statements)[: len(self.statements) // 2]:
                del self.statements[unused]
            self._characters = sum(len(known) for _query, known in self.statements.values())

    def used(self, number: int) -> KnownQuery | None:
        """The query of a statement that ran just now; None when it was never defined, or forgotten."""
        known = self.statements.pop(number, None)
        if known is None:
            return None
        self.statements[number] = known
        return known[0]

    def described(self, unit: Unit) -> dict[int, Statement]:
        """What the detectors need to know of the statements in a unit; queries without an id are left out."""
        found = {}
        for number in {step.statement for step in unit.steps}:
            query, shape = self.statements.get(number, (None, ""))
            if query is not None and query.id is not None:
                found[number] = Statement(query.id, query.identity.fingerprint, shape, query.database)
        return found


def sample_of(query: KnownQuery, shape: str, message: SampleMessage) -> Sample | None:
    """The sample in the order of the query's text; None when it does not fit that text."""
    order = permutation(query.text, shape)
    if query.id is None or order is None or len(message.params) != len(order):
        return None
    return Sample(
        query_id=query.id,
        params=tuple(message.params[position] for position in order),
        param_oids=tuple(message.oids[position] for position in order),
        duration_ms=None if message.duration_us < 0 else message.duration_us / 1000,
        rows=message.rows,
        taken_at=message.taken_at,
        masked=message.masked,
    )
