"""The recorder as a process and as a loop: from deltas to the store, through trouble."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from proxy.observe.execution import Execution, Kind, Outcome, Session
from workload.capture.capture import Capture
from workload.capture.messages import Delta, StatementDef, StatementDelta
from workload.capture.pending import Intake
from workload.capture.recorder import Recorder, RecorderConfig, run_recorder
from workload.capture.transport import DeltaSender
from workload.store import Store, StoreError
from workload.store.schema import COARSE_RETENTION, HEAD

KEY = b"k" * 32
EPOCH = 1_800_000_000.0


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (any condition)
            await asyncio.sleep(0.01)


def execution(sql: str, at: float, **changes: object) -> Execution:
    session = Session(1, "here", 0.0)
    session.database = "shop"
    session.application_name = "web"
    made = Execution(session, Kind.SIMPLE, sql.encode(), len(sql.encode()), at)
    made.t_start, made.t_done, made.t_ready = at, at + 0.002, at + 0.002
    made.tag = b"SELECT 1"
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def written(path: Path) -> dict[str, int]:
    """The calls in a store that another process makes and writes."""
    try:
        with Store.open(path, create=False) as store:
            return calls(store)
    except StoreError:
        return {}


class Run:
    """A recorder in this process, with one worker's capture and sender."""

    def __init__(self, directory: Path) -> None:
        self.store = Store.open(directory / "s.db")
        self.path = directory / "socket"
        self.capture = Capture(1, KEY, "full")
        self.sender = DeltaSender(self.path, self.capture.definitions, self.capture.count)
        self.recorder = Recorder(self.store, None, 0.02)
        self.stop = asyncio.Event()
        self.task: asyncio.Task[int] | None = None
        self.at = 0.0

    async def start(self) -> None:
        server = await asyncio.start_unix_server(self.recorder.serve, self.path)
        self.task = asyncio.get_running_loop().create_task(self.recorder.run(server, self.stop))
        self.sender.start()

    def executed(self, sql: str, **changes: object) -> None:
        self.at += 0.003
        self.capture.executed(execution(sql, self.at, **changes))

    def flush(self) -> None:
        self.sender.send(self.capture.flush(self.at, EPOCH + self.at))

    def pragma(self, setting: str) -> None:
        """Have the setting on every connection of the store from now on."""
        event.listen(
            self.store._database._engine.pool,
            "checkout",
            lambda raw, _record, _proxy: raw.execute(f"PRAGMA {setting}").close(),
        )

    async def end(self) -> int:
        assert self.task is not None
        self.stop.set()
        await self.sender.close()
        return await self.task


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    made = Run(tmp_path)
    await made.start()
    yield made
    if made.task is not None and not made.task.done():
        await made.end()
    made.store.close()


def calls(store: Store) -> dict[str, int]:
    return {query.query: query.calls for query in store.queries()}


async def test_from_executions_to_queries(run: Run) -> None:
    for number in range(20):
        run.executed(f"SELECT a FROM t WHERE b = {number}", rows=2, window=number)
        run.executed("SELECT broken", outcome=Outcome.ERROR, sqlstate=b"42703", window=number + 100)
    run.executed("SELEC 1", outcome=Outcome.ERROR, sqlstate=b"42601")
    run.capture.count("opaque.tls")
    run.flush()
    await until(lambda: len(run.store.queries()) == 3)
    assert await run.end() == 0
    queries = {query.query: query for query in run.store.queries()}
    good = queries["SELECT a FROM t WHERE b = $1"]
    assert (good.calls, good.rows, good.kind, good.tables, good.database) == (
        20,
        40,
        "select",
        ("t",),
        "shop",
    )
    assert good.applications == ("web",)
    assert good.p50_ms == pytest.approx(2, rel=0.02)
    assert good.total_ms == pytest.approx(40, rel=0.01)
    assert queries["SELECT broken"].errors == 20
    assert queries["SELEC 0"].parse_error
    assert run.store.errors(queries["SELEC 0"].id) == {"42601": 1}
    assert run.store.counters()["opaque.tls"] == 1
    samples = run.store.samples(good.id)
    assert {sample.params for sample in samples} <= {(str(n),) for n in range(20)}
    assert samples[0].duration_ms == pytest.approx(2, rel=0.01)
    assert run.store.last_write() is not None


async def test_spellings_of_one_query_are_one_row_and_samples_fit_its_text(run: Run) -> None:
    run.executed("SELECT a FROM t WHERE b = 1 AND c = 2")
    run.flush()
    await until(lambda: run.store.queries())
    run.executed(
        "select a  from t where b=$2 and c=$1", params=[b"C", b"B"], param_oids=(25, 23), kind=Kind.EXTENDED
    )
    run.executed("SELECT a FROM t WHERE b = NULL AND c = 9")
    run.flush()
    await until(lambda: [query.calls for query in run.store.queries()] == [3])
    (query,) = run.store.queries()
    samples = run.store.samples(query.id)
    assert [(sample.params, sample.param_oids) for sample in samples] == [
        (("B", "C"), (23, 25)),
        (("1", "2"), (0, 0)),
    ]


async def test_a_loop_of_reads_becomes_a_finding_with_its_calls(run: Run) -> None:
    for number in range(12):
        run.executed(f"SELECT a FROM orders WHERE customer_id = {number}", window=number)
    run.at += 30
    run.flush()
    await until(lambda: run.store.findings())
    assert await run.end() == 0
    (finding,) = run.store.findings()
    (query,) = run.store.queries()
    assert (finding.query_id, finding.fingerprint) == (query.id, query.fingerprint)
    assert finding.calls == 12
    assert finding.sample_calls[:2] == (("0",), ("1",))


async def test_samples_in_a_spelling_that_does_not_fit_are_counted(run: Run) -> None:
    run.executed("SELECT a FROM t WHERE b = 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT a FROM t WHERE b = $1": 1})
    run.executed("SELECT a FROM t WHERE b = NULL")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT a FROM t WHERE b = $1": 2})
    assert await run.end() == 0
    assert run.store.counters()["samples.other_spelling"] == 1


async def test_a_query_that_was_pruned_comes_back_when_it_runs_again(run: Run) -> None:
    run.executed("SELECT 1")
    run.executed("SELECT a FROM t")
    run.flush()
    await until(lambda: len(calls(run.store)) == 2)
    assert run.store.prune(EPOCH + COARSE_RETENTION * 2) > 0
    assert calls(run.store) == {"SELECT a FROM t": 1}
    run.executed("SELECT 1", outcome=Outcome.ERROR, sqlstate=b"22012")
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT a FROM t": 1, "SELECT $1": 1})
    assert await run.end() == 0
    (query,) = [query for query in run.store.queries() if query.query == "SELECT $1"]
    assert (query.errors, run.store.errors(query.id)) == (1, {"22012": 1})
    assert len(run.store.samples(query.id)) == 1


async def test_a_store_that_cannot_be_pruned_has_what_was_written_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def prune(self: Store, now: float) -> int:
        tried.append(now)
        raise StoreError("no room")

    monkeypatch.setattr(Store, "prune", prune)
    run.recorder._next_prune = 0.0
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: tried)
    run.executed("SELECT 1")
    run.flush()
    assert await run.end() == 0
    assert calls(run.store) == {"SELECT $1": 2}
    assert len(tried) == 1


async def test_a_definition_says_nothing_of_when_it_ran(run: Run) -> None:
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT $1": 1})
    (before,) = run.store.queries()
    # As after a restart with a new store: first all definitions, later what happened since.
    with Store.open(run.path.parent / "new.db") as store:
        run.recorder._store = store
        run.recorder._intake = Intake()
        await run.sender.close()
        run.sender = DeltaSender(run.path, run.capture.definitions, run.capture.count)
        run.sender.start()
        run.executed("SELECT 1")
        run.flush()
        await until(lambda: calls(store) == {"SELECT $1": 1})
        (after,) = store.queries()
        assert after.first_seen == after.last_seen >= before.last_seen
        assert await run.end() == 0


async def test_nothing_is_lost_while_the_store_is_locked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT $1": 1})
    holder = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    run.pragma("busy_timeout = 10")
    holder.execute("BEGIN IMMEDIATE")
    for _ in range(5):
        run.executed("SELECT 1")
        run.executed("SELECT a FROM t")
        run.flush()
        await asyncio.sleep(0.05)
    assert calls(run.store) == {"SELECT $1": 1}
    holder.execute("ROLLBACK")
    holder.close()
    await until(lambda: calls(run.store) == {"SELECT $1": 6, "SELECT a FROM t": 5})
    run.executed("SELECT 1")
    run.flush()
    assert await run.end() == 0
    assert calls(run.store) == {"SELECT $1": 7, "SELECT a FROM t": 5}


async def test_nothing_is_lost_when_the_disk_was_full(run: Run) -> None:
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT $1": 1})
    run.pragma("max_page_count = 1")  # SQLite takes the present size instead
    for number in range(300):
        run.executed(f"SELECT a{number}, '{'x' * 50}' FROM t WHERE b = {number}")
        run.executed("SELECT 1")
    run.flush()
    await until(lambda: run.recorder._complained > 0)
    run.pragma("max_page_count = 1073741823")
    await until(lambda: len(calls(run.store)) == 301)
    assert await run.end() == 0
    assert calls(run.store)["SELECT $1"] == 301


async def test_a_worker_that_talks_nonsense_is_cut_off_and_counted(run: Run) -> None:
    reader, writer = await asyncio.open_unix_connection(run.path)
    writer.write(b"\x00\x00\x00\x03abc")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await until(lambda: run.store.counters().get("lost.connections") == 1)
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT $1": 1})


async def test_a_restarted_recorder_knows_the_statements(run: Run, tmp_path: Path) -> None:
    run.executed("SELECT 1")
    run.flush()
    await until(lambda: calls(run.store) == {"SELECT $1": 1})
    assert run.task is not None
    run.stop.set()
    for task in list(run.recorder._connections):
        task.cancel()
    await run.task
    run.path.unlink(missing_ok=True)
    run.executed("SELECT 1")
    run.flush()
    run.recorder = Recorder(run.store, None, 0.02)
    run.stop = asyncio.Event()
    server = await asyncio.start_unix_server(run.recorder.serve, run.path)
    run.task = asyncio.get_running_loop().create_task(run.recorder.run(server, run.stop))
    run.executed("SELECT 1")
    run.flush()
    # The delta that was on its way when the connection broke may be gone, but not what came after.
    await until(lambda: calls(run.store)["SELECT $1"] >= 2)
    assert await run.end() == 0


async def test_gaps_in_the_deltas_are_counted(run: Run) -> None:
    def frame(sequence: int) -> bytes:
        statement = StatementDelta(7, 1, 0, 0, 0, 0, 0, 0, {}, {}, (1, 0, 0, 0), ())
        definitions = (StatementDef(7, "SELECT $1", "shop", False),) if sequence == 1 else ()
        delta = Delta(9, sequence, EPOCH, definitions, (statement,), (), (), {}, {"sessions": 2.0})
        body = msgspec.msgpack.encode(delta)
        return len(body).to_bytes(4, "big") + body

    _, writer = await asyncio.open_unix_connection(run.path)
    writer.write(frame(1) + frame(2) + frame(6))
    await until(lambda: calls(run.store) == {"SELECT $1": 3})
    assert run.store.counters()["gaps.deltas"] == 3
    assert run.store.gauges()["sessions"] == 2.0
    writer.close()
    await writer.wait_closed()
    await until(lambda: run.store.gauges()["workers"] == 0.0)


async def test_unusable_store_ends_with_status_1(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store.open(path).close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = ?", (HEAD + "9",))
    raw.commit()
    raw.close()
    assert await run_recorder(RecorderConfig(store=path, socket_path=tmp_path / "socket")) == 1
    assert not (tmp_path / "socket").exists()


async def test_unusable_socket_ends_with_status_1(tmp_path: Path) -> None:
    config = RecorderConfig(store=tmp_path / "s.db", socket_path=tmp_path / "missing" / "socket")
    assert await run_recorder(config) == 1


_PROCESS = """
import asyncio, sys
from workload.capture.recorder import RecorderConfig, run_recorder
store, path, fd = sys.argv[1:]
config = RecorderConfig(
    store=store, socket_path=path or None, listen_fd=int(fd) if fd else None, meta={"upstream": "host=h"}
)
sys.exit(asyncio.run(run_recorder(config)))
"""


@pytest.mark.parametrize("inherited", [False, True])
async def test_sigterm_ends_the_process_with_everything_written(tmp_path: Path, inherited: bool) -> None:
    path = tmp_path / "socket"
    fds: tuple[int, ...] = ()
    listening = None
    if inherited:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        fds = (listening.fileno(),)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROCESS, str(tmp_path / "s.db"), "" if inherited else str(path),
        str(fds[0]) if fds else "", pass_fds=fds, start_new_session=True,
    )  # fmt: skip
    try:
        if not inherited:
            await until(path.exists)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        capture = Capture(1, KEY, "none")
        sender = DeltaSender(path, capture.definitions, capture.count)
        sender.start()
        for number in range(100):
            capture.executed(execution(f"SELECT a FROM t WHERE b = {number}", float(number)))
        sender.send(capture.flush(100.0, EPOCH))
        await until(lambda: written(tmp_path / "s.db") == {"SELECT a FROM t WHERE b = $1": 100})
        # Told to end while the worker is still there: its last delta counts.
        process.send_signal(signal.SIGTERM)
        capture.executed(execution("SELECT a FROM t WHERE b = 5", 101.0))
        sender.send(capture.flush(102.0, EPOCH))
        assert await sender.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if listening is not None:
            listening.close()
    with Store.open(tmp_path / "s.db", create=False) as store:
        assert calls(store) == {"SELECT a FROM t WHERE b = $1": 101}
        assert store.meta("upstream") == "host=h"
        assert store.samples(1) == []
    assert path.exists() is inherited


async def test_workers_that_wait_in_the_backlog_are_heard_before_the_end(tmp_path: Path) -> None:
    """Told to stop before it ever accepted: what workers had sent by then is written all the same."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "r.sock"))
    listening.listen()
    worker = socket.socket(socket.AF_UNIX)
    worker.connect(str(tmp_path / "r.sock"))
    capture = Capture(1, KEY, "none")
    capture.executed(execution("select 1", 1.0))
    frame = capture.flush(2.0, EPOCH)
    worker.sendall(len(frame).to_bytes(4, "big") + frame)
    worker.close()
    with Store.open(tmp_path / "store.db") as store:
        recorder = Recorder(store, None, 0.01)
        stop = asyncio.Event()
        stop.set()
        listening.setblocking(False)
        server = await asyncio.start_unix_server(recorder.serve, sock=listening)
        assert await recorder.run(server, stop) == 0
        assert calls(store) == {"select $1": 1}
