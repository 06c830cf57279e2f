"""A short run of the fuzzer, and that it would see a defect."""

from __future__ import annotations

import pytest

from proxy.observe.execution import Execution, Kind, Session
from tests.fuzz import observer
from tests.proxy.pgmodel import Model


def test_f1_f2_f7_a13_mutated_transcripts_end_in_executions_or_a_counted_reason() -> None:
    found = observer.batch(seed=20, transcripts=3_000)
    assert found["transcripts"] == 3_000
    assert found["executions"] > 1_000
    assert sum(n for name, n in found.items() if name.startswith("opaque.")) > 100
    assert found["valid"] == 120


def test_batch_is_a_function_of_its_seed() -> None:
    assert observer.batch(7, 200) == observer.batch(7, 200)
    assert observer.batch(7, 200) != observer.batch(8, 200)


def test_failure_tells_the_seed_and_the_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "REASONS", frozenset(("bad_length",)))
    with pytest.raises(observer.Failure, match=r"(?s)opaque for .*seed 20, after \d+ transcripts.*\n[<>] b'"):
        observer.batch(20, 3_000)


def test_calls_that_the_server_did_not_make_are_a_failure() -> None:
    tap, witness = observer.fed([])
    observer.compare(Model(), tap, witness)
    model = Model()
    model.calls["r1", 1] += 1
    with pytest.raises(observer.Failure, match="the server ran"):
        observer.compare(model, tap, witness)


def test_execution_delivered_twice_or_malformed_is_a_failure() -> None:
    session = Session(1, "test", 0.0)
    execution = Execution(session, Kind.SIMPLE, b"SELECT 1", 8, 1.0)
    witness = observer.Witness()
    witness.session_opened(session)
    witness.executed(execution)
    with pytest.raises(observer.Failure, match="twice"):
        witness.executed(execution)
    observer.wellformed(execution, 2.0)
    execution.rows = -1
    with pytest.raises(observer.Failure, match="malformed"):
        observer.wellformed(execution, 2.0)
