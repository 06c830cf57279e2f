"""What supervisor and children agree on: how a child gets its configuration, reports, and notices its end.

A child is told one number on its command line, the descriptor of a pipe with its configuration as JSON:
secrets appear neither in ``ps`` nor in an environment. It reports on a second pipe, one line, that it is
ready or why it cannot be. A third pipe, the lifeline, is never written: it ends when the supervisor ends,
even by SIGKILL, and the child then ends itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from proxy.relay.settings import ListenTLS, UpstreamTLS

T = TypeVar("T", bound=msgspec.Struct)

GENTLY, AT_ONCE = signal.SIGTERM, signal.SIGINT
"""How a child is told to end; see ``proxy.relay.worker.work``. A terminal's Ctrl-C does not reach it."""
AFTER_SUPERVISOR = 3.0
"""Seconds that an orphan has to end in order; half of it gently."""


class Pipes(msgspec.Struct, frozen=True):
    """Descriptors that the child inherits."""

    status: int
    lifeline: int


class RelayConfig(msgspec.Struct, frozen=True):
    """One worker."""

    pipes: Pipes
    listening: int
    """The listening socket's descriptor."""
    admission: int
    """Descriptor of the table of ``proxy.relay.admission``."""
    cancel_keys: int
    """Descriptor of the table of ``proxy.relay.cancelkeys``."""
    index: int
    """Of this worker, from 0."""
    workers: int
    """How many there are."""
    max_connections: int | None
    addresses: list[tuple[str, int, str]]
    """proxy.dsn.Address, field by field."""
    samples: Literal["full", "masked", "none"]
    key: bytes
    """Of the run's hashes of values and of cancel keys."""
    recorder: str
    """Path of the recorder's socket."""
    drain: float
    """Seconds."""
    upstream_tls: UpstreamTLS = UpstreamTLS()
    tls: ListenTLS | None = None
    """Towards clients; None declines it."""
    balancers: tuple[str, ...] = ()
    """Networks whose connections begin with a PROXY header."""


class RecordConfig(msgspec.Struct, frozen=True):
    """The recorder."""

    pipes: Pipes
    listening: int
    """Descriptor of the socket that workers connect to."""
    store: str
    """Path of the store."""
    private: str
    """The run's private directory, which an orphan removes."""
    upstream: str
    """Connection string with the password: to read the catalog."""
    meta: dict[str, str]
    """Facts of this run for the store; no secrets."""


class Report(msgspec.Struct, frozen=True):
    """What a child says once it knows."""

    error: str = ""
    """Why it cannot do its work, for people; empty when it is ready."""


def read_config(type_: type[T]) -> T:
    """The configuration behind the descriptor named on the command line, which is closed."""
    with open(int(sys.argv[1]), "rb") as pipe:
        return msgspec.json.decode(pipe.read(), type=type_)


def report(pipes: Pipes, error: str = "") -> None:
    """Tell the supervisor. One that is gone is noticed by the lifeline."""
    try:
        os.write(pipes.status, msgspec.json.encode(Report(error)) + b"\n")
    except OSError:
        return


def end_with_supervisor(pipes: Pipes, cleanup: Callable[[], None] = lambda: None) -> None:
    """From now on end when the supervisor is gone: gently, then urgently, then at any price."""

    def watch() -> None:
        os.read(pipes.lifeline, 1)
        cleanup()
        for number in (GENTLY, AT_ONCE):
            os.kill(os.getpid(), number)
            time.sleep(AFTER_SUPERVISOR / 2)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def encode(config: RelayConfig | RecordConfig) -> bytes:
    """What ``read_config`` reads."""
    return msgspec.json.encode(config)


def decode_report(line: bytes) -> Report | None:
    """What the child said; None when it ended without a word."""
    return msgspec.json.decode(line, type=Report) if line.endswith(b"\n") else None
