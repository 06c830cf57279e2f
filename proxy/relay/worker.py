"""The life of one relaying process: from an inherited socket to its last session."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxy.relay.relay import Relay

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, on asyncio's own loop where it is not."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


def raise_descriptor_limit() -> None:
    """Every session takes two descriptors, and the usual soft limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says unlimited and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def work(relay: Relay, listening: socket.socket, ready: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once.

    Calls ``ready`` when connections are being accepted. Returns how many sessions were cut off.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            relay.abort()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    relay.serve(listening)
    ready()
    await stop.wait()
    return await relay.drain()
