"""Deltas from a worker to the recorder: frames on a private unix socket.

The traffic path never waits here: ``send`` puts a frame into a bounded buffer, a task of its own carries it
over and connects again when the recorder went away. Whoever is connected to for the first time is told all
statements first, because deltas refer to them by number. When the buffer is full, the oldest deltas go and
are counted as ``lost.deltas``. When a recorder dies, what it had received and not yet written dies with it:
nobody knows how much that was, so every delta that it got shortly before is counted as
``lost.unconfirmed_deltas``, the most that can be missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

MAX_FRAME: Final = 64 * 1024 * 1024
MAX_UNSENT: Final = 16 * 1024 * 1024
"""Bytes of deltas kept for a recorder that does not read: several minutes of busy traffic."""
UNCONFIRMED: Final = 2.5
"""Seconds after which a delta is taken to be in the store: the recorder writes every second."""
FIRST_DELAY: Final = 0.05
MAX_DELAY: Final = 2.0
_LENGTH: Final = struct.Struct("!I")


class FrameError(Exception):
    """What came over the socket is no frame."""


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame; None at the end of the stream, also in the middle of a frame.

    Raises FrameError for a frame longer than MAX_FRAME.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME:
            raise FrameError(f"a frame of {length} bytes")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class DeltaSender:
    """Carries encoded deltas to the recorder.

    ``definitions`` gives the frame that tells a new recorder all statements, ``count`` is told of losses.
    """

    def __init__(
        self, path: str | Path, definitions: Callable[[], bytes], count: Callable[[str, int], None]
    ) -> None:
        self._path = str(path)
        self._definitions = definitions
        self._count = count
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._dropped = False
        self._written: deque[float] = deque()
        """When the deltas of the last seconds were written to the recorder, by the loop's clock."""
        self._ready = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    def start(self) -> None:
        """Begin to connect and send; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="deltas to the recorder")

    def send(self, delta: bytes) -> None:
        """Put a delta in line. Never waits, never raises."""
        self._unsent.append(delta)
        self._unsent_bytes += len(delta)
        while self._unsent_bytes > MAX_UNSENT and len(self._unsent) > 1:
            self._unsent_bytes -= len(self._unsent.popleft())
            self._dropped = True
            self._count("lost.deltas", 1)
        self._ready.set()

    async def close(self, within: float = 2.0) -> bool:
        """Send what is left, at most for so many seconds; gives whether all of it went."""
        self._closing = True
        self._ready.set()
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=within)
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return not self._unsent

    async def _run(self) -> None:
        delay = FIRST_DELAY
        while not (self._closing and not self._unsent):
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_DELAY)
                continue
            delay = FIRST_DELAY
            self.connected = True
            try:
                await self._carry(reader, writer)
            except OSError:
                self._count_unconfirmed()
                await asyncio.sleep(FIRST_DELAY)
            finally:
                self.connected = False
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def _count_unconfirmed(self) -> None:
        """The recorder went away, and with it perhaps what it got last."""
        self._forget_confirmed(asyncio.get_running_loop().time())
        if self._written:
            self._count("lost.unconfirmed_deltas", len(self._written))
            self._written.clear()

    def _forget_confirmed(self, now: float) -> None:
        while self._written and self._written[0] < now - UNCONFIRMED:
            self._written.popleft()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send until there is nothing left and no more to come.

        Raises OSError when the recorder went away; the delta that was being sent stays in line.
        """
        self._dropped = True  # whoever is new knows no statement
        # It never says anything, so whatever can be read is its end. A write would still succeed then, into
        # nowhere.
        ended = asyncio.get_running_loop().create_task(reader.read(1), name="end of the recorder")
        ended.add_done_callback(lambda _: self._ready.set())
        try:
            while True:
                while self._unsent:
                    if self._dropped:
                        self._dropped = False
                        await self._write(writer, self._definitions())
                    if ended.done():
                        raise ConnectionResetError("the recorder closed the connection")
                    delta = self._unsent[0]
                    now = asyncio.get_running_loop().time()
                    self._forget_confirmed(now)
                    self._written.append(now)
                    await self._write(writer, delta)
                    # While it was written, it may have been dropped to make room.
                    if self._unsent and self._unsent[0] is delta:
                        self._unsent.popleft()
                        self._unsent_bytes -= len(delta)
                if self._closing:
                    return
                if ended.done():
                    raise ConnectionResetError("the recorder closed the connection")
                self._ready.clear()
                await self._ready.wait()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _write(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        writer.write(_LENGTH.pack(len(frame)) + frame)
        await writer.drain()
