"""What a run of the advisor says on which stream; the run itself is the advisor's own matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import advisor.advise
from advisor.advise import AdviseReport, load_advice
from advisor.model import Rejection
from workload.store import Store

Pgcoach = Callable[..., tuple[int, str, str]]
DROPPED = Rejection(what="index on t (a)", reason="no plan gets cheaper with it", database="shop")


@pytest.fixture
def comes_out(monkeypatch: pytest.MonkeyPatch, store_path: Path) -> Callable[..., dict[str, Any]]:
    """Call it with ids, rejections and notes that the next run answers with; what the run was given."""
    given: dict[str, Any] = {}

    def prepare(
        ids: tuple[str, ...] = (), rejections: tuple[Rejection, ...] = (), notes: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        async def run(store: Store, target: object, **options: Any) -> AdviseReport:
            given.update(options, target=target)
            records = {record.id: record for record in store.advice()}
            return AdviseReport(tuple(load_advice(records[id]) for id in ids), rejections, notes)

        monkeypatch.setattr(advisor.advise, "advise", run)
        return given

    return prepare


def test_advice_goes_to_stdout_and_remarks_to_stderr(
    pgcoach: Pgcoach, store_path: Path, comes_out: Callable[..., Any]
) -> None:
    comes_out(("ix1", "ba1"), (DROPPED,), ("old statistics",))
    code, out, err = pgcoach("advise", "--store", store_path)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["id", "ix1", "ba1"]
    assert err == "note: old statistics\n1 candidate was dropped; --why-not says why\n"


def test_several_are_plural_and_why_not_says_why(
    pgcoach: Pgcoach, store_path: Path, comes_out: Callable[..., Any]
) -> None:
    comes_out(("ix1",), (DROPPED, DROPPED))
    assert "2 candidates were dropped;" in pgcoach("advise", "--store", store_path)[2]
    _, _, err = pgcoach("advise", "--why-not", "--store", store_path)
    assert err.splitlines() == ["not advised: index on t (a): no plan gets cheaper with it"] * 2


def test_nothing_found_is_said_and_is_an_empty_array(
    pgcoach: Pgcoach, store_path: Path, comes_out: Callable[..., Any]
) -> None:
    comes_out()
    assert pgcoach("advise", "--store", store_path) == (0, "", "nothing was proved to help\n")
    code, out, _ = pgcoach("advise", "--json", "--store", store_path)
    assert (code, json.loads(out)) == (0, [])


def test_options_reach_the_run(pgcoach: Pgcoach, store_path: Path, comes_out: Callable[..., Any]) -> None:
    given = comes_out()
    options = ("--what-if", "build", "--own-server", "--limit", "3", "--target", "postgresql://me@here/mine")
    assert pgcoach("advise", *options, "--store", store_path)[0] == 0
    assert (given["what_if"], given["own_server"], given["limit"]) == ("build", True, 3)
    assert given["target"].database == "mine"


@pytest.mark.parametrize(
    "options", [("--limit", "0"), ("--limit", "x"), ("--what-if", "guess")], ids=" ".join
)
def test_what_makes_no_sense_is_usage(
    pgcoach: Pgcoach, store_path: Path, comes_out: Callable[..., Any], options: tuple[str, ...]
) -> None:
    given = comes_out()
    code, out, err = pgcoach("advise", *options, "--store", store_path)
    assert (code, out, given) == (2, "", {})
    assert options[0] in err
