"""The messages about suspicious units of work: made at a drain, within a budget of bytes and of cells.

Units whose results were kept go first, because only they can prove where parameters came from; among equals
the shorter ones. A unit for which no source is found is cut to its first steps: repetition is all there is
to say about it, and counts say that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.observe.execution import Session
from proxy.wire.values import comparable, decode_text
from workload.capture.flow import CellAllowance, FlowingColumn, Wanted, flowing_columns
from workload.capture.hashes import value_hash
from workload.capture.messages import ResultColumn, Step, Unit
from workload.capture.retention import KeptResult, SessionResults
from workload.capture.steps import Samples, StepRecord, UnitLimits

_REPEATED: Final = 3
_POSITIONS_COMPARED: Final = 16
"""Parameters of one statement that are followed; later ones are not."""


class OpenUnit:
    """A unit of work while its statements come in, and until it was sent."""

    __slots__ = (
        "application_name",
        "calls",
        "client_encoding",
        "database",
        "names",
        "oids",
        "overflow",
        "part",
        "results",
        "sent",
        "sequence",
        "session",
        "started",
        "steps",
        "suspicious",
        "transactions",
        "unsent_since",
        "user",
    )

    def __init__(self, session: Session, started: float) -> None:
        self.session = session.id
        self.database = session.database
        self.user = session.user
        self.application_name = session.application_name
        self.client_encoding = session.client_encoding
        self.started = started
        self.unsent_since = started
        self.suspicious = False
        self.transactions = 0
        self.sequence = 0
        """Steps so far, over all parts, dropped ones included."""
        self.part = 0
        self.calls: dict[int, int] = {}
        """Statement to its calls over all parts."""
        self.sent: dict[int, int] = {}
        """Statement to its calls in the parts that are gone."""
        self.steps: list[StepRecord] = []
        self.overflow: dict[int, tuple[int, int]] = {}
        self.oids: dict[int, tuple[int, ...]] = {}
        self.names: dict[int, bytes] = {}
        self.results = SessionResults()

    def drop(self, statement: int, duration_us: int) -> None:
        """Count a step for which there is no room."""
        calls, total_us = self.overflow.get(statement, (0, 0))
        self.overflow[statement] = (calls + 1, total_us + duration_us)

    def next_part(self) -> None:
        self.sent = dict(self.calls)
        self.part += 1
        self.steps.clear()
        self.overflow.clear()

    def first_sequence(self) -> int:
        """Sequence of the first waiting step: dropped ones come after all that wait."""
        return self.sequence - len(self.steps) - sum(calls for calls, _us in self.overflow.values()) + 1


class PartBuilder:
    """Turns open units into messages."""

    __slots__ = ("_cells_refused", "_key", "_limits", "_over_budget", "_samples", "_steps_dropped")

    def __init__(self, key: bytes, samples: Samples, limits: UnitLimits) -> None:
        self._key = key
        self._samples = samples
        self._limits = limits
        self._over_budget = 0
        self._cells_refused = 0
        self._steps_dropped = 0

    def build(self, units: Sequence[OpenUnit], allowance: int, epoch_offset: float) -> tuple[Unit, ...]:
        """Messages of at most about ``allowance`` bytes together; every unit begins its next part.

        ``epoch_offset`` added to a monotonic instant gives epoch seconds.
        """
        cells = CellAllowance(self._limits.cells)
        built: list[Unit] = []
        for unit in sorted(units, key=lambda unit: (not unit.results.by_statement, len(unit.steps))):
            if not any(unit.calls[step.statement] >= _REPEATED for step in unit.steps):
                self._steps_dropped += sum(calls for calls, _us in unit.overflow.values())
                unit.next_part()
                continue
            if allowance <= 0:
                self._over_budget += 1
            else:
                message, size = self._part(unit, cells, epoch_offset)
                allowance -= size
                built.append(message)
            unit.next_part()
        self._cells_refused += cells.refused
        return tuple(built)

    def take_losses(self) -> tuple[tuple[str, int], ...]:
        """Counters since the last time: units over the budget, results not searched, steps never told."""
        losses = (
            ("units.over_budget", self._over_budget),
            ("units.results_unread", self._cells_refused),
            ("units.steps_dropped", self._steps_dropped),
        )
        self._over_budget = self._cells_refused = self._steps_dropped = 0
        return losses

    def _part(self, unit: OpenUnit, cells: CellAllowance, epoch_offset: float) -> tuple[Unit, int]:
        limits = self._limits
        columns = flowing_columns(
            unit.results.by_statement,
            self._wanted(unit),
            cells,
            max_rows=limits.rows,
            max_columns=limits.columns,
        )
        first = unit.first_sequence()
        if not columns:
            for step in unit.steps[limits.steps_without_source :]:
                unit.drop(step.statement, max(0, step.duration_us))
            del unit.steps[limits.steps_without_source :]
        carried = _carried(columns, first)
        places = {result.sequence: place for place, result in enumerate(carried)}
        places.update((first + index, len(carried) + index) for index in range(len(unit.steps)))
        steps = tuple(self._step(result.step) for result in carried) + tuple(map(self._step, unit.steps))
        calls = self._sample_calls(unit) if self._samples == "full" else {}
        sent = [self._column(column, places[column.result.sequence]) for column in columns]
        message = Unit(
            session=unit.session,
            database=unit.database,
            user=unit.user,
            application_name=unit.application_name,
            boundary=_boundary(unit.steps),
            started_at=unit.started + epoch_offset,
            steps=steps,
            dropped_steps=sum(calls for calls, _us in unit.overflow.values()),
            columns=tuple(sent),
            calls=calls,
            call_oids={statement: unit.oids.get(statement, ()) for statement in calls},
            statement_names={
                statement: unit.names[statement].decode("utf-8", errors="replace")
                for statement in sorted({step.statement for step in steps}.intersection(unit.names))
            },
            part=unit.part,
            carried=len(carried),
            prior_calls=dict(unit.sent),
            overflow=dict(unit.overflow),
        )
        return message, _size(message)

    def _wanted(self, unit: OpenUnit) -> list[Wanted]:
        """Parameters of repeated statements that take more than one value. Lists are batches, not loops."""
        seen: dict[tuple[int, int], dict[bytes, int]] = {}
        for sequence, step in enumerate(unit.steps, unit.first_sequence()):
            if step.list_length > 1 or unit.calls[step.statement] < _REPEATED:
                continue
            for position, param in enumerate(step.params[:_POSITIONS_COMPARED]):
                if isinstance(param, bytes):
                    text = comparable(_element(param, step.list_length))
                    seen.setdefault((step.statement, position), {})[text] = sequence
        return [
            Wanted(statement, position, texts)
            for (statement, position), texts in seen.items()
            if len(texts) > 1
        ]

    def _step(self, step: StepRecord) -> Step:
        return Step(
            statement=step.statement,
            params=tuple(self._hash(param, step.list_length) for param in step.params),
            list_length=step.list_length,
            rows=step.rows,
            duration_us=step.duration_us,
            gap_us=step.gap_us,
            transaction=step.transaction,
            result_hash=step.result_hash,
        )

    def _hash(self, param: bytes | int | None, list_length: int) -> int:
        if isinstance(param, int):
            return param
        return value_hash(self._key, None if param is None else _element(param, list_length))

    def _column(self, column: FlowingColumn, place: int) -> ResultColumn:
        return ResultColumn(
            step=place,
            name=column.head.name,
            table_oid=column.head.table_oid,
            attnum=column.head.attnum,
            type_oid=column.head.type_oid,
            values=tuple(value_hash(self._key, text) for text in column.texts),
            rows=column.result.step.rows,
            dense=column.dense,
            low_information=column.low_information,
        )

    def _sample_calls(self, unit: OpenUnit) -> dict[int, tuple[tuple[str | None, ...], ...]]:
        calls: dict[int, list[tuple[str | None, ...]]] = {}
        for step in unit.steps:
            if step.list_length > 1 or unit.calls[step.statement] < _REPEATED:
                continue
            taken = calls.setdefault(step.statement, [])
            texts = _texts(step.params, unit.client_encoding)
            if texts is not None and len(taken) < self._limits.sample_calls:
                taken.append(texts)
        return {statement: tuple(taken) for statement, taken in calls.items()}


def _element(text: bytes, list_length: int) -> bytes:
    """The one element of an array that holds one: ``= ANY('{5}')`` asks for 5."""
    if list_length == 1 and text.startswith(b"{") and text.endswith(b"}"):
        return text[1:-1].strip(b'"')
    return text


def _texts(params: tuple[bytes | int | None, ...], encoding: str) -> tuple[str | None, ...] | None:
    """The parameters as text; None when one of them was too long to be kept."""
    texts: list[str | None] = []
    for param in params:
        if isinstance(param, int):
            return None
        texts.append(None if param is None else decode_text(param, encoding))
    return tuple(texts)


def _carried(columns: Sequence[FlowingColumn], first: int) -> list[KeptResult]:
    """Results of earlier parts that columns refer to, each once, in order."""
    earlier = {column.result.sequence: column.result for column in columns if column.result.sequence < first}
    return [earlier[sequence] for sequence in sorted(earlier)]


def _boundary(steps: Sequence[StepRecord]) -> str:
    ordinals = {step.transaction for step in steps}
    return "transaction" if len(ordinals) == 1 and ordinals != {0} else "burst"


def _size(unit: Unit) -> int:
    """Bytes of the message in MessagePack, about: hashes take 9 bytes, a step's small fields 20, a number
    with its count 6."""
    steps = sum(20 + 9 * len(step.params) for step in unit.steps)
    columns = sum(40 + 9 * len(column.values) for column in unit.columns)
    texts = sum(
        2 + len(text) if text is not None else 1
        for calls in unit.calls.values()
        for call in calls
        for text in call
    )
    names = sum(6 + len(name) for name in unit.statement_names.values())
    return 100 + steps + columns + texts + names + 6 * (len(unit.prior_calls) + 2 * len(unit.overflow))
