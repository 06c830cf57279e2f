"""Finding advice by the beginning of its id, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tui.cli import advice
from tui.cli.errors import CommandError
from workload.model import AdviceRecord

Pgcoach = Callable[..., tuple[int, str, str]]


def record(id: str) -> AdviceRecord:
    return AdviceRecord(
        id=id,
        kind="index",
        state="new",
        title="Index\tt (a)",
        database="shop",
        benefit_ms=12.0,
        created_at=1_800_000_000.0,
        updated_at=1_800_000_001.0,
        reason="",
        document=b'{"id": "x"}',
    )


def test_a_whole_id_wins_over_longer_ones() -> None:
    records = [record("ab"), record("abc"), record("b")]
    assert advice.find(records, "ab") is records[0]
    assert advice.find(records, "abc") is records[1]
    assert advice.find(records, "b") is records[2]


@pytest.mark.parametrize(
    ("id", "message"),
    [("a", r"several ids \(ab, abc\)"), ("x", "no advice with id 'x'"), ("", "is empty")],
)
def test_none_or_several_are_told(id: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        advice.find([record("ab"), record("abc")], id)


def test_an_empty_id_is_never_the_only_one_there_is() -> None:
    with pytest.raises(CommandError, match="is empty"):
        advice.find([record("ab")], "")


def test_the_document_stands_inside_and_times_are_iso() -> None:
    fields = advice.document(record("ab"))
    assert fields["advice"] == {"id": "x"}
    assert fields["created_at"] == "2027-01-15T08:00:00Z"
    assert fields["updated_at"] == "2027-01-15T08:00:01Z"
    assert "document" not in fields
    msgspec.json.encode(fields)


def test_titles_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    advice.print_table([record("ab")])
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "kind", "state", "saves", "database", "title"]
    assert row.endswith("Index t (a)")


def test_a_state_that_is_none_is_usage(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, err = pgcoach("advice", "--state", "nonsense", "--store", store_path)
    assert (code, out) == (2, "")
    assert "nonsense" in err
    assert "accepted" in err


def test_a_state_without_advice_is_not_an_empty_store(pgcoach: Pgcoach, store_path: Path) -> None:
    code, out, err = pgcoach("advice", "--state", "snoozed", "--state", "applied", "--store", store_path)
    assert (code, out) == (0, "")
    assert err == "no advice is snoozed or applied: `pgcoach advice` lists all of it\n"
    assert pgcoach("advice", "--state", "snoozed", "--json", "--store", store_path)[1] == "[]\n"
