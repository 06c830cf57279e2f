"""Walk typed messages as they come, in pieces of any size, keeping nothing but heads.

A message is a type byte, a length word that counts itself, and a body. One ``Framer`` walks one direction
of one session. Bodies are skipped by counting: a message that lies whole in a chunk is shown to its
handler in place, without a copy; of a message cut by a chunk's end only as many bytes are kept as the
handler's cap allows. Runs of row-like messages (DataRow, CopyData) are walked in one loop and reported
once a run, because a result of a million rows must not cost a million calls.

What cannot be a message (a length under 4, an unknown type) raises ``ProtocolError``: from there on
the position in the stream is a guess, so the framer must not be fed any more.

The invariant, which the tests fuzz: however a stream is cut, the handlers see the same messages.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

HEADER = Struct("!Bi")
_LENGTH = Struct("!i")
_HEADER_SIZE = 5

Handler: TypeAlias = Callable[[bytes, int, int, int], None]
"""``handler(buffer, start, end, size)``: the body stands at ``buffer[start:end]`` and has ``size`` bytes
in truth; ``end - start < size`` when the message was cut by chunks and longer than its cap."""

RunHandler: TypeAlias = Callable[[int, bytes, int, int, int], None]
"""``handler(kind, chunk, start, end, count)``: ``count`` complete messages of one row-like kind end at
``chunk[end]``. ``start`` is the first one's type byte, or negative: it lies that many bytes before this
chunk."""


class ProtocolError(Exception):
    """The bytes are not what the protocol allows here, or not what pgcoach understands.

    ``reason`` is a short constant word: it becomes the name of a counter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Messages:
    """What one direction may carry: handlers, caps for the heads of cut messages, row-like kinds."""

    __slots__ = ("caps", "handlers", "known", "run", "runs")

    def __init__(self, known: bytes, runs: bytes, run: RunHandler) -> None:
        self.known = frozenset(known)
        """Types that may occur; those without a handler are skipped."""
        self.runs = frozenset(runs)
        self.run = run
        self.handlers: list[Handler | None] = [None] * 256
        self.caps = [0] * 256

    def handle(self, kind: int, handler: Handler, cap: int) -> None:
        """Show messages of this type to ``handler``; of a cut one keep ``cap`` bytes of the body."""
        self.handlers[kind] = handler
        self.caps[kind] = cap


class Framer:
    """The position in one direction's stream of messages."""

    __slots__ = ("_before", "_head", "_header", "_left", "_messages", "begun_at", "pending")

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self.pending = 0
        """Type of the message that the last chunk ended in; 0 between messages."""
        self.begun_at = -1
        """Where in the last chunk that message began; −1 when it began earlier, or there is none."""
        self._header = b""
        self._left = 0
        self._head = bytearray()
        self._before = 0

    def feed(self, chunk: bytes) -> None:
        """Walk a chunk. Raises ``ProtocolError``, and whatever a handler raises."""
        pos = 0
        if self.pending:
            pos = self._resume(chunk)
            if self.pending:
                return
        n = len(chunk)
        handlers = self._messages.handlers
        header = HEADER.unpack_from
        while n - pos >= _HEADER_SIZE:
            kind, size = header(chunk, pos)
            end = pos + size + 1
            if end > n or size < 4:
                break
            handler = handlers[kind]
            if handler is not None:
                handler(chunk, pos + _HEADER_SIZE, end, size - 4)
                pos = end
            elif kind in self._messages.runs:
                pos = self._run(kind, chunk, pos, end)
            elif kind in self._messages.known:
                pos = end
            else:
                raise ProtocolError("unknown_message")
        if pos < n:
            self._begin(chunk, pos)

    def _run(self, kind: int, chunk: bytes, start: int, end: int) -> int:
        """Walk row-like messages from ``start`` on, the first of which ends at ``end``."""
        n = len(chunk)
        length = _LENGTH.unpack_from
        count = 1
        pos = end
        while n - pos >= _HEADER_SIZE and chunk[pos] == kind:
            size = length(chunk, pos + 1)[0]
            end = pos + size + 1
            if end > n or size < 4:
                break
            pos = end
            count += 1
        self._messages.run(kind, chunk, start, pos, count)
        return pos

    def _begin(self, chunk: bytes, pos: int) -> None:
        """The rest of the chunk is a message's beginning."""
        kind = chunk[pos]
        if kind not in self._messages.known:
            raise ProtocolError("unknown_message")
        self.pending = kind
        self.begun_at = pos
        self._before = 0
        self._header = b""
        self._resume_at(chunk, pos)

    def _resume(self, chunk: bytes) -> int:
        """Go on with a cut message; where in the chunk it ended, if it did (``pending`` is 0 then)."""
        self.begun_at = -1
        return self._resume_at(chunk, 0)

    def _resume_at(self, chunk: bytes, start: int) -> int:
        pos = start
        n = len(chunk)
        kind = self.pending
        have = len(self._header)
        if have < _HEADER_SIZE:
            pos = min(n, start + _HEADER_SIZE - have)
            self._header += chunk[start:pos]
            if len(self._header) < _HEADER_SIZE:
                self._before += n - start
                return n
            size = HEADER.unpack(self._header)[1]
            if size < 4:
                raise ProtocolError("bad_length")
            self._left = size - 4
            self._head = bytearray()
        take = min(self._left, n - pos)
        room = self._messages.caps[kind] - len(self._head)
        if room > 0:
            self._head += chunk[pos : pos + min(take, room)]
        self._left -= take
        pos += take
        if self._left:
            self._before += n - start
            return n
        size = HEADER.unpack(self._header)[1] - 4
        head = bytes(self._head)
        self.pending = 0
        self.begun_at = -1
        self._head = bytearray()
        handler = self._messages.handlers[kind]
        if handler is not None:
            handler(head, 0, len(head), size)
        elif kind in self._messages.runs:
            self._messages.run(kind, chunk, -self._before, pos, 1)
        return pos
