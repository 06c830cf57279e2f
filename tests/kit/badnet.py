"""A network that misbehaves on demand: small chunks, latency, stalls, cuts in the middle of a message.

    async with BadNetwork(upstream) as network:
        network.downwards.chunk = 1          # the server's bytes arrive one at a time
        network.upwards.cut_after = 100      # the connection breaks after the client's 100th byte

Faults are the network's, so they hold for every connection through it, and can be changed at any time.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from tests.kit.relay import Address, Link, Relay


@dataclass(slots=True)
class Faults:
    """What one direction does to the bytes; by default nothing."""

    chunk: int | None = None
    """Forward at most so many bytes at once, each piece its own write and its own turn of the loop."""
    delay: float = 0.0
    """Seconds before each piece."""
    cut_after: int | None = None
    """Break the connection after so many bytes of this direction (counted over all connections)."""
    passed: int = 0
    """Bytes that were forwarded so far."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    def stall(self) -> None:
        """Forward nothing and read nothing until ``resume``: the sender runs into full buffers."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def opened(self) -> None:
        await self._open.wait()


class BadNetwork(Relay):
    """A relay whose two directions have faults. ``reset`` makes a cut an RST instead of a FIN."""

    def __init__(self, upstream: Address, listen: str | None = None, *, reset: bool = False) -> None:
        super().__init__(upstream, listen)
        self.upwards = Faults()
        """From the client to the server."""
        self.downwards = Faults()
        self.reset = reset

    def cut(self) -> None:
        """Break every connection now."""
        for link in self.links:
            self._break(link)

    async def forward(self, link: Link, chunk: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        faults = self.upwards if upwards else self.downwards
        position = 0
        while position < len(chunk):
            await faults.opened()
            if faults.delay:
                await asyncio.sleep(faults.delay)
            piece = chunk[position : position + (faults.chunk or len(chunk))]
            if faults.cut_after is not None:
                piece = piece[: max(0, faults.cut_after - faults.passed)]
            position += len(piece)
            faults.passed += len(piece)
            writer.write(piece)
            await writer.drain()
            if faults.cut_after is not None and faults.passed >= faults.cut_after:
                self._break(link)
                raise ConnectionAbortedError
            if faults.chunk:
                await asyncio.sleep(0)

    def _break(self, link: Link) -> None:
        for writer in (link.client, link.server):
            raw = writer.get_extra_info("socket")
            if self.reset and raw is not None and raw.family != socket.AF_UNIX:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.abort()
