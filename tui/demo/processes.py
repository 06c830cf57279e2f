"""The processes of the demo: the application, and ``pgcoach up``. Each ends with the demo."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0


class DemoError(Exception):
    """The demo cannot go on; the message says where and what to do."""


def application(arguments: Sequence[str], on_progress: Callable[[str], None] | None = None) -> str:
    """Run the demo application to its end; its standard output.

    Raises DemoError with the application's own last words when it fails.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pgcoach_demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = ""
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            last = line.strip() or last
            if on_progress:
                on_progress(last)
        output = process.stdout.read().strip()
        if process.wait() != 0:
            raise DemoError(f"the demo application failed at `{arguments[0]}`: {last}")
        return output
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def proxy(upstream: str, listen: Path, store: Path, log: Path) -> Iterator[None]:
    """``pgcoach up`` for as long as the block runs; what it says goes to ``log``.

    Raises DemoError when it does not get ready, with its own message.
    """
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tui", "up", "--json"),
                *("--upstream", upstream, "--listen", str(listen), "--store", str(store)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # Ctrl-C reaches the demo, which then ends the proxy in order.
            start_new_session=True,
            env={**os.environ, "PGCOACH_PARENT": str(os.getpid())},
        )
        try:
            if not _ready(process):
                raise DemoError(f"the proxy did not start: {_last_line(log)}")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _ready(process: subprocess.Popen[str]) -> bool:
    """Whether the proxy printed its ready line in time."""
    assert process.stdout is not None
    guard = threading.Timer(_READY_SECONDS, process.kill)
    guard.start()
    try:
        line = process.stdout.readline()
    finally:
        guard.cancel()
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
