"""Which executions are kept as samples, and how much of them is told.

The first executions of a statement are taken at once, so that advice does not have to wait; later one every
``LATER`` seconds, and any that takes much longer than all before it. What goes out each second is bounded in
number and in bytes. Statements that can carry credentials are never offered here (``Shape.sensitive``).
"""

from __future__ import annotations

from typing import Final, Literal

from proxy.observe.execution import Execution
from proxy.wire.values import decode_text
from workload.capture.hashes import value_hash
from workload.capture.messages import SampleMessage

Samples = Literal["full", "masked", "none"]

EARLY: Final = 20
"""Samples of a statement taken without waiting."""
LATER: Final = 10.0
"""Seconds between later samples of one statement."""
MUCH_LONGER: Final = 2.0
A_FLUSH: Final = 200
BYTES_A_FLUSH: Final = 128 * 1024
STATEMENT_A_FLUSH: Final = 2
MAX_VALUE: Final = 4096
"""Bytes of a parameter; a sample with a longer one is not taken, because it could not be replayed."""


class SampleState:
    """What the choice needs to know of one statement."""

    __slots__ = ("in_flush", "longest_us", "next_at", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.in_flush = 0
        self.next_at = 0.0
        self.longest_us = 0


class SampleChooser:
    """The samples of one worker since the last flush. Times are monotonic seconds."""

    __slots__ = ("_bytes", "_chosen", "_key", "_mode", "_states", "dropped")

    def __init__(self, key: bytes, mode: Samples) -> None:
        self._key = key
        self._mode = mode
        self._chosen: list[tuple[SampleMessage, float]] = []
        self._states: list[SampleState] = []
        self._bytes = 0
        self.dropped = 0
        """Samples that were due, but over a bound; the caller clears it after reading."""

    def due(self, state: SampleState, now: float, duration_us: int) -> bool:
        """Whether an execution of the statement should be offered."""
        if state.taken >= EARLY and now < state.next_at:
            return duration_us > state.longest_us * MUCH_LONGER and state.in_flush < STATEMENT_A_FLUSH
        return state.in_flush < STATEMENT_A_FLUSH and self._mode != "none"

    def take(
        self,
        state: SampleState,
        statement: int,
        execution: Execution,
        params: tuple[bytes | None, ...],
        oids: tuple[int, ...],
        numbers: tuple[bool, ...],
        duration_us: int,
    ) -> None:
        """Keep an execution; ``numbers`` tells of each lexed literal (the last params) if it was a number."""
        if self._mode == "none":
            return
        sizes = [len(value) for value in params if value is not None]
        size = sum(sizes) + 64
        if (
            len(self._chosen) >= A_FLUSH
            or self._bytes + size > BYTES_A_FLUSH
            or max(sizes, default=0) > MAX_VALUE
        ):
            self.dropped += 1
            return
        masked = self._mode == "masked"
        if masked:
            first_literal = len(params) - len(numbers)
            kinds = [f"oid {oid}" for oid in oids[:first_literal]]
            kinds += ["number" if number else "string" for number in numbers]
            shown = tuple(
                None if value is None else self._mask(kind, value)
                for kind, value in zip(kinds, params, strict=True)
            )
        else:
            encoding = execution.session.client_encoding
            shown = tuple(None if value is None else decode_text(value, encoding) for value in params)
        message = SampleMessage(
            statement=statement,
            params=shown,
            oids=oids,
            duration_us=duration_us,
            rows=execution.rows,
            taken_at=0.0,
            masked=masked,
        )
        self._chosen.append((message, execution.t_done))
        self._bytes += size
        state.taken += 1
        state.longest_us = max(state.longest_us, duration_us)
        state.next_at = execution.t_done + LATER
        if not state.in_flush:
            self._states.append(state)
        state.in_flush += 1

    def drain(self, offset: float) -> tuple[SampleMessage, ...]:
        """The samples since the last drain; ``offset`` makes epoch seconds of monotonic ones."""
        messages = tuple(
            SampleMessage(m.statement, m.params, m.oids, m.duration_us, m.rows, at + offset, m.masked)
            for m, at in self._chosen
        )
        self._chosen.clear()
        for state in self._states:
            state.in_flush = 0
        self._states.clear()
        self._bytes = 0
        return messages

    def _mask(self, kind: str, value: bytes) -> str:
        return f"<{kind}, {len(value)} bytes, {value_hash(self._key, value):016x}>"
