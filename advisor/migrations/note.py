"""Advice that changes the application's code, not the database: a note in Markdown."""

from __future__ import annotations

import re
from datetime import datetime

from advisor.migrations import render
from advisor.migrations.model import Migration, MigrationFile
from advisor.model import Advice, BatchCandidate
from workload.detect.orm import orm_name

DIRECTORY = "pgcoach-notes"


def batch_note(advice: Advice, candidate: BatchCandidate, now: datetime) -> Migration:
    """What to change, the statement that does it, and what was proved."""
    # The id last and by itself: slug cuts long names, and two notes must not become one file.
    name = f"{render.slug(f'batch {candidate.key_column}')}_{render.slug(advice.id[:8])}"
    return Migration(
        advice_id=advice.id,
        runner="note",
        files=(MigrationFile(f"{DIRECTORY}/{name}.md", _text(advice, candidate, now)),),
        notes=("An N+1 is fixed in the application's code; the note says how.",),
    )


def _text(advice: Advice, candidate: BatchCandidate, now: datetime) -> str:
    proof = advice.proof
    head = render.header(advice, now, "take the change in the code back")[0]
    # Two hyphens may not stand inside a comment of HTML.
    sections = [f"<!-- {re.sub('-{2,}', '-', head)} -->", f"# {render.one_line(advice.title)}"]
    if candidate.orm_fix:
        orm = render.one_line(orm_name(candidate.orm)) or "the ORM"
        sections.append(f"## In {orm}\n\n{_code(candidate.orm_fix, 'text')}")
    sections.append(
        "## The statement that does it at once\n\n"
        f"{_code(candidate.batched, 'sql')}\n\n"
        f"Give it all keys ({render.one_line(candidate.key_column)}) as arrays, then put the rows back "
        "to their keys. It stands in for each call of:\n\n"
        f"{_code(candidate.original, 'sql')}"
    )
    if candidate.notes:
        sections.append("## Mind\n\n" + "\n".join(f"- {render.one_line(note)}" for note in candidate.notes))
    limits = "".join(f"\n- {render.one_line(limit)}" for limit in proof.limits)
    sections.append(
        f"## Proof\n\n{render.one_line(proof.summary)} (PostgreSQL {proof.server_version}).\n{limits}"
    )
    return "\n\n".join(sections) + "\n"


def _code(text: str, language: str) -> str:
    """A fenced block whose fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
