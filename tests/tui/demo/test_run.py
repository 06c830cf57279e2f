"""The demo's own decisions; the whole of it is run from the outside."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from advisor.advise import load_advice
from advisor.model import Advice, BatchCandidate, IndexCandidate, IndexKey, Proof
from tui.demo import run
from tui.demo.measure import Run
from tui.demo.processes import DemoError
from workload.model import Finding
from workload.store import Store
from workload.store.schema import FINE_SPAN

PROOF = Proof(method="build", server_version="18.4", made_at=0.0, summary="cheaper")
INDEX = Advice(
    id="1" * 16,
    title="Index t (a)",
    database="shop",
    candidate=IndexCandidate(schema="public", table="t", keys=(IndexKey(column="a"),)),
    proof=PROOF,
)
BATCH = Advice(
    id="2" * 16,
    title="Read once",
    database="shop",
    candidate=BatchCandidate(
        finding_id="f", original="SELECT 1", batched="SELECT 2", shape="any", key_column="a"
    ),
    proof=PROOF,
)


@pytest.fixture
def findings(store_path: Path) -> list[Finding]:
    with Store.open(store_path) as store:
        return store.findings()


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(DemoError, match="not empty: name another folder with --output"):
        run._folder(tmp_path)


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = run._folder(Path("deep/down"))
    assert made == tmp_path / "deep" / "down"
    assert made.stat().st_mode & 0o777 == 0o700
    assert run._folder(made) == made  # there, but empty


def test_the_default_folder_is_a_new_one_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = run._folder(None)
    assert made.parent == tmp_path / "pgcoach"
    assert made.name.startswith("demo-2")


def test_a_demo_that_shows_nothing_is_an_error(findings: list[Finding]) -> None:
    run._check(findings, [INDEX, BATCH])
    with pytest.raises(DemoError, match="did not find a batched statement;"):
        run._check(findings, [INDEX])
    with pytest.raises(DemoError, match="did not find an N\\+1 and an index"):
        run._check([], [BATCH])


def test_only_up_scripts_are_applied() -> None:
    names = ["001_a.sql", "001_a.down.sql", "note.md"]
    assert [name for name in names if run._is_up_script(Path(name))] == ["001_a.sql"]


def test_export_accepts_first_and_marks_after(store_path: Path, tmp_path: Path) -> None:
    with Store.open(store_path) as store:
        advice = [load_advice(record) for record in store.advice(["new"])]
        written = run._export(store, advice, tmp_path / "out")
        states = {record.id: record.state for record in store.advice()}
    assert {path.suffix for path in written} == {".sql", ".md"}
    assert (states["ix1"], states["ba1"]) == ("exported", "exported")


def test_a_step_is_shown_when_it_is_through_and_not_when_it_failed() -> None:
    console = Console(record=True, width=80, file=io.StringIO())
    with run._step(console, "Proving advice") as say:
        say("an index")
    with pytest.raises(DemoError), run._step(console, "Applying"):
        raise DemoError("no")
    text = console.export_text()
    assert "✓ Proving advice (0." in text
    assert "✓ Applying" not in text


def test_runs_are_told_apart_by_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "time", lambda: 1_000.5)
    run._wait_for_new_bucket([])
    assert slept == []
    run._wait_for_new_bucket([Run("one", 1, 1.0, 990.0, 1_000.0)])
    (wait,) = slept
    begin = 1_000.5 + wait
    assert begin > 1_000.0
    assert begin % FINE_SPAN == pytest.approx(0.0)


def test_a_recorder_that_does_not_write_is_told(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_FLUSH_SECONDS", -1.0)
    with Store.open(store_path) as store:
        last = store.last_write()
        assert last is not None
        run._wait_for_recorder(store, last - 1.0)
        with pytest.raises(DemoError, match=r"see proxy\.log"):
            run._wait_for_recorder(store, last)
