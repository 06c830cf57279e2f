"""One child: started, heard, started again, ended. The children are modules of a few lines."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.up import PATIENCE
from tui.up.child import AT_ONCE, Pipes, RecordConfig
from tui.up.process import Child

HEAD = """
import os, signal, sys, time
from tui.up.child import RecordConfig, end_with_supervisor, read_config, report
config = read_config(RecordConfig)
end_with_supervisor(config.pipes)
"""
WAIT = "while True:\n    time.sleep(60)\n"


def configure(pipes: Pipes) -> RecordConfig:
    return RecordConfig(pipes, listening=-1, store="", private="", upstream="", meta={})


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Children look for their module here too: the working directory is not searched."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    return tmp_path


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
async def make(modules: Path, notices: list[str]) -> AsyncIterator[Callable[..., Child]]:
    """A child that runs this code; it is killed at the end."""
    made: list[Child] = []

    def child(code: str, **arguments: Any) -> Child:
        (modules / "a_child.py").write_text(HEAD + code)
        arguments.setdefault("configure", configure)
        arguments.setdefault("inherited", ())
        made.append(Child("child", "a_child", notice=notices.append, **arguments))
        return made[-1]

    yield child
    for one in made:
        one.stop(signal.SIGKILL)
        await one.ended(PATIENCE)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


async def test_it_is_ready_and_ends_when_asked(make: Callable[..., Child], lifeline: int) -> None:
    child = make("report(config.pipes)\n" + WAIT)
    assert not child.died
    before = descriptors()
    assert (await child.start(lifeline)).error == ""
    assert child.pid is not None
    child.stop()
    assert await child.wait() == "signal 15"
    assert [child.pid, child.died] == [None, True]
    child.stop()
    await until(lambda: descriptors() <= before)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("report(config.pipes, 'the store is a folder')", "the store is a folder"),
        ("sys.exit(3)", "the child ended at its start (exit status 3)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "the child ended at its start (signal 9)"),
    ],
)
async def test_why_it_cannot_work(make: Callable[..., Child], lifeline: int, code: str, error: str) -> None:
    child = make(code)
    assert (await child.start(lifeline)).error == error
    await child.wait()


async def test_only_what_is_named_is_inherited(make: Callable[..., Child], lifeline: int) -> None:
    code = """
try:
    os.fstat(config.listening)
    report(config.pipes)
except OSError as error:
    report(config.pipes, error.strerror)
"""
    with socket.socket() as sock:

        def naming(pipes: Pipes) -> RecordConfig:
            return RecordConfig(pipes, listening=sock.fileno(), store="", private="", upstream="", meta={})

        given = make(code, configure=naming, inherited=(sock.fileno(),))
        assert (await given.start(lifeline)).error == ""
        await given.wait()
        kept = make(code, configure=naming)
        assert (await kept.start(lifeline)).error == "Bad file descriptor"
        await kept.wait()


async def keeping(child: Child, lifeline: int) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(child.keep_running(lifeline), name="keeping")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_one_that_dies_is_started_again(
    make: Callable[..., Child], lifeline: int, notices: list[str]
) -> None:
    child = make("report(config.pipes)\n" + WAIT)
    await child.start(lifeline)
    first = child.pid
    assert first is not None
    task = await keeping(child, lifeline)
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert notices == ["the child died (signal 9); starting it again"]


async def test_a_system_without_a_process_to_spare_is_asked_again(
    make: Callable[..., Child], lifeline: int, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = make("report(config.pipes)\n" + WAIT)
    await child.start(lifeline)
    first = child.pid
    assert first is not None
    start = asyncio.create_subprocess_exec
    before = descriptors()

    async def fail_once(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fail_once)
    task = await keeping(child, lifeline)
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "the child does not start: Resource temporarily unavailable" in notices
    await until(lambda: descriptors() <= before)


async def test_one_that_does_not_end_in_time_is_killed(
    make: Callable[..., Child], lifeline: int, notices: list[str]
) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    child = make(code + "report(config.pipes)\n" + WAIT)
    await child.start(lifeline)
    child.stop()
    child.stop(AT_ONCE)
    await child.ended(0.05)
    assert notices == ["the child did not end in time and was killed"]
    assert await child.wait() == "signal 9"


async def test_one_that_was_never_started_has_ended(make: Callable[..., Child], notices: list[str]) -> None:
    child = make("")
    child.stop()
    await child.ended(0)
    assert notices == []
