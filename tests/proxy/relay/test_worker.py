"""The worker's life under signals, and what it takes from the system."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import cast

import pytest
import uvloop

from proxy.relay.relay import Relay
from proxy.relay.worker import raise_descriptor_limit, run, work


class Busy:
    """A relay with a session that never ends by itself; writes down what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.draining = asyncio.Event()
        self._over = asyncio.Event()

    def serve(self, listening: socket.socket) -> None:
        self.calls.append("serve")

    async def drain(self) -> int:
        self.calls.append("drain")
        self.draining.set()
        await self._over.wait()
        return 1

    def finish(self) -> None:
        """The session ends."""
        self._over.set()

    def reload_certificates(self) -> None:
        self.calls.append("reload_certificates")

    def abort(self) -> None:
        self.calls.append("abort")
        self._over.set()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Dispositions are the process's, not the loop's."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


async def begin(relay: Busy, listening: socket.socket) -> asyncio.Task[int]:
    """The worker at work, when it said that it is ready."""
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    working = loop.create_task(work(cast(Relay, relay), listening, ready.set), name="worker")
    await ready.wait()
    assert relay.calls == ["serve"]
    return working


async def rounds() -> None:
    """Signals that were sent are handled."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_sigterm_drains_however_often_it_comes(listening: socket.socket) -> None:
    relay = Busy()
    working = await begin(relay, listening)
    os.kill(os.getpid(), signal.SIGTERM)
    await relay.draining.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await rounds()
    assert relay.calls == ["serve", "drain"]
    relay.finish()
    assert await working == 1
    assert "abort" not in relay.calls


async def test_sigint_ends_a_drain(listening: socket.socket) -> None:
    relay = Busy()
    working = await begin(relay, listening)
    os.kill(os.getpid(), signal.SIGTERM)
    await relay.draining.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert await working == 1
    assert relay.calls == ["serve", "drain", "abort"]


async def test_sigint_alone_ends_at_once(listening: socket.socket) -> None:
    relay = Busy()
    working = await begin(relay, listening)
    os.kill(os.getpid(), signal.SIGINT)
    await working
    assert relay.calls == ["serve", "abort", "drain"]


async def test_a_hangup_reads_the_certificates_again_and_ends_nothing(listening: socket.socket) -> None:
    relay = Busy()
    working = await begin(relay, listening)
    os.kill(os.getpid(), signal.SIGHUP)
    await rounds()
    assert relay.calls == ["serve", "reload_certificates"]
    os.kill(os.getpid(), signal.SIGINT)
    await working


async def loop_type() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_runs_on_uvloop_and_without_it_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(loop_type()) is uvloop.Loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(loop_type()) is not uvloop.Loop


def test_the_descriptor_limit_is_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_system_that_refuses_more_descriptors_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_descriptor_limit()
