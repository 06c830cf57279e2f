"""Direct and through the proxy: a fresh server for each way, and what differs between their results.

For test suites of other people, which know nothing of the proxy: they are pointed at a host and a port,
once PostgreSQL's own and once pgcoach's, and have to come to the same results.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from advisor.scratch import ScratchServer
from tests.conformance.place import Place
from tests.kit.up import up

WAYS = ("direct", "through")


@contextlib.contextmanager
def fresh(way: str, major: int, settings: Mapping[str, str] | None = None) -> Iterator[Place]:
    """A new server, reached over TCP one way or the other; anybody who gets there is let in.

    A scratch server listens on port 5432; to be beside others it takes a loopback address of its own
    (Linux has all of 127.0.0.0/8).
    """
    pid = os.getpid()
    address = f"127.{64 + (pid >> 16 & 63)}.{pid >> 8 & 255}.{1 + pid % 254}"
    wanted = {"listen_addresses": address, **(settings or {})}
    with ScratchServer.start(major, settings=wanted, access=["host all all 127.0.0.0/8 trust"]) as server:
        if way == "direct":
            yield Place(address, server.port, "postgres")
            return
        with (
            tempfile.TemporaryDirectory(prefix="pgcoach-") as folder,
            up(server.dsn(), Path(folder)) as proxy,
        ):
            host, port = proxy.dsn.rsplit("@", 1)[1].split("/", 1)[0].rsplit(":", 1)
            yield Place(host, int(port), "postgres")


def differences(direct: Mapping[str, str], through: Mapping[str, str]) -> list[str]:
    """One line a test that did not end the same way; a test that ran on one side alone is one of them."""
    return [
        f"{name}: {direct.get(name, 'not run')} direct, {through.get(name, 'not run')} through the proxy"
        for name in sorted(direct.keys() | through.keys())
        if direct.get(name) != through.get(name)
    ]
