"""Which server issued which cancel key, over all workers of one proxy.

A cancel request arrives on a connection of its own, at any worker, and names its session by process id and
key alone. With several upstream addresses, or one name that leads elsewhere after a failover, only the
server that issued the key can act on it. So every worker lists the keys of its sessions, and where their
server is, in a shared memory that all of them read.

The table holds keyed hashes instead of keys: whoever reads it cannot cancel anything. Every worker owns one
region and writes no other. A reader may meet an entry that is being written: it then finds no issuer, as
for a key that was never listed, and the request goes to every address.
"""

from __future__ import annotations

import heapq
import mmap
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from struct import Struct

from proxy.dsn import Address
from proxy.wire.framing import Framer, Messages, ProtocolError

SESSIONS = 16_384
"""Keys listed for each worker; sessions beyond that are cancelled by asking every address."""
NOT_LISTED = -1

_DIGEST = 16
_ENTRY = Struct(f"<{_DIGEST}sHB45s")
"""Hash, number of the address, length and text of the numeric host (longer than any IPv6 address)."""
_HOST = 45
_USED = Struct("<I")
_REGION = (SESSIONS + 1) * _ENTRY.size
"""The first entry's place holds how many of the others may be in use."""


def table_size(workers: int) -> int:
    """Bytes of shared memory for so many workers. Untouched pages of it cost nothing."""
    return workers * _REGION


class CancelKeys:
    """The keys of all workers, of which ``index`` is this one.

    ``secret`` is of the run, the same in all workers. Without ``table`` the process stands alone.
    """

    __slots__ = ("_addresses", "_base", "_free", "_secret", "_table", "_used")

    def __init__(
        self, addresses: Sequence[Address], secret: bytes, table: mmap.mmap | None = None, index: int = 0
    ) -> None:
        self._addresses = tuple(addresses)
        self._secret = secret
        self._table = table if table is not None else mmap.mmap(-1, table_size(index + 1))
        self._base = index * _REGION
        self._used = 0
        self._free: list[int] = []
        # What a predecessor in this place left behind means nothing: its sessions ended with it.
        self._publish(0)

    def issued(self, identity: bytes, address: Address, host: str) -> int:
        """A server said ``identity``: process id and key, as in BackendKeyData and CancelRequest.

        ``host`` is the numeric address that was reached, empty for unix sockets. Returns the place to give
        back with ``ended``, or NOT_LISTED when all are taken.
        """
        if self._free:
            place = heapq.heappop(self._free)
        elif self._used < SESSIONS:
            place = self._used
        else:
            return NOT_LISTED
        numeric = host.encode("ascii", "ignore")
        if len(numeric) > _HOST:
            numeric = b""
        _ENTRY.pack_into(
            self._table,
            self._at(place),
            self._digest(identity),
            self._addresses.index(address),
            len(numeric),
            numeric,
        )
        if place == self._used:
            self._publish(place + 1)
        return place

    def ended(self, place: int) -> None:
        """The session is over: its key is worth nothing."""
        if place != NOT_LISTED:
            at = self._at(place)
            self._table[at : at + _ENTRY.size] = bytes(_ENTRY.size)
            heapq.heappush(self._free, place)

    def issuer(self, identity: bytes) -> Address | None:
        """The server that issued this key, by the numeric address that its session uses."""
        digest = self._digest(identity)
        for base in range(0, len(self._table), _REGION):
            (used,) = _USED.unpack_from(self._table, base)
            end = base + (1 + min(used, SESSIONS)) * _ENTRY.size
            at = self._table.find(digest, base + _ENTRY.size, end)
            if at >= 0 and (at - base) % _ENTRY.size == 0:
                _, number, length, host = _ENTRY.unpack_from(self._table, at)
                address: Address = self._addresses[number]
                return replace(address, hostaddr=host[:length].decode("ascii")) if length else address
        return None

    def _at(self, place: int) -> int:
        return self._base + (1 + place) * _ENTRY.size

    def _publish(self, used: int) -> None:
        self._used = used
        _USED.pack_into(self._table, self._base, used)

    def _digest(self, identity: bytes) -> bytes:
        return blake2b(identity, digest_size=_DIGEST, key=self._secret, person=b"cancel key").digest()


class KeyWatch:
    """Waits for BackendKeyData in what a server says while a client logs in."""

    __slots__ = ("_framer", "identity", "over")

    KNOWN = b"RSKvNEZ"
    """Before the first ReadyForQuery nothing else may come."""
    LONGEST = 4 + 256

    def __init__(self) -> None:
        self.identity: bytes | None = None
        """Process id and key, when they were seen."""
        self.over = False
        """There is nothing to wait for any more."""
        table = Messages(self.KNOWN, b"", self._rows)
        table.handle(ord("K"), self._key, self.LONGEST)
        table.handle(ord("Z"), self._ready, 0)
        self._framer: Framer | None = Framer(table)

    def feed(self, chunk: bytes) -> None:
        """What the server sent. Never raises; the first thing it does not understand ends the watch."""
        if self._framer is not None:
            try:
                self._framer.feed(chunk)
            except ProtocolError:
                self.over = True
            if self.over:
                self._framer = None

    def _key(self, buffer: bytes, start: int, end: int, size: int) -> None:
        if 8 <= size <= self.LONGEST:
            self.identity = buffer[start:end]
        self.over = True

    def _ready(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self.over = True

    def _rows(self, kind: int, chunk: bytes, start: int, end: int, count: int) -> None:
        """No message of this phase comes in runs."""
