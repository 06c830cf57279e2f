"""Units of work: the consecutive statements of one session that belong together.

On the traffic path a unit is a list of small tuples. It ends when the client pauses longer than it usually
does (a burst), though never inside an explicit transaction, or when it does what a pool does between two
borrowers (DISCARD ALL, RESET ALL, another role or application name). A unit in which nothing repeats is
forgotten at its end. One in which a statement was answered ``SUSPICIOUS_CALLS`` times becomes a ``Unit``
message at the next drain (``capture.unit_parts``).

A unit that runs on is sent in parts, about one a second. A part holds only steps that were not sent before;
the earlier step to which a column belongs is carried along at its head.

Everything is bounded (``UnitLimits``); what does not fit is counted in ``counters``.

A SELECT whose transaction fails later is no call to pg_stat_statements, and the counts take it back; here it
stays, because a unit tells of round trips, and this one was made.

The burst rule, 20 ms or 20 times the session's median gap, is the project's own: an ORM's loop shows gaps
below 1 ms on the wire, and two requests on one pooled connection seldom follow within 20 ms.
"""

from __future__ import annotations

from collections import deque
from statistics import median_low
from typing import Final

from proxy.observe.execution import Execution, Outcome, Session
from workload.capture.hashes import value_hash
from workload.capture.messages import Unit
from workload.capture.results import result_hash
from workload.capture.retention import KeptResult, ResultBudget
from workload.capture.steps import Samples, StepRecord, UnitLimits
from workload.capture.unit_parts import OpenUnit, PartBuilder

BURST_GAP_MEDIANS: Final = 20
"""A pause this many times the session's median gap ends a unit."""
YOUNG_GAPS: Final = 5
YOUNG_BURST_GAP: Final = 1.0
"""Seconds that end a unit of a session of which fewer than YOUNG_GAPS gaps are known: a script that lists
rows and then works on each for a while is not to lose its listing."""
SUSPICIOUS_CALLS: Final = 3
PART_AGE: Final = 1.0
"""Seconds after which a unit that still runs is sent as far as it got."""
FORGET_AFTER: Final = 5.0
"""Seconds of silence after which a unit is over: one statement may run long before it is reported."""
FORGET_TRANSACTION_AFTER: Final = 60.0
"""The same inside an explicit transaction."""

_GAPS_REMEMBERED: Final = 64
_IDLE: Final = 0x49
_DATA_VERBS: Final = frozenset({b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b""})
"""First words of tags. None at all has a portal that was left after the first rows, as fetchrow() does."""
_BEGIN_TAGS: Final = frozenset({b"BEGIN", b"START TRANSACTION"})
_END_TAGS: Final = frozenset({b"COMMIT", b"ROLLBACK", b"PREPARE TRANSACTION"})
_RESETTING_TAGS: Final = frozenset({b"DISCARD ALL", b"RESET", b"SET"})


class UnitTracker:
    """Follows the sessions of one worker. Times are the executions' monotonic seconds."""

    __slots__ = (
        "_budget",
        "_builder",
        "_finished",
        "_key",
        "_last_drain",
        "_limits",
        "_sessions",
        "_waiting",
        "counters",
    )

    def __init__(self, key: bytes, samples: Samples, limits: UnitLimits | None = None) -> None:
        self._key = key
        self._limits = limits or UnitLimits()
        self._budget = ResultBudget(self._limits.session_bytes, self._limits.worker_bytes)
        self._builder = PartBuilder(key, samples, self._limits)
        self._sessions: dict[int, _SessionState] = {}
        self._finished: deque[OpenUnit] = deque()
        self._last_drain: float | None = None
        self._waiting = 0
        """Steps held by all units together."""
        self.counters: dict[str, int] = {}
        """What was left out, by ``units.<what>``; the caller may clear it after reading."""

    def executed(
        self,
        execution: Execution,
        statement_id: int,
        params: tuple[bytes | None, ...],
        oids: tuple[int, ...],
        list_length: int,
    ) -> None:
        """Take note of one execution; ``params`` are canonical texts in the order of the shape's $n."""
        session = execution.session
        state = self._sessions.get(session.id)
        if state is None:
            state = self._sessions[session.id] = _SessionState(session)
        gap = execution.t_recv - state.ready
        pipelined = execution.window == state.window or gap < 0
        unit = state.unit
        if unit is not None and (
            session.application_name != unit.application_name
            or session.user != unit.user
            or len(unit.calls) >= self._limits.statements
            or (gap >= self._limits.burst_gap and state.status == _IDLE and gap >= self._burst_gap(state))
        ):
            self._finish(state, unit)
            unit = None
        if not pipelined and state.window >= 0:
            state.gaps.append(gap)
        if execution.window != state.window:
            state.in_transaction = state.status != _IDLE
        state.window = execution.window
        state.ready = execution.t_ready or execution.t_done or execution.t_recv
        state.status = execution.transaction
        tag = execution.tag
        if unit is None:
            if tag in _RESETTING_TAGS:
                return
            unit = state.unit = OpenUnit(session, execution.t_recv)
        transaction = _transaction(state, unit, execution)
        if tag in _RESETTING_TAGS and _resets(execution):
            self._finish(state, unit)
            return
        if execution.outcome is not Outcome.OK:
            return
        self._append(
            unit, execution, statement_id, params, oids, list_length, transaction, -1.0 if pipelined else gap
        )

    def session_closed(self, session: Session, now: float) -> None:
        """The session ended: so did its unit."""
        state = self._sessions.pop(session.id, None)
        if state is not None and state.unit is not None:
            self._finish(state, state.unit)

    def drain(self, now: float, epoch: float) -> tuple[Unit, ...]:
        """Units that ended, and parts of those that run on, as far as the budget for a second allows.

        ``epoch`` is the same instant as ``now`` in epoch seconds.
        """
        over = list(self._finished)
        self._finished.clear()
        running = []
        for state in self._sessions.values():
            unit = state.unit
            if unit is None:
                continue
            burst_gap = self._burst_gap(state)
            silent = now - state.ready
            patience = FORGET_AFTER if state.status == _IDLE else FORGET_TRANSACTION_AFTER
            if silent >= max(patience, burst_gap):
                state.unit = None
                over.append(unit)
            elif silent >= burst_gap or now - unit.unsent_since >= PART_AGE:
                running.append(unit)
        due = [unit for unit in (*over, *running) if unit.suspicious and (unit.steps or unit.overflow)]
        units = self._builder.build(due, self._allowance(now), epoch - now)
        for unit in over:
            self._budget.release(unit.results)
        self._waiting = sum(
            len(state.unit.steps) for state in self._sessions.values() if state.unit is not None
        )
        self._count_losses()
        return units

    def _allowance(self, now: float) -> int:
        """Bytes that may be sent now; what was not used for longer than two seconds is forfeited."""
        elapsed = 1.0 if self._last_drain is None else min(2.0, max(0.0, now - self._last_drain))
        self._last_drain = now
        return int(self._limits.bytes_per_second * elapsed)

    def _append(
        self,
        unit: OpenUnit,
        execution: Execution,
        statement_id: int,
        params: tuple[bytes | None, ...],
        oids: tuple[int, ...],
        list_length: int,
        transaction: int,
        gap: float,
    ) -> None:
        calls = unit.calls.get(statement_id, 0) + 1
        unit.calls[statement_id] = calls
        if calls == SUSPICIOUS_CALLS and execution.tag.partition(b" ")[0] in _DATA_VERBS:
            unit.suspicious = True
        duration = execution.duration
        duration_us = -1 if duration is None else round(duration * 1e6)
        unit.sequence += 1
        full = len(unit.steps) >= self._limits.steps or self._waiting >= self._limits.worker_steps
        if full or unit.overflow:
            unit.drop(statement_id, max(0, duration_us))
            return
        if calls == 1:
            unit.oids[statement_id] = oids
            if execution.statement_name:
                unit.names[statement_id] = execution.statement_name[: self._limits.name_bytes]
        limit = self._limits.param_bytes
        kept: tuple[bytes | int | None, ...] = params
        if execution.bytes_in > limit and any(p is not None and len(p) > limit for p in params):
            kept = tuple(value_hash(self._key, p) if p is not None and len(p) > limit else p for p in params)
        rows = execution.row_data
        hashed = result_hash(self._key, execution, rows) if calls > 1 and rows is not None else 0
        step = StepRecord(
            statement_id,
            kept,
            list_length,
            execution.rows,
            duration_us,
            -1 if gap < 0 else min(round(gap * 1e6), 1 << 40),
            transaction,
            hashed,
        )
        if not unit.steps:
            unit.unsent_since = execution.t_recv
        unit.steps.append(step)
        self._waiting += 1
        if rows is not None and execution.rows > 1 and execution.columns is not None:
            result = KeptResult(execution, rows, execution.columns, statement_id, unit.sequence, step)
            self._budget.keep(unit.results, result)

    def _burst_gap(self, state: _SessionState) -> float:
        """Seconds of silence that end a unit of this session."""
        if len(state.gaps) < YOUNG_GAPS:
            return max(self._limits.burst_gap, YOUNG_BURST_GAP)
        return max(self._limits.burst_gap, BURST_GAP_MEDIANS * median_low(state.gaps))

    def _finish(self, state: _SessionState, unit: OpenUnit) -> None:
        state.unit = None
        if unit.suspicious and (unit.steps or unit.overflow):
            if len(self._finished) < self._limits.waiting:
                self._finished.append(unit)
                return
            self._count("units.dropped")
        self._waiting -= len(unit.steps)
        self._budget.release(unit.results)

    def _count(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] = self.counters.get(counter, 0) + amount

    def _count_losses(self) -> None:
        for counter, amount in (
            *self._builder.take_losses(),
            ("units.results_dropped", self._budget.dropped),
        ):
            if amount:
                self._count(counter, amount)
        self._budget.dropped = 0


class _SessionState:
    __slots__ = ("gaps", "in_transaction", "ready", "status", "unit", "window")

    def __init__(self, session: Session) -> None:
        self.gaps: deque[float] = deque(maxlen=_GAPS_REMEMBERED)
        self.in_transaction = False
        self.ready = session.opened
        self.status = _IDLE
        self.unit: OpenUnit | None = None
        self.window = -1


def _transaction(state: _SessionState, unit: OpenUnit, execution: Execution) -> int:
    """Ordinal of the explicit transaction that the execution belongs to, 0 for none; moves the state on.

    The status of a ReadyForQuery is that of the end of its window, so inside a window (a pipeline, a Query
    message of several statements) the tags tell. ``ROLLBACK TO`` has the tag of ROLLBACK, but leaves T.
    """
    tag = execution.tag
    begins = tag in _BEGIN_TAGS or (execution.transaction != _IDLE and tag not in _END_TAGS)
    if begins and not state.in_transaction:
        state.in_transaction = True
        unit.transactions += 1
    elif state.in_transaction and unit.transactions == 0:
        unit.transactions = 1
    if not state.in_transaction:
        return 0
    if tag in _END_TAGS and execution.transaction == _IDLE:
        state.in_transaction = False
    return unit.transactions


def _resets(execution: Execution) -> bool:
    """Whether SET, RESET or DISCARD hands the session to somebody else, as far as the text tells."""
    if execution.tag == b"DISCARD ALL":
        return True
    words = execution.sql.upper()
    if execution.tag == b"RESET":
        return b"ALL" in words or b"ROLE" in words or b"AUTHORIZATION" in words
    return b" ROLE" in words or b"SESSION AUTHORIZATION" in words
