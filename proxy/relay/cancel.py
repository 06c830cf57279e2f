"""Cancel requests: a connection of their own that carries a key and gets no answer, only EOF.

The packet goes to the upstream verbatim. The client's socket stays open until the upstream closed its
end, because libpq takes EOF for "processed": closing early would let the cancel hit the next query.
It goes to the server that issued the key. Of a key that no session of this proxy has, nobody knows: the
request then goes to every address, and a server ignores a key that it did not issue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.dsn import Address
from proxy.relay.cancelkeys import CancelKeys
from proxy.relay.connector import Connector, EncryptionError
from proxy.relay.settings import Limits, Upstream


class CancelRelay:
    """Forwards cancel requests, within a cap of their own."""

    def __init__(
        self,
        upstream: Upstream,
        connector: Connector,
        keys: CancelKeys,
        limits: Limits,
        count: Callable[[str], None],
    ) -> None:
        self._upstream = upstream
        self._connector = connector
        self._keys = keys
        self._limits = limits
        self._count = count
        self._in_flight: set[asyncio.Task[None]] = set()

    def forward(self, client: asyncio.Transport, packet: bytes) -> None:
        """Send the request on and close the client when it has been processed. Returns at once."""
        if len(self._in_flight) >= self._limits.cancels:
            self._count("cancel.over_limit")
            client.close()
            return
        self._count("cancel.forwarded")
        task = asyncio.get_running_loop().create_task(self._run(client, packet), name="cancel request")
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def abort(self) -> None:
        for task in self._in_flight:
            task.cancel()

    async def _run(self, client: asyncio.Transport, packet: bytes) -> None:
        try:
            async with asyncio.timeout(self._limits.cancel):
                await asyncio.gather(*(self._deliver(a, packet) for a in self._addresses(packet)))
        except TimeoutError:
            self._count("cancel.timeout")
        finally:
            client.close()

    def _addresses(self, packet: bytes) -> tuple[Address, ...]:
        issuer = self._keys.issuer(packet[8:])
        if issuer is not None:
            return (issuer,)
        self._count("cancel.unknown_key")
        return self._upstream.addresses

    async def _deliver(self, address: Address, packet: bytes) -> None:
        try:
            server = await self._connector.bare(address)
        except (OSError, UnicodeError, EncryptionError):
            self._count("cancel.failed")
            return
        try:
            server.transport.write(packet)
            while not server.inbox.ended:
                await server.inbox.more()
        finally:
            server.transport.abort()


class AwaitingCancel(asyncio.Protocol):
    """The client while its cancel request is under way: nothing more is expected from it.

    It may close early; the request then still goes its way, and closing again does no harm.
    """

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def eof_received(self) -> bool:
        # TLS knows no half-close.
        return self._client.can_write_eof()
