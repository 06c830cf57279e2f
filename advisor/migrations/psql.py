"""Numbered scripts for psql: ``NNN_slug.sql`` and ``NNN_slug.down.sql``."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from advisor.migrations import render
from advisor.migrations.model import Migration, MigrationFile
from advisor.model import Advice, IndexCandidate
from advisor.sql import candidate_name, drop_index_ddl, index_ddl

_NUMBERED = re.compile(r"(\d+)_.*\.sql\Z")

_PREAMBLE = r"""\set ON_ERROR_STOP on
\set AUTOCOMMIT on
\encoding UTF8
-- The build waits for running transactions and blocks neither reads nor writes meanwhile.
SET lock_timeout = 0;
SET statement_timeout = 0;
"""


def index_migration(advice: Advice, candidate: IndexCandidate, number: str, now: datetime) -> Migration:
    """Scripts that build the index without blocking writes, and drop it. ``number`` starts the names."""
    stem = f"{number}_{render.slug('add ' + candidate_name(candidate))}"
    up, down = f"{stem}.sql", f"{stem}.down.sql"
    run = 'psql -X -v ON_ERROR_STOP=1 -f {} "$DATABASE_URL"'
    return Migration(
        advice_id=advice.id,
        runner="psql",
        files=(
            MigrationFile(up, _up(advice, candidate, now, down, run.format(up))),
            MigrationFile(down, _down(advice, candidate, now, up, run.format(down))),
        ),
        notes=(f"Run: {run.format(up)} (never with -1: a concurrent build refuses a transaction)",),
    )


def next_number(directory: Path, ahead: int) -> str:
    """The number after the highest in ``directory``, and ``ahead`` more; as wide as they are, at least 3."""
    found = [match[1] for path in directory.glob("*.sql") if (match := _NUMBERED.match(path.name))]
    width = max([3, *(len(number) for number in found)])
    return f"{max((int(number) for number in found), default=0) + 1 + ahead:0{width}d}"


def _comment(lines: list[str]) -> str:
    return "".join(f"-- {line}\n" for line in lines)


def _up(advice: Advice, candidate: IndexCandidate, now: datetime, down: str, run: str) -> str:
    head = render.header(advice, now, down, (f"Run: {run}", "Never with -1 (--single-transaction)."))
    return f"""{_comment(head)}
{_PREAMBLE}
{render.refuse_partitioned(candidate)};

-- A build that failed leaves an INVALID index behind.
SELECT format('DROP INDEX CONCURRENTLY %s', i.indexrelid::regclass)
  FROM pg_index i
 WHERE {render.leftover_condition(candidate)}
\\gexec

{index_ddl(candidate)};

{render.verify_valid(candidate)};
"""


def _down(advice: Advice, candidate: IndexCandidate, now: datetime, up: str, run: str) -> str:
    head = render.header(advice, now, f"{up} builds it again", (f"Run: {run}",))
    return f"{_comment(head)}\n{_PREAMBLE}\n{drop_index_ddl(candidate)};\n"
