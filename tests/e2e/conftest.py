"""A relay in a thread in front of each real server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg.conninfo
import pytest

from proxy.dsn import parse_dsn
from tests.kit.relay_thread import Recording, RelayThread


class Proxied:
    """One database, direct and through a relay."""

    def __init__(self, direct: str, relay: RelayThread, observer: Recording) -> None:
        self.direct = direct
        self.relay = relay
        self.observer = observer
        self.dsn = psycopg.conninfo.make_conninfo(
            direct, host=relay.address.host, port=relay.address.port, sslmode="prefer"
        )


@pytest.fixture
def proxied_to() -> Iterator[Callable[..., Proxied]]:
    """Call it with a connection string for a relay to it; keyword arguments are RelayThread's."""
    with contextlib.ExitStack() as stack:

        def start(direct: str, **arguments: object) -> Proxied:
            observer = Recording()
            arguments = {"observer": observer} | arguments
            relay = RelayThread(parse_dsn(direct, {}).addresses, **arguments)  # type: ignore[arg-type]
            return Proxied(direct, stack.enter_context(relay.running()), observer)

        yield start


@pytest.fixture
def proxied(database: str, proxied_to: Callable[..., Proxied]) -> Proxied:
    """A fresh database on each of the servers in turn, behind a relay."""
    return proxied_to(database)
