"""``pgcoach up`` while its parts fail: traffic goes on, and what was counted or lost is told exactly."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from advisor.scratch import ScratchServer
from tests.kit.relay_thread import eventually
from tests.kit.up import UpProcess, alive, up
from workload.store.store import Store

TEXT = "SELECT $1"


def calls(store: Path) -> int:
    with Store.open(store, create=False) as opened:
        return sum(query.calls for query in opened.queries(limit=1000) if query.query == TEXT)


def counters(store: Path) -> dict[str, int]:
    with Store.open(store, create=False) as opened:
        return opened.counters()


def run(proxy: UpProcess, times: int) -> None:
    with psycopg.connect(proxy.dsn, autocommit=True) as connection:
        for _ in range(times):
            assert connection.execute("SELECT 'x'").fetchone() == ("x",)


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Nobody else may write the store meanwhile."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None, timeout=20)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")


def test_a_locked_store_costs_nothing(pg16: ScratchServer, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with up(pg16.url(), tmp_path) as proxy:
        run(proxy, 5)
        eventually(lambda: calls(store) == 5, "the first are recorded")
        with locked(store):
            run(proxy, 50)
            eventually(lambda: "locked" in proxy.said(), "the recorder says that it waits")
            run(proxy, 50)
        eventually(lambda: calls(store) == 105, "the others are recorded")
        proxy.stop()
    assert calls(store) == 105
    assert not [name for name in counters(store) if name.startswith("lost")]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux: limits of another process")
def test_a_full_disk_costs_nothing_once_there_is_room_again(pg16: ScratchServer, tmp_path: Path) -> None:
    """Files of the recorder may not grow, which SQLite reports as it does a full disk."""
    store = tmp_path / "store.db"
    with up(pg16.url(), tmp_path) as proxy:
        run(proxy, 5)
        eventually(lambda: calls(store) == 5, "the first are recorded")
        before = resource.prlimit(proxy.recorder, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        run(proxy, 50)
        said = proxy.said()
        eventually(lambda: len(proxy.said()) > len(said), "the recorder says that it cannot write")
        run(proxy, 50)
        assert alive(proxy.recorder)
        resource.prlimit(proxy.recorder, resource.RLIMIT_FSIZE, before)
        eventually(lambda: calls(store) == 105, "the others are recorded")
        proxy.stop()
    assert calls(store) == 105
    assert not [name for name in counters(store) if name.startswith("lost")]


def test_a8_a_recorder_that_hangs_holds_up_nobody(pg16: ScratchServer, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with up(pg16.url(), tmp_path) as proxy:
        run(proxy, 5)
        eventually(lambda: calls(store) == 5, "the first are recorded")
        os.kill(proxy.recorder, signal.SIGSTOP)
        try:
            for _ in range(10):
                run(proxy, 20)
        finally:
            os.kill(proxy.recorder, signal.SIGCONT)
        proxy.stop()
    assert calls(store) == 205
    assert not [name for name in counters(store) if name.startswith("lost")]


def test_a_worker_that_dies_loses_at_most_its_last_second(pg16: ScratchServer, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with up(pg16.url(), tmp_path) as proxy:
        run(proxy, 5)
        eventually(lambda: calls(store) == 5, "the first are recorded")
        os.kill(proxy.workers[0], signal.SIGKILL)
        run(proxy, 20)
        proxy.stop()
    assert calls(store) == 25


@pytest.mark.parametrize("majors", ["one server", "after a failover"])
def test_c3_a_cancel_reaches_its_server_from_any_worker(
    pg16: ScratchServer, tmp_path: Path, majors: str
) -> None:
    hosts, ports = str(pg16.socket_dir), str(pg16.port)
    if majors == "after a failover":
        hosts, ports = f"{tmp_path},{hosts}", f"1,{ports}"
    with up(f"host={hosts} port={ports} user=postgres dbname=postgres", tmp_path, "--workers", "2") as proxy:
        ended: list[str] = []

        def cancelled() -> None:
            with psycopg.connect(proxy.dsn, autocommit=True) as connection:
                timer = threading.Timer(0.5, connection.cancel_safe)
                timer.start()
                try:
                    connection.execute("SELECT pg_sleep(60)")
                except psycopg.errors.QueryCanceled:
                    ended.append(str(connection.execute("SELECT 'alive'").fetchone()))
                timer.join()

        threads = [threading.Thread(target=cancelled) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ended == ["('alive',)"] * 12
        proxy.stop()
    counted = counters(tmp_path / "store.db")
    assert counted["cancel.forwarded"] == 12
    # Of twelve requests about half land on the other worker: all of them knew where to go.
    assert "cancel.unknown_key" not in counted


def test_the_socket_of_a_killed_supervisor_is_taken_over(pg16: ScratchServer, tmp_path: Path) -> None:
    socket_file = tmp_path / ".s.PGSQL.5432"
    with up(pg16.url(), tmp_path, "--listen", str(tmp_path)) as first:
        children = [first.recorder, *first.workers]
        first.process.kill()
        first.process.wait()
        eventually(lambda: not any(alive(child) for child in children), "the children end")
    assert socket_file.exists()
    assert Path(f"{socket_file}.lock").exists()
    with up(pg16.url(), tmp_path, "--listen", str(tmp_path)) as second:
        run(second, 1)
        assert second.stop() == 0
    assert not socket_file.exists()
    assert not Path(f"{socket_file}.lock").exists()
