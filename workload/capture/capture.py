"""The observer of a worker: counts and times by statement, in place, on the traffic path.

What is counted as a call is what pg_stat_statements counts: executions that succeeded, each statement of
a Query message for itself, EXECUTE as the statement that was prepared; PREPARE never, DEALLOCATE from
PostgreSQL 17 on (``PGSS_HANDLED_UTILITY`` in contrib/pg_stat_statements/pg_stat_statements.c).

Three memories make repetition cheap: the texts seen lately (one look-up an execution), the skeletons of
texts (``workload.lexer``, for texts with literals in them), and the statements themselves. All are bounded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.observe.execution import Execution, Outcome, Session
from proxy.wire.values import ELEMENT_OF, array_length, canonical
from workload.capture.histogram import index_of
from workload.capture.messages import Delta
from workload.capture.samples import SampleChooser, Samples
from workload.capture.statements import CountedStatement, StatementLimits, StatementTable, Use
from workload.capture.steps import UnitLimits
from workload.capture.units import UnitTracker

MAX_APPLICATIONS: Final = 8
"""application_name values told of one statement a flush."""

_DEALLOCATE_COUNTS_FROM: Final = 17


class Capture:
    """Implements ``proxy.observe.execution.Observer`` for one worker.

    ``key`` is the run's key for hashes of values, ``samples`` what may be told of values at all.
    """

    def __init__(
        self,
        worker: int,
        key: bytes,
        samples: Samples,
        statement_limits: StatementLimits | None = None,
        unit_limits: UnitLimits | None = None,
    ) -> None:
        self._worker = worker
        self._statements = StatementTable(statement_limits)
        self._touched: list[CountedStatement] = []
        self._sequence = 0
        self._sessions = 0
        self._counters: dict[str, int] = {}
        self._units = UnitTracker(key, samples, unit_limits)
        self._samples = SampleChooser(key, samples)
        self._encode = msgspec.msgpack.Encoder().encode
        self.gauges: dict[str, float] = {}
        """Further gauges of the worker, sent with every delta."""

    # proxy.observe.execution.Observer

    def session_opened(self, session: Session) -> None:
        self._sessions += 1
        self.count("sessions")

    def session_closed(self, session: Session, now: float) -> None:
        self._sessions -= 1
        self._units.session_closed(session, now)

    def count(self, counter: str, amount: int = 1) -> None:
        self._counters[counter] = self._counters.get(counter, 0) + amount

    def executed(self, execution: Execution) -> None:
        outcome = execution.outcome
        if outcome is Outcome.EMPTY or not execution.sql:
            return
        if outcome is Outcome.SKIPPED or outcome is Outcome.ABORTED:
            self.count("executions.skipped" if outcome is Outcome.SKIPPED else "executions.aborted")
            return
        use = self._use(execution)
        if use is None:
            return
        statement = use.statement
        session = execution.session
        tag = execution.tag
        if tag.startswith((b"PREPARE", b"DEALLOCATE")) and not _counts(tag, session):
            return
        if not statement.touched:
            statement.touched = True
            self._touched.append(statement)
        statement.qualities[execution.quality] += 1
        if outcome is Outcome.ERROR:
            statement.errors += 1
            sqlstate = execution.sqlstate.decode("ascii", "replace")
            statement.sqlstates[sqlstate] = statement.sqlstates.get(sqlstate, 0) + 1
        else:
            statement.calls += 1
            statement.rows += execution.rows
        statement.bytes_out += execution.bytes_out
        duration_us = -1
        duration = execution.duration
        if duration is not None and outcome is Outcome.OK:
            microseconds = duration * 1e6
            duration_us = round(microseconds)
            statement.timed_calls += 1
            statement.total_us += duration_us
            if duration_us > statement.max_us:
                statement.max_us = duration_us
            index = index_of(microseconds)
            histogram = statement.histogram
            histogram[index] = histogram.get(index, 0) + 1
        name = session.application_name
        if name and name not in statement.applications and len(statement.applications) < MAX_APPLICATIONS:
            statement.applications.add(name)
        self._values(execution, use, duration_us)

    def _use(self, execution: Execution) -> Use | None:
        """The statement that ran; None where it cannot be counted, which is counted."""
        uses = self._statements.uses(execution)
        if not uses:
            # The table of statements is full, or what was kept of a long text is comment alone.
            self.count("lost.statements")
            return None
        ordinal = execution.ordinal
        if ordinal >= len(uses):
            # The server found more statements in the text than the lexer (or the text was cut off).
            self.count("lost.ordinals")
            ordinal = len(uses) - 1
        return uses[ordinal]

    def taken_back(self, execution: Execution) -> None:
        """The server does not count it, so neither do we. Its time was real and stays, and so does the step
        in its unit of work: the client did wait for it."""
        use = self._use(execution)
        if use is not None:
            statement = use.statement
            statement.calls -= 1
            statement.rows -= execution.rows
            if not statement.touched:
                statement.touched = True
                self._touched.append(statement)

    # Once a second

    def flush(self, now: float, epoch: float) -> bytes:
        """What happened since the last flush, as an encoded ``Delta`` (without the length in front).

        ``now`` and ``epoch`` are the same instant, in monotonic and in epoch seconds.
        """
        units = self._units.drain(now, epoch)
        for name, amount in self._units.counters.items():
            self.count(name, amount)
        self._units.counters.clear()
        if self._samples.dropped:
            self.count("lost.samples", self._samples.dropped)
            self._samples.dropped = 0
        definitions = self._statements.take_definitions()
        deltas = tuple(statement.delta() for statement in self._touched)
        self._sequence += 1
        delta = Delta(
            worker=self._worker,
            sequence=self._sequence,
            at=epoch,
            definitions=definitions,
            statements=deltas,
            samples=self._samples.drain(epoch - now),
            units=units,
            counters=self._counters,
            gauges={"sessions": self._sessions, "statements": len(self._statements), **self.gauges},
        )
        encoded = self._encode(delta)
        self._statements.make_room()
        for statement in self._touched:
            statement.clear()
        self._touched.clear()
        self._counters = {}
        return encoded

    def definitions(self) -> bytes:
        """All statements that this worker counts, as a ``Delta`` of sequence 0: for a new recorder."""
        return self._encode(
            Delta(
                worker=self._worker,
                sequence=0,
                at=0.0,
                definitions=self._statements.definitions(),
                statements=(),
                samples=(),
                units=(),
                counters={},
                gauges={},
            )
        )

    # How it is done

    def _values(self, execution: Execution, use: Use, duration_us: int) -> None:
        """Hand the values of an execution to the units of work, and maybe to the samples."""
        statement = use.statement
        shape = statement.shape
        wanted = shape.params
        params = use.literals
        oids: tuple[int, ...] = (0,) * len(params)
        length = use.list_length
        replayable = not (shape.sensitive or statement.truncated)
        if wanted:
            bound = execution.params
            if bound is None or wanted[-1] >= len(bound):
                # Over the observer's cap. Without values an execution proves nothing about its unit.
                self.count("lost.params")
                return
            formats = execution.param_formats
            known = execution.param_oids
            one = formats[0] if len(formats) == 1 else 0
            values: list[bytes | None] = []
            types = []
            for position in wanted:
                raw = bound[position]
                oid = known[position] if position < len(known) else 0
                types.append(oid)
                if raw is None:
                    values.append(None)
                    continue
                format = formats[position] if position < len(formats) else one
                text = canonical(raw, format, oid)
                if text is None:
                    # Unknown binary type: still equal to itself, but nothing to be shown.
                    replayable = False
                    text = b"\\x" + raw.hex().encode()
                if oid in ELEMENT_OF or (not oid and text.startswith(b"{")):
                    length = max(length, array_length(text, 0, oid) or 0)
                values.append(text)
            oids = tuple(types) + oids
            all_params: tuple[bytes | None, ...] = (*values, *params)
        else:
            all_params = params
        if not (shape.sensitive and all_params):
            self._units.executed(execution, statement.id, all_params, oids, length)
        if (
            replayable
            and execution.outcome is Outcome.OK
            and self._samples.due(statement.sample, execution.t_done, duration_us)
        ):
            self._samples.take(
                statement.sample, statement.id, execution, all_params, oids, shape.numbers, duration_us
            )


def _counts(tag: bytes, session: Session) -> bool:
    """Whether pg_stat_statements of the session's server counts a statement that ended in this tag."""
    if tag.startswith(b"DEALLOCATE"):
        major = session.server_version.partition(".")[0]
        digits = "".join(character for character in major if character.isdigit())
        return int(digits or 0) >= _DEALLOCATE_COUNTS_FROM
    return tag != b"PREPARE"
