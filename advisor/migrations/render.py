"""What the files of all runners have in common: names, the header, and the checks around a build.

A concurrent build that fails leaves its index behind, INVALID but maintained by every write, and
``IF NOT EXISTS`` is content with it. So every file drops such a left-over first, and looks afterwards.
An index that somebody is building this moment is INVALID too and is left alone (both read
pg_stat_progress_create_index).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version

from advisor.model import Advice, IndexCandidate
from advisor.sql import candidate_name, qualified, quote_literal

MARK = "pgcoach advice"
"""Stands in front of the id in every exported file: how a later export knows the file again."""


def mark(advice: Advice) -> str:
    return f"{MARK} {one_line(advice.id)}"


def one_line(text: str) -> str:
    """``text`` without line ends or control characters, so that it cannot leave its comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def slug(text: str) -> str:
    """Lower-case ASCII words for a file name; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60].rstrip("_")


def header(advice: Advice, now: datetime, rollback: str, more: Sequence[str] = ()) -> list[str]:
    """Comment lines without their comment sign."""
    return [
        f"{mark(advice)}, written by pgcoach {version('pgcoach')} on {now:%Y-%m-%d}",
        f"Why: {one_line(advice.title)}",
        f"Proof: {one_line(advice.proof.summary)} (PostgreSQL {one_line(advice.proof.server_version)})",
        f"Rollback: {one_line(rollback)}",
        *more,
    ]


def index_regclass(candidate: IndexCandidate) -> str:
    """The index's name as the text literal that ``to_regclass`` takes."""
    return quote_literal(qualified(candidate.schema, candidate_name(candidate)))


def table_regclass(candidate: IndexCandidate) -> str:
    return quote_literal(qualified(candidate.schema, candidate.table))


def leftover_condition(candidate: IndexCandidate) -> str:
    """Condition on ``pg_index i``: the candidate's index, left INVALID by a build that is over."""
    return (
        f"i.indexrelid = to_regclass({index_regclass(candidate)}) AND NOT i.indisvalid\n"
        "   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)"
    )


def refuse_partitioned(candidate: IndexCandidate) -> str:
    """A DO block that stops before anything is done to a partitioned table."""
    table = table_regclass(candidate)
    return _do_block(
        f"""  IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass({table}) AND relkind = 'p') THEN
    RAISE EXCEPTION 'table % is partitioned: PostgreSQL cannot build its index concurrently', {table}
      USING HINT = 'CREATE INDEX ... ON ONLY the parent, CREATE INDEX CONCURRENTLY on each partition, then '
                   'ALTER INDEX ... ATTACH PARTITION for each.';
  END IF;"""
    )


def verify_valid(candidate: IndexCandidate) -> str:
    """A DO block that fails unless the index exists on the table and is valid."""
    index = index_regclass(candidate)
    return _do_block(
        f"""  IF NOT EXISTS (SELECT FROM pg_index
                  WHERE indexrelid = to_regclass({index})
                    AND indrelid = to_regclass({table_regclass(candidate)}) AND indisvalid) THEN
    RAISE EXCEPTION 'index % is missing, INVALID or on another table', {index}
      USING HINT = 'Look at pg_stat_progress_create_index; run this again when no build is under way.';
  END IF;"""
    )


def _do_block(body: str) -> str:
    tag = "$check$"
    number = 1
    while tag in body:
        number += 1
        tag = f"$check{number}$"
    return f"DO {tag}\nBEGIN\n{body}\nEND\n{tag}"
