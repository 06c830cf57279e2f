"""Owners of scratch servers in processes of their own, to be killed in various ways."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from advisor.scratch.guardian import remove

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534
PATHS = [str(ROOT), *(path for path in sys.path if path.endswith("-packages"))]

_OWNER = """
import json, os, signal, sys, time
from advisor.scratch import ScratchServer
server = ScratchServer.start(18)
if "fork" in sys.argv and os.fork() == 0:
    sys.stdout.close()
    time.sleep(60)
    os._exit(0)
print(json.dumps({"directory": str(server.directory), "postmaster": server.pid, "socket": server.socket_dir,
                  "guardian": server._lifeline._process.pid}), flush=True)
if "exit" not in sys.argv:
    sys.stdin.read()
    server.stop()
"""


@dataclass(slots=True)
class Base:
    """A directory for the servers of one test, which must be empty again at its end."""

    path: Path

    def directories(self) -> list[Path]:
        return list(self.path.iterdir())

    def processes(self) -> list[int]:
        """Whatever runs in there: PostgreSQL's processes have their data directory as working directory."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "cwd").startswith(f"{self.path}/"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def until_empty(self) -> None:
        """Wait until nothing is left; fails when something stays."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not self.directories() and not self.processes():
                return
            time.sleep(0.02)
        pytest.fail(f"left behind: {self.directories()}, processes {self.processes()}")


@dataclass(slots=True)
class Owner:
    """A process that owns a server, waiting for the end of its standard input to stop it and exit."""

    process: subprocess.Popen[str]
    base: Base

    def report(self) -> dict[str, str]:
        """Once the server runs: its directory, postmaster, socket and guardian."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("{"), self.process.communicate()
        facts: dict[str, str] = json.loads(line)
        return facts


@pytest.fixture
def base() -> Iterator[Base]:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("looks for left-over processes in /proc, which this system does not have")
    path = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    path.chmod(0o711)
    yield Base(path)
    remove(str(path))


@pytest.fixture
def launch(base: Base) -> Iterator[Callable[..., Owner]]:
    """``launch(*words, user=None)``: an owner in its own process group, servers below ``base``."""
    owners: list[Owner] = []

    def start(*words: str, user: int | None = None) -> Owner:
        if user is not None:
            os.chown(base.path, user, user)
        process = subprocess.Popen(
            [sys.executable if user is None else python_of_everybody(), "-c", _OWNER, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"TMPDIR": str(base.path), "PYTHONPATH": ":".join(PATHS), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
            process_group=0,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        owners.append(Owner(process, base))
        return owners[-1]

    yield start
    for owner in owners:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(owner.process.pid, 9)
        if owner.process.returncode is None:
            owner.process.communicate()


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("is about what happens when root starts a server")


def python_of_everybody() -> str:
    """A Python that an ordinary user can run: this one may lie in root's home directory."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            done = subprocess.run([python, "-c", check], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip(f"needs a Python of at least 3.11 that user {NOBODY} can run")
