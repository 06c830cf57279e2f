"""``pgcoach up`` as a process of its own, and what the store says afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE = 30.0


class UpProcess:
    """A running proxy; ``ready`` is its JSON line."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any], log: Path) -> None:
        self.process = process
        self.ready = ready
        self.log = log

    @property
    def dsn(self) -> str:
        return str(self.ready["dsn"])

    def said(self) -> str:
        """Everything on stderr so far."""
        return self.log.read_text()

    @property
    def recorder(self) -> int:
        """Process id of the first recorder."""
        return int(self.ready["recorder"])

    @property
    def workers(self) -> list[int]:
        """Process ids of the first workers."""
        return [int(pid) for pid in self.ready["workers"]]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def alive(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be reaped is gone."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def command_line(pid: int) -> str:
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout


def command(upstream: str, store: Path, *arguments: str) -> list[str]:
    listen = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    return [
        *(sys.executable, "-m", "tui", "up", "--json", "--upstream", upstream, "--store", str(store)),
        *listen,
        *arguments,
    ]


@contextlib.contextmanager
def up(upstream: str, folder: Path, *arguments: str) -> Iterator[UpProcess]:
    """Start, wait until ready, and stop at the end if the test did not."""
    log = folder / "up.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command(upstream, folder / "store.db", *arguments),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"PGCOACH_PARENT": str(os.getpid())},
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"not ready: {log.read_text()}"
        yield UpProcess(process, json.loads(line), log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
