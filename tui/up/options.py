"""What ``pgcoach up`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Samples = Literal["full", "masked", "none"]
DEFAULT_LISTEN = "127.0.0.1:6432"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """Everything has the default of the command line."""

    upstream: str | None = None
    """URL, keyword/value string, or None for the PG* variables."""
    listen: str = DEFAULT_LISTEN
    """``HOST:PORT`` (port 0 picks a free one), ``[IPv6]:PORT``, a socket's path, or its directory."""
    store: str | None = None
    """Path of the store; None is the default place."""
    samples: Samples = "full"
    workers: int = 1
    max_connections: int | None = None
    """Sessions at the same time, over all workers; None is no cap."""
    drain: float = 10.0
    """Seconds that sessions may go on after the first stop signal."""
    json: bool = False
    """Print one JSON object on stdout when ready: ``dsn``, ``host``, ``port``, ``pid``, ``store``."""
