"""A piece of advice, arranged for reading: what, why, how it was proved, what it costs, how to undo it.

The command line prints it, the application places it; what it says is decided here, once. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from advisor.model import Advice, BatchCandidate, IndexCandidate, Proof, QueryGain
from tui.format import counted, duration, one_line, printable, size, speedup
from tui.sql_text import pretty
from workload.detect.orm import orm_name
from workload.model import AdviceRecord
from workload.plans.model import PlanError, parse_plan, render_plan

METHODS = {
    "hypopg": "planned with a hypothetical index (HypoPG)",
    "build": "planned with the index really built in a transaction that was rolled back",
    "snapshot": "run in one read-only snapshot, results compared row by row",
}


_DECISIONS = ("accepted", "rejected", "snoozed")
"""States that a person gives, with a reason."""


class UnreadableAdviceError(ValueError):
    """The store holds a document that this version does not understand."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    lines: tuple[str, ...]
    language: str = ""
    """postgresql or python where the lines are code, which is shown as it is; empty for prose."""


@dataclass(frozen=True, slots=True)
class PlanPair:
    """One query's plan before and after."""

    query: str
    cost_before: float
    cost_after: float
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdviceView:
    id: str
    title: str
    kind: str
    state: str
    reason: str
    database: str
    benefit: str
    change: Section
    """What to do: the DDL, or the batched statement."""
    instead: Section | None
    """The statement that the change replaces; None for an index."""
    why: tuple[Section, ...]
    plans: tuple[PlanPair, ...]
    care: tuple[Section, ...]
    """Limits of the proof, locks, the way back."""

    @property
    def remark(self) -> str:
        """What was noted with the state: a person's reason, or for instance where the export went."""
        if not self.reason:
            return ""
        return f"{'Reason given' if self.state in _DECISIONS else 'Noted'}: {self.reason}"


def read_advice(record: AdviceRecord) -> Advice:
    """The advisor's document of a record. Raises UnreadableAdviceError."""
    try:
        return msgspec.json.decode(record.document, type=Advice)
    except msgspec.DecodeError as error:
        raise UnreadableAdviceError(
            f"advice {record.id} was written by another version of pgcoach ({error}): "
            "run `pgcoach advise` again"
        ) from error


def advice_view(record: AdviceRecord) -> AdviceView:
    """Everything that is shown of one piece of advice. Raises UnreadableAdviceError."""
    advice = read_advice(record)
    candidate = advice.candidate
    if isinstance(candidate, IndexCandidate):
        change = Section("Change", _lines(advice.ddl), "postgresql")
        instead = None
        why = _index_reasons(candidate, advice)
    else:
        change = Section("Batched statement", _lines(pretty(candidate.batched)), "postgresql")
        instead = Section("Instead of many of", _lines(pretty(candidate.original)), "postgresql")
        why = _batch_reasons(candidate)
    return AdviceView(
        id=advice.id,
        title=one_line(advice.title),
        kind=record.kind,
        state=record.state,
        reason=one_line(record.reason),
        database=one_line(advice.database),
        benefit=f"saves {duration(advice.benefit_ms)} of the observed time",
        change=change,
        instead=instead,
        why=(*why, _proof(advice.proof, advice.gains)),
        plans=tuple(_plan_pair(gain) for gain in advice.gains),
        care=_care(advice),
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(printable(text).strip("\n").splitlines())


def _index_reasons(candidate: IndexCandidate, advice: Advice) -> tuple[Section, ...]:
    reasons = [one_line(candidate.why)] if candidate.why else []
    reasons += [
        f"{counted(gain.calls, 'call')}, {duration(gain.total_ms)}: {one_line(gain.query)}"
        for gain in advice.gains
    ]
    return (Section("Why", tuple(reasons)),) if reasons else ()


def _batch_reasons(candidate: BatchCandidate) -> tuple[Section, ...]:
    sections = []
    if candidate.orm_fix:
        name = one_line(orm_name(candidate.orm)) or "the ORM"
        sections.append(Section(f"In {name}", _lines(candidate.orm_fix), "python"))
    if candidate.notes:
        sections.append(Section("Mind", tuple(one_line(note) for note in candidate.notes)))
    return tuple(sections)


def _proof(proof: Proof, gains: Sequence[QueryGain]) -> Section:
    lines = [one_line(proof.summary)] if proof.summary else []
    server = f", PostgreSQL {one_line(proof.server_version)}" if proof.server_version else ""
    lines.append(f"How: {METHODS.get(proof.method, proof.method)}{server}.")
    if proof.compared_calls is not None:
        rows = f", {counted(proof.compared_rows, 'row')}" if proof.compared_rows is not None else ""
        lines.append(f"Compared: {counted(proof.compared_calls, 'call')}{rows}: the same.")
    if proof.calls_ms is not None and proof.batched_ms is not None:
        lines.append(
            f"Measured: {duration(proof.calls_ms)} for the calls one by one, {duration(proof.batched_ms)} "
            f"for the batched statement ({speedup(proof.calls_ms, proof.batched_ms)})."
        )
    if proof.index_bytes is not None:
        lines.append(f"Index: {size(proof.index_bytes)}{_table(proof)}.")
    lines += [
        f"Cost: {cost(gain.cost_before)} → {cost(gain.cost_after)} "
        f"({speedup(gain.cost_before, gain.cost_after)}): {one_line(gain.query)}"
        for gain in gains
    ]
    return Section("Proof", tuple(lines))


def _table(proof: Proof) -> str:
    if proof.table_bytes is None:
        return ""
    rows = f", {counted(proof.table_rows, 'row')}" if proof.table_rows is not None else ""
    return f" beside a table of {size(proof.table_bytes)}{rows}"


def cost(units: float) -> str:
    """A planner cost; small ones keep their decimals."""
    return f"{units:,.0f}" if units >= 100 else f"{units:,.2f}"


def _care(advice: Advice) -> tuple[Section, ...]:
    sections = []
    if advice.proof.limits:
        sections.append(Section("What the proof does not cover", tuple(map(one_line, advice.proof.limits))))
    if advice.lock_note:
        sections.append(Section("Locks", (one_line(advice.lock_note),)))
    if advice.rollback:
        sections.append(Section("Way back", _lines(advice.rollback), "postgresql"))
    return tuple(sections)


def _plan_pair(gain: QueryGain) -> PlanPair:
    return PlanPair(
        query=one_line(gain.query),
        cost_before=gain.cost_before,
        cost_after=gain.cost_after,
        before=_plan(gain.plan_before),
        after=_plan(gain.plan_after),
    )


def _plan(document: dict[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(printable(line) for line in render_plan(parse_plan(document)))
    except PlanError as error:
        return (f"no plan: {error}",)


def plain_text(view: AdviceView) -> str:
    """The view for a terminal or a pipe: headings, indented blocks, plans one under the other."""
    parts = [f"{view.title}\n{view.kind} · {view.state} · {view.database} · {view.benefit} · id {view.id}"]
    if view.remark:
        parts.append(view.remark)
    parts.append(_block(view.change))
    if view.instead is not None:
        parts.append(_block(view.instead))
    parts += [_block(section) for section in view.why]
    for pair in view.plans:
        before = "\n".join("  " + line for line in pair.before)
        after = "\n".join("  " + line for line in pair.after)
        parts.append(
            f"Plan of {pair.query}\n  before, cost {cost(pair.cost_before)}\n{before}\n"
            f"  after, cost {cost(pair.cost_after)}\n{after}"
        )
    parts += [_block(section) for section in view.care]
    return "\n\n".join(parts) + "\n"


def _block(section: Section) -> str:
    return "\n".join([section.title, *("  " + line for line in section.lines)])
