"""The proxy as its users start it, in front of a real server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from advisor.scratch import ScratchServer
from tests.conformance.place import Place

_PATIENCE = 60.0


@dataclass(slots=True)
class Proxy:
    """A running ``pgcoach up``."""

    host: str
    port: int
    store: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """As a service manager does it: SIGTERM, and then everything seen is in the store. Idempotent."""
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()


StartProxy = Callable[[ScratchServer], Proxy]


@pytest.fixture(scope="session")
def start_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """Call it with a server for a proxy in front of it, on a free port, with a store of its own."""
    started: list[Proxy] = []

    def start(server: ScratchServer) -> Proxy:
        directory = tmp_path_factory.mktemp("proxy")
        with socket.create_server(("127.0.0.1", 0)) as found:
            port: int = found.getsockname()[1]
        store, said = directory / "store.db", directory / "said"
        command = [sys.executable, "-m", "tui", "up", "--upstream", server.dsn(), "--store", str(store)]
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{port}"], stdout=output, stderr=subprocess.STDOUT
            )
        started.append(Proxy("127.0.0.1", port, store, process))
        _until_listening(process, port, said)
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture(scope="session")
def proxy(pg18: ScratchServer, start_proxy: StartProxy) -> Proxy:
    """One in front of PostgreSQL 18 for all drivers."""
    return start_proxy(pg18)


def _until_listening(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"pgcoach up does not listen: {said.read_text()}")


@pytest.fixture
def straight(pg18: ScratchServer, make_database: Callable[[ScratchServer], str]) -> Place:
    """A fresh database of the server itself."""
    return Place(pg18.socket_dir, pg18.port, _name(make_database(pg18)))


@pytest.fixture
def through(
    proxy: Proxy, pg18: ScratchServer, make_database: Callable[[ScratchServer], str]
) -> Callable[[], Place]:
    """Each call gives another fresh database, reached through the proxy."""
    return lambda: Place(proxy.host, proxy.port, _name(make_database(pg18)))


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where node finds node-postgres."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("needs node and npm")
    directory = tmp_path_factory.mktemp("node")
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "pg@8", "pg-cursor@2"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env={**os.environ, "npm_config_cache": str(directory / "cache")},
    )
    if done.returncode:
        pytest.skip(f"npm could not install node-postgres: {done.stderr.strip().splitlines()[-1:]}")
    return directory


def _name(dsn: str) -> str:
    return dsn.rsplit("dbname=", 1)[1]
