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
    """Raise the soft limit to the hard one: a session takes two, and the usual 1,024 are soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says unlimited and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def work(relay: Relay, listening: socket.socket, ready: Callable[[], None] = lambda: None) -> int:
    """Serve until SIGTERM, then drain; SIGINT ends at once, also a drain that is under way.

    SIGTERM may come more than once: a service manager tells every process of a service (systemd's
    KillMode=control-group), and the supervisor tells its workers again. SIGHUP reads the certificates
    again; whether a hangup means that is the supervisor's matter. Calls ``ready`` when connections are
    being accepted. Returns how many sessions were cut off by the end of the drain.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def at_once() -> None:
        relay.abort()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, at_once)
    loop.add_signal_handler(signal.SIGHUP, relay.reload_certificates)
    relay.serve(listening)
    ready()
    await stop.wait()
    return await relay.drain()
