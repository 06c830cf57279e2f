"""Notes for what is done in the application's code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from msgspec.structs import replace

from advisor.migrations.note import batch_note
from advisor.model import Advice, BatchCandidate

Write = Callable[..., tuple[str, str]]


@pytest.fixture
def write(batch_advice: Advice, now: datetime) -> Write:
    """Path and text of the note, with other fields in the candidate."""

    def note(id: str = batch_advice.id, **fields: object) -> tuple[str, str]:
        assert isinstance(batch_advice.candidate, BatchCandidate)
        candidate = replace(batch_advice.candidate, **fields)
        migration = batch_note(replace(batch_advice, id=id), candidate, now)
        assert (migration.advice_id, migration.runner) == (id, "note")
        (file,) = migration.files
        return file.path, file.text

    return note


def test_the_note_says_what_to_change_and_what_was_proved(write: Write) -> None:
    path, text = write()
    assert path == "pgcoach-notes/batch_customer_id_ba7c4000.md"
    assert text.startswith("<!-- pgcoach advice ba7c400000000001, written by pgcoach ")
    assert "# Read orders once\n" in text
    assert "## In SQLAlchemy\n\n```text\nselect(Customer)" in text
    assert "```sql\nSELECT customer_id, id\nFROM orders" in text
    assert "## Mind\n\n- Leave NULL keys out.\n" in text
    assert "## Proof\n\ncost 4,310 to 8.4, \\! echo a line end in what was said (PostgreSQL 16.14)." in text
    assert text.endswith("- one machine\n")


def test_without_an_orm_the_statement_stands_alone(write: Write) -> None:
    _, text = write(orm="", orm_fix="", notes=())
    assert "## In " not in text
    assert "## Mind" not in text


def test_long_keys_do_not_make_two_notes_one_file(write: Write) -> None:
    key = "a_key_column_whose_name_is_as_long_as_postgresql_lets_it_be_now"
    one, _ = write(id="1" * 16, key_column=key)
    other, _ = write(id="2" * 16, key_column=key)
    assert one != other
    assert one.endswith("_11111111.md")


def test_a_statement_cannot_leave_its_block_nor_the_id_its_comment(write: Write) -> None:
    _, text = write(id="x--->", original="SELECT '```' FROM t WHERE a = $1")
    assert "````sql\nSELECT '```' FROM t WHERE a = $1\n````" in text
    head = text.splitlines()[0]
    assert "--" not in head.removeprefix("<!--").removesuffix("-->")
