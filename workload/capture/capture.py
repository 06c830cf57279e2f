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
from proxy.wire.values import ELEMENT_OF, array_length, canonical, decode_text, encode_text
from workload.capture.histogram import index_of
from workload.capture.messages import Delta, StatementDef, StatementDelta
from workload.capture.samples import SampleChooser, Samples, SampleState
from workload.capture.units import UnitTracker
from workload.lexer import Lexer
from workload.shapes import Shape

MAX_STATEMENTS: Final = 5000
"""Statements counted at the same time; executions of further ones are ``lost.statements``."""
MAX_STATEMENT_CHARACTERS: Final = 32 * 1024 * 1024
"""Of the shapes of all statements together."""
MAX_TEXTS: Final = 4096
MAX_TEXT_BYTES: Final = 8 * 1024 * 1024
MAX_APPLICATIONS: Final = 8

_DEALLOCATE_COUNTS_FROM: Final = 17


class _Statement:
    """The running counts of one (shape, database)."""

    __slots__ = (
        "applications",
        "bytes_out",
        "calls",
        "database",
        "defined",
        "errors",
        "histogram",
        "id",
        "max_us",
        "qualities",
        "rows",
        "sample",
        "shape",
        "sqlstates",
        "timed_calls",
        "total_us",
        "touched",
        "truncated",
    )

    def __init__(self, id: int, shape: Shape, database: str, truncated: bool) -> None:
        self.id = id
        self.shape = shape
        self.database = database
        self.truncated = truncated
        self.defined = False
        self.sample = SampleState()
        self.clear()

    def clear(self) -> None:
        self.touched = False
        self.calls = 0
        self.errors = 0
        self.rows = 0
        self.bytes_out = 0
        self.timed_calls = 0
        self.total_us = 0
        self.max_us = 0
        self.histogram: dict[int, int] = {}
        self.sqlstates: dict[str, int] = {}
        self.qualities = [0, 0, 0, 0]
        self.applications: set[str] = set()

    def definition(self) -> StatementDef:
        self.defined = True
        return StatementDef(self.id, self.shape.text, self.database, self.truncated)

    def delta(self) -> StatementDelta:
        exact, client_bound, shared, partial = self.qualities
        return StatementDelta(
            id=self.id,
            calls=self.calls,
            errors=self.errors,
            rows=self.rows,
            bytes_out=self.bytes_out,
            timed_calls=self.timed_calls,
            total_us=self.total_us,
            max_us=self.max_us,
            histogram=self.histogram,
            sqlstates=self.sqlstates,
            qualities=(exact, client_bound, shared, partial),
            applications=tuple(self.applications),
        )


class _Use:
    """A statement in a text, with the text's own values."""

    __slots__ = ("list_length", "literals", "statement")

    def __init__(self, statement: _Statement, literals: tuple[bytes, ...], list_length: int) -> None:
        self.statement = statement
        self.literals = literals
        self.list_length = list_length


_TextKey = tuple[bytes, str, str, bool, bool]


class Capture:
    """Implements ``proxy.observe.execution.Observer`` for one worker.

    ``key`` is the run's key for hashes of values, ``samples`` what may be told of values at all.
    """

    def __init__(self, worker: int, key: bytes, samples: Samples) -> None:
        self._worker = worker
        self._lexer = Lexer()
        self._texts: dict[_TextKey, list[_Use]] = {}
        self._text_bytes = 0
        self._statements: dict[tuple[str, str, bool], _Statement] = {}
        self._characters = 0
        self._touched: list[_Statement] = []
        self._new: list[_Statement] = []
        self._next_id = 1
        self._sequence = 0
        self._sessions = 0
        self._counters: dict[str, int] = {}
        self._units = UnitTracker(key, samples)
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

    def _use(self, execution: Execution) -> _Use | None:
        """The statement that ran, None where the table of statements is full."""
        session = execution.session
        key = (
            execution.sql,
            session.database,
            session.client_encoding,
            session.standard_conforming_strings,
            execution.sql_length > len(execution.sql),
        )
        uses = self._texts.get(key)
        if uses is None:
            uses = self._learn(key)
        if not uses:
            return None
        ordinal = execution.ordinal
        if ordinal >= len(uses):
            # The server found more statements in the text than the lexer (or the text was cut off).
            self.count("lost.ordinals")
            ordinal = len(uses) - 1
        return uses[ordinal]

    def taken_back(self, execution: Execution) -> None:
        """The server does not count it, so neither do we; its time was real and stays."""
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
        definitions = tuple(statement.definition() for statement in self._new if not statement.defined)
        self._new.clear()
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
        if (
            len(self._statements) > MAX_STATEMENTS * 9 // 10
            or self._characters > MAX_STATEMENT_CHARACTERS * 9 // 10
        ):
            self._forget_idle()
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
                definitions=tuple(statement.definition() for statement in self._statements.values()),
                statements=(),
                samples=(),
                units=(),
                counters={},
                gauges={},
            )
        )

    # How it is done

    def _learn(self, key: _TextKey) -> list[_Use]:
        """Find the statements of a text that was not met lately."""
        sql, database, encoding, standard, truncated = key
        uses: list[_Use] = []
        for found in self._lexer.lex(decode_text(sql, encoding), standard):
            shape = found.shape
            statement = self._statement(shape, database, truncated)
            if statement is None:
                self.count("lost.statements")
                return []
            literals = tuple([encode_text(text, encoding) for text in found.literals])
            length = found.list_length
            for literal in literals:
                if literal.startswith(b"{"):
                    length = max(length, array_length(literal, 0, 0) or 0)
            uses.append(_Use(statement, literals, length))
        self._text_bytes += len(sql)
        if len(self._texts) >= MAX_TEXTS or self._text_bytes > MAX_TEXT_BYTES:
            self._texts.clear()
            self._text_bytes = len(sql)
        self._texts[key] = uses
        return uses

    def _statement(self, shape: Shape, database: str, truncated: bool) -> _Statement | None:
        key = (database, shape.text, truncated)
        statement = self._statements.get(key)
        if statement is None:
            self._characters += len(shape.text)
            if len(self._statements) >= MAX_STATEMENTS or self._characters > MAX_STATEMENT_CHARACTERS:
                self._characters -= len(shape.text)
                return None
            statement = self._statements[key] = _Statement(self._next_id, shape, database, truncated)
            self._next_id += 1
            self._new.append(statement)
        return statement

    def _forget_idle(self) -> None:
        """Make room: statements idle since the last flush go; their numbers are not used again."""
        self._statements = {
            key: statement for key, statement in self._statements.items() if statement.touched
        }
        self._characters = sum(len(kept.shape.text) for kept in self._statements.values())
        self._texts.clear()
        self._text_bytes = 0

    def _values(self, execution: Execution, use: _Use, duration_us: int) -> None:
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
