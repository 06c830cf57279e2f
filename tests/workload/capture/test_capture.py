"""The worker's counts: what is a call, what is timed, what is told of values."""

from __future__ import annotations

import msgspec
import pytest

from proxy.observe.execution import Execution, Kind, Observer, Outcome, Quality, Session
from workload.capture.capture import Capture
from workload.capture.histogram import Histogram
from workload.capture.messages import Delta, StatementDelta
from workload.capture.statements import StatementLimits

KEY = b"k" * 32
EPOCH = 1_800_000_000.0


def session(**changes: object) -> Session:
    made = Session(1, "127.0.0.1:5000", 0.0)
    made.database = "shop"
    made.user = "bob"
    made.server_version = "16.4"
    for name, value in changes.items():
        setattr(made, name, value)
    return made


SESSION = session()


def execution(sql: str | bytes, at: float = 1.0, duration: float = 0.001, **changes: object) -> Execution:
    raw = sql.encode() if isinstance(sql, str) else sql
    owner = changes.pop("session", SESSION)
    assert isinstance(owner, Session)
    made = Execution(owner, Kind.SIMPLE, raw, len(raw), at)
    made.t_start = at
    made.t_done = made.t_ready = at + duration
    made.tag = b"SELECT 1"
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def bound(
    sql: str, params: list[bytes | None], oids: tuple[int, ...] = (), at: float = 1.0, **changes: object
) -> Execution:
    return execution(sql, at, 0.001, params=params, param_oids=oids, kind=Kind.EXTENDED, **changes)


def flushed(capture: Capture, now: float = 10.0) -> Delta:
    return msgspec.msgpack.decode(capture.flush(now, EPOCH + now), type=Delta)


def by_shape(delta: Delta) -> dict[str, StatementDelta]:
    shapes = {definition.id: definition.shape for definition in delta.definitions}
    return {shapes[statement.id]: statement for statement in delta.statements}


@pytest.fixture
def capture() -> Capture:
    return Capture(3, KEY, "full")


def test_it_is_an_observer(capture: Capture) -> None:
    observer: Observer = capture
    observer.session_opened(SESSION)
    observer.session_closed(SESSION, 1.0)
    assert flushed(capture).counters == {"sessions": 1}


def test_counts_and_times_by_shape(capture: Capture) -> None:
    for number in range(10):
        capture.executed(
            execution(f"SELECT a FROM t WHERE b = {number}", duration=0.002, rows=3, bytes_out=50)
        )
    capture.executed(execution("SELECT a FROM t WHERE b = 'x'", duration=0.004, rows=0))
    delta = flushed(capture)
    assert (delta.worker, delta.sequence, delta.at) == (3, 1, EPOCH + 10)
    assert [(d.shape, d.database, d.truncated) for d in delta.definitions] == [
        ("SELECT a FROM t WHERE b = $1", "shop", False)
    ]
    (statement,) = delta.statements
    assert (statement.calls, statement.rows, statement.bytes_out, statement.timed_calls) == (11, 30, 500, 11)
    assert statement.total_us == pytest.approx(24_000, abs=11)
    assert statement.max_us == pytest.approx(4000, abs=1)
    assert Histogram(statement.histogram).percentile(0.5) == pytest.approx(2000, rel=0.01)
    assert statement.qualities == (11, 0, 0, 0)


def test_a_flush_sends_only_what_happened_since(capture: Capture) -> None:
    capture.executed(execution("SELECT 1"))
    first = flushed(capture)
    second = flushed(capture, 11.0)
    assert second.sequence == 2
    assert (second.definitions, second.statements, second.samples, second.counters) == ((), (), (), {})
    capture.executed(execution("SELECT 2"))
    third = flushed(capture, 12.0)
    assert third.definitions == ()
    assert [(s.id, s.calls) for s in third.statements] == [(first.statements[0].id, 1)]


def test_only_some_executions_have_times(capture: Capture) -> None:
    for quality in Quality:
        capture.executed(execution("SELECT 1", quality=quality))
    (statement,) = flushed(capture).statements
    assert (statement.calls, statement.timed_calls, statement.qualities) == (4, 2, (1, 1, 1, 1))
    assert sum(statement.histogram.values()) == 2


def test_what_pg_stat_statements_would_not_count(capture: Capture) -> None:
    capture.executed(execution("SELECT 1", outcome=Outcome.ERROR, sqlstate=b"22012"))
    capture.executed(execution("SELECT 1", outcome=Outcome.SKIPPED))
    capture.executed(execution("SELECT 1", outcome=Outcome.ABORTED))
    capture.executed(execution("", outcome=Outcome.EMPTY))
    capture.executed(execution("PREPARE p AS SELECT 1", tag=b"PREPARE"))
    capture.executed(execution("DEALLOCATE p", tag=b"DEALLOCATE"))
    capture.executed(execution("DEALLOCATE ALL", tag=b"DEALLOCATE ALL"))
    delta = flushed(capture)
    (statement,) = delta.statements
    assert (statement.calls, statement.errors, statement.sqlstates) == (0, 1, {"22012": 1})
    assert (statement.timed_calls, statement.histogram) == (0, {})
    assert delta.counters == {"executions.skipped": 1, "executions.aborted": 1}


def test_deallocate_counts_from_17_on_and_two_phase_always(capture: Capture) -> None:
    new = session(server_version="18.1 (Debian 18.1-1)")
    capture.executed(execution("DEALLOCATE _pg3_1", tag=b"DEALLOCATE", session=new))
    capture.executed(execution("DEALLOCATE _pg3_2", tag=b"DEALLOCATE", session=new))
    capture.executed(execution("PREPARE TRANSACTION 'x'", tag=b"PREPARE TRANSACTION"))
    counts = {shape: statement.calls for shape, statement in by_shape(flushed(capture)).items()}
    assert counts == {"DEALLOCATE p": 2, "PREPARE TRANSACTION ''": 1}


def test_statements_of_one_text_count_for_themselves(capture: Capture) -> None:
    text = "BEGIN; SELECT 1;; UPDATE t SET a = 2; COMMIT"
    for ordinal in range(4):
        capture.executed(execution(text, ordinal=ordinal, statements=4, quality=Quality.SHARED))
    capture.executed(execution(text, ordinal=9))
    delta = flushed(capture)
    counts = {shape: statement.calls for shape, statement in by_shape(delta).items()}
    assert counts == {"BEGIN": 1, "SELECT $1": 1, "UPDATE t SET a = $1": 1, "COMMIT": 2}
    assert delta.counters["lost.ordinals"] == 1


def test_databases_and_truncated_texts_are_apart(capture: Capture) -> None:
    capture.executed(execution("SELECT 1"))
    capture.executed(execution("SELECT 1", session=session(database="other")))
    capture.executed(execution("SELECT 1", sql_length=100_000))
    delta = flushed(capture)
    assert sorted((d.database, d.truncated) for d in delta.definitions) == [
        ("other", False),
        ("shop", False),
        ("shop", True),
    ]
    assert len(delta.samples) == 2


def test_client_encoding_and_string_mode(capture: Capture) -> None:
    capture.executed(
        execution("SELECT 'ä', \"ö\"".encode("latin-1"), session=session(client_encoding="LATIN1"))
    )
    capture.executed(execution(r"SELECT 'it\'s', c", session=session(standard_conforming_strings=False)))
    delta = flushed(capture)
    assert {d.shape for d in delta.definitions} == {'SELECT $1, "ö"', "SELECT $1, c"}
    assert {sample.params for sample in delta.samples} == {("ä",), ("it's",)}


def test_samples_are_in_the_order_of_the_shapes_parameters(capture: Capture) -> None:
    capture.executed(
        bound(
            "SELECT a FROM t WHERE b = $2 AND c = 'x' AND d = $1 AND e IN ($3, $4)",
            [b"\x00\x00\x00\x2a", None, b"7", b"8"],
            (23, 25),
            param_formats=(1, 0, 0, 0),
            rows=5,
        )
    )
    delta = flushed(capture)
    assert delta.definitions[0].shape == (
        "SELECT a FROM t WHERE b = $2 AND c = $4 AND d = $1 AND e IN ($3 /*, ... */)"
    )
    (sample,) = delta.samples
    assert sample.params == ("42", None, "7", "x")
    assert sample.oids == (23, 25, 0, 0)
    assert (sample.rows, sample.masked) == (5, False)
    assert sample.duration_us == pytest.approx(1000, abs=1)
    assert sample.taken_at == pytest.approx(EPOCH + 1.001)


def test_masked_samples_tell_type_length_and_hash_only() -> None:
    capture = Capture(0, KEY, "masked")
    capture.executed(
        bound(
            "SELECT a FROM t WHERE b = $1 AND c = 'secret' AND d = 5",
            [
                b"hidden",
            ],
            (25,),
        )
    )
    raw = capture.flush(10.0, EPOCH)
    assert b"secret" not in raw
    assert b"hidden" not in raw
    (sample,) = msgspec.msgpack.decode(raw, type=Delta).samples
    assert sample.masked
    first, second, third = sample.params
    assert first is not None
    assert first.startswith("<oid 25, 6 bytes, ")
    assert second is not None
    assert second.startswith("<string, 6 bytes, ")
    assert third is not None
    assert third.startswith("<number, 1 bytes, ")


@pytest.mark.parametrize("mode", ["none", "masked"])
def test_no_value_leaves_the_worker_unless_asked_for(mode: str) -> None:
    capture = Capture(0, KEY, mode)  # type: ignore[arg-type]
    at = 1.0
    for number in range(30):
        at += 0.002
        capture.executed(execution(f"SELECT a FROM t WHERE b = 'hidden{number}'", at=at))
        capture.executed(bound("SELECT c FROM t WHERE d = $1", [f"hidden{number}".encode()], (25,), at=at))
    raw = capture.flush(2.0, EPOCH) + capture.flush(20.0, EPOCH + 18)
    assert b"hidden" not in raw
    assert (b"masked" in raw) is False


def test_statements_with_credentials_are_never_sampled(capture: Capture) -> None:
    capture.executed(execution("CREATE USER u PASSWORD 'hunter2'"))
    capture.executed(execution("SELECT dblink_connect('password=hunter2')"))
    for at in range(10):
        capture.executed(bound("SELECT crypt($1, $2)", [b"hunter2", b"hunter3"], (25, 25), at=float(at)))
    raw = capture.flush(10.0, EPOCH) + capture.flush(30.0, EPOCH + 20)
    assert b"hunter" not in raw


def test_unreadable_and_missing_values_are_not_sampled(capture: Capture) -> None:
    capture.executed(bound("SELECT a FROM t WHERE b = $1", [b"\x01\x02\x03"], (99999,), param_formats=(1,)))
    capture.executed(execution("SELECT a FROM t WHERE b = $1", params=None, kind=Kind.EXTENDED))
    capture.executed(bound("SELECT a FROM t WHERE b = $1", [b"x" * 5000], (25,)))
    delta = flushed(capture)
    assert delta.samples == ()
    assert delta.statements[0].calls == 3
    assert delta.counters == {"lost.params": 1, "lost.samples": 1}


def test_samples_are_bounded_and_spread_over_time(capture: Capture) -> None:
    taken = 0
    for second in range(60):
        for _ in range(100):
            capture.executed(execution("SELECT 1", at=float(second)))
        taken += len(flushed(capture, second + 0.5).samples)
    assert 20 <= taken <= 30
    capture.executed(execution("SELECT 1", at=60.0, duration=5.0))
    assert len(flushed(capture, 61.0).samples) == 1


def test_statements_are_bounded_and_overflow_is_counted() -> None:
    capture = Capture(1, KEY, "full", StatementLimits(statements=10))
    for number in range(15):
        capture.executed(execution(f"SELECT a{number} FROM t"))
    delta = flushed(capture)
    assert len(delta.statements) == 10
    assert delta.counters["lost.statements"] == 5
    capture.executed(execution("SELECT a0 FROM t"))
    assert len(flushed(capture).statements) == 1
    # Idle statements made room; the one that stayed keeps its number.
    capture.executed(execution("SELECT a14 FROM t"))
    capture.executed(execution("SELECT a0 FROM t"))
    later = flushed(capture)
    assert "lost.statements" not in later.counters
    assert {s.id for s in later.statements} == {1, 11}


def test_a_text_that_is_cut_off_inside_its_comment_is_counted_as_lost(capture: Capture) -> None:
    capture.executed(execution("/* a long story", sql_length=100_000))
    delta = flushed(capture)
    assert (delta.statements, delta.counters) == ((), {"lost.statements": 1})


def test_a_new_recorder_is_told_everything(capture: Capture) -> None:
    capture.executed(execution("SELECT 1"))
    flushed(capture)
    capture.executed(execution("SELECT a FROM t"))
    told = msgspec.msgpack.decode(capture.definitions(), type=Delta)
    assert told.sequence == 0
    assert [d.shape for d in told.definitions] == ["SELECT $1", "SELECT a FROM t"]
    assert flushed(capture).definitions == ()


def test_repetition_becomes_a_unit_with_its_parameters(capture: Capture) -> None:
    at = 1.0
    for number in range(6):
        at += 0.002
        capture.executed(execution(f"SELECT a FROM t WHERE b = {number} AND c IN (1)", at=at, window=number))
    units = flushed(capture, 2.0).units + flushed(capture, 20.0).units
    steps = [step for unit in units for step in unit.steps]
    assert len(steps) == 6
    assert {step.list_length for step in steps} == {1}
    assert len({step.params[0] for step in steps}) == 6
    assert len({step.params[1] for step in steps}) == 1
    (calls,) = units[0].calls.values()
    assert calls[0] == ("0", "1")


def test_array_parameters_have_a_length(capture: Capture) -> None:
    at = 1.0
    for number in range(4):
        at += 0.002
        params: list[bytes | None] = [b"{%d,2,3,4}" % number]
        capture.executed(bound("SELECT a FROM t WHERE b = ANY($1)", params, (1007,), at=at, window=number))
        capture.executed(execution(f"SELECT a FROM u WHERE b = ANY('{{{number},2}}')", at=at + 0.0005))
    steps = [
        step for unit in flushed(capture, 2.0).units + flushed(capture, 20.0).units for step in unit.steps
    ]
    assert sorted({step.list_length for step in steps}) == [2, 4]


def test_a_select_taken_back_is_no_call(capture: Capture) -> None:
    """In the same second, and after the call was already sent."""
    capture.executed(execution("select 1", rows=3))
    capture.taken_back(execution("select 1", rows=3))
    assert by_shape(flushed(capture))["select $1"].calls == 0
    capture.executed(execution("select 1", rows=3))
    flushed(capture)
    capture.taken_back(execution("select 1", rows=3))
    (delta,) = flushed(capture).statements
    assert (delta.calls, delta.rows, delta.timed_calls) == (-1, -3, 0)
