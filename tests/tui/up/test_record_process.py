"""The recorder's process: what it says, what it reports, and which signals are its matter."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.kit.up import PATIENCE
from tui.up.child import Pipes, RecordConfig
from tui.up.logs import Lines
from tui.up.process import Child
from tui.up.record_process import _log
from workload.store.store import Store


@pytest.fixture
def lines() -> Iterator[tuple[Lines, int]]:
    read, write = os.pipe()
    yield Lines(write), read
    os.close(write)
    os.close(read)
    structlog.reset_defaults()


def test_what_happened_is_one_line_with_its_facts(
    lines: tuple[Lines, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.up.record_process.log_to", lambda *_: None)
    said, read = lines
    _log(said)
    log = structlog.get_logger("test")
    log.debug("not for people")
    log.info("store written again")
    log.error("store not written; 100% sure", error="disk full", path="/x")
    said.settle()
    assert os.read(read, 1000).decode().splitlines() == [
        "pgcoach: recorder: store written again",
        "pgcoach: recorder: store not written; 100% sure (error=disk full, path=/x)",
    ]


def recorder(store: Path, private: Path, listening: socket.socket, notices: list[str]) -> Child:
    def configure(pipes: Pipes) -> RecordConfig:
        return RecordConfig(
            pipes=pipes,
            listening=listening.fileno(),
            store=str(store),
            private=str(private),
            upstream="host=127.0.0.1 port=1 user=u dbname=d",
            meta={"listen": "postgresql://u@127.0.0.1:6432/d"},
        )

    return Child("recorder", "tui.up.record_process", configure, (listening.fileno(),), notices.append)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "recorder.sock"))
        sock.listen()
        yield sock


async def test_it_opens_the_store_and_ends_when_asked_but_not_by_a_hangup(
    tmp_path: Path, listening: socket.socket, lifeline: int
) -> None:
    child = recorder(tmp_path / "store.db", tmp_path / "private", listening, [])
    assert (await child.start(lifeline)).error == ""
    child.stop(signal.SIGHUP)
    # It answers a connection made after the hangup, and so is alive.
    with socket.socket(socket.AF_UNIX) as worker:
        worker.settimeout(PATIENCE)
        worker.connect(str(tmp_path / "recorder.sock"))
        worker.shutdown(socket.SHUT_WR)
        worker.recv(1)
    child.stop()
    assert await child.wait() == "exit status 0"
    with Store.open(tmp_path / "store.db", create=False) as store:
        assert store.meta("listen") == "postgresql://u@127.0.0.1:6432/d"


async def test_a_store_that_cannot_be_is_reported(
    tmp_path: Path, listening: socket.socket, lifeline: int
) -> None:
    child = recorder(tmp_path, tmp_path / "private", listening, [])
    error = (await child.start(lifeline)).error
    assert str(tmp_path) in error
    assert "\n" not in error
    assert await child.wait() == "exit status 1"


async def test_an_orphan_removes_the_private_directory(tmp_path: Path, listening: socket.socket) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "recorder.sock").touch()
    lifeline, holder = os.pipe()
    child = recorder(tmp_path / "store.db", private, listening, [])
    assert (await child.start(lifeline)).error == ""
    os.close(holder)
    await child.wait()
    os.close(lifeline)
    assert not private.exists()
