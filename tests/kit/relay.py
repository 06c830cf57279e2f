"""The base of the test relays: plain asyncio, one task a connection, no opinion about the bytes.

Deliberately independent of ``proxy.relay``: what checks the proxy must not share its mistakes.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

Address = tuple[str, int] | str
"""Host and port, or the path of a unix socket."""

CHUNK = 65536


class Link:
    """One connection through a relay."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def abort(self) -> None:
        """Drop both ends at once, without a goodbye."""
        self.client.transport.abort()
        self.server.transport.abort()


class Relay:
    """Listens, connects onwards, forwards. Use it as an asynchronous context manager.

    It listens on a free port of 127.0.0.1, or on the unix socket ``listen``.
    """

    def __init__(self, upstream: Address, listen: str | None = None) -> None:
        self.upstream = upstream
        self.links: list[Link] = []
        """Every connection so far, in the order of arrival."""
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self._listen is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        else:
            self._server = await asyncio.start_unix_server(self._serve, self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> Address:
        """Where a client connects to."""
        if self._listen is not None:
            return self._listen
        return ("127.0.0.1", self.port)

    @property
    def host(self) -> str:
        """As libpq wants it: an address, or the directory of the socket."""
        return "127.0.0.1" if self._listen is None else str(Path(self._listen).parent)

    @property
    def port(self) -> int:
        if self._listen is not None:
            return int(self._listen.rsplit(".", 1)[1])
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Keyword connection string that leads through this relay."""
        return f"host={self.host} port={self.port} user={user} dbname={database}"

    async def settled(self, seconds: float = 10.0) -> None:
        """Wait until every connection has ended and its last bytes were forwarded.

        Raises TimeoutError when one is still open after ``seconds``.
        """
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            # Only we cancel, at the end; Python 3.11's streams would report it as an error.
            pass
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward_writer = await _connect(self.upstream)
        except OSError:
            writer.transport.abort()
            return
        link = self.make_link(writer, onward_writer)
        self.links.append(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(link, reader, onward_writer, upwards=True))
                group.create_task(self._pump(link, onward_reader, writer, upwards=False))
        except* (ConnectionError, BrokenPipeError):
            link.abort()
        finally:
            link.abort()

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool
    ) -> None:
        while chunk := await reader.read(CHUNK):
            await self.forward(link, chunk, writer, upwards=upwards)
        if not upwards:
            # The server has said its last word; what the client still says has nowhere to go.
            await _finish(writer)
            raise ConnectionAbortedError
        with contextlib.suppress(OSError):
            writer.write_eof()

    def make_link(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> Link:
        """Overridden by relays that keep more about a connection."""
        return Link(client, server)

    async def forward(self, link: Link, chunk: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        """Send a chunk on; ``upwards`` is from the client to the server."""
        writer.write(chunk)
        await writer.drain()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, str):
        return await asyncio.open_unix_connection(address)
    return await asyncio.open_connection(*address)


async def _finish(writer: asyncio.StreamWriter) -> None:
    """Let what was written arrive, then close."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
