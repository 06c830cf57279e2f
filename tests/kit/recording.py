"""A transparent relay that keeps both byte streams of every connection.

Two uses. With one recorder on each side of the proxy the transcripts of a session must be equal to the
last byte. And a script that ran directly and through the proxy must have the same ``comparable``
transcript, where what PostgreSQL draws by lot for each session is blanked.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import cast

from tests.kit.relay import Link, Relay

_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_GSSENC_REQUEST = struct.pack("!II", 8, 80877104)
_BACKEND_KEY_DATA = ord("K")


@dataclass(slots=True)
class Transcript:
    """What one client said and heard, raw."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)

    def without_negotiation(self) -> tuple[bytes, bytes]:
        """Sent and received without the leading requests for encryption that were answered ``N``."""
        sent, received = bytes(self.sent), bytes(self.received)
        while sent.startswith((_SSL_REQUEST, _GSSENC_REQUEST)) and received.startswith(b"N"):
            sent, received = sent[8:], received[1:]
        return sent, received

    def comparable(self) -> tuple[bytes, bytes]:
        """As ``without_negotiation``, the process id and secret of BackendKeyData blanked."""
        sent, received = self.without_negotiation()
        blanked = bytearray(received)
        position = 0
        while position + 5 <= len(blanked):
            (length,) = struct.unpack_from("!I", blanked, position + 1)
            if blanked[position] == _BACKEND_KEY_DATA:
                blanked[position + 5 : position + 1 + length] = bytes(length - 4)
            position += 1 + length
        return sent, bytes(blanked)


class RecordedLink(Link):
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        super().__init__(client, server)
        self.transcript = Transcript()


class RecordingRelay(Relay):
    """``async with RecordingRelay(upstream) as relay: …; relay.transcripts[0].sent``"""

    @property
    def transcripts(self) -> list[Transcript]:
        """One a connection, in the order of arrival; they grow while the connection lives."""
        return [cast(RecordedLink, link).transcript for link in self.links]

    def make_link(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> Link:
        return RecordedLink(client, server)

    async def forward(self, link: Link, chunk: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> None:
        transcript = cast(RecordedLink, link).transcript
        (transcript.sent if upwards else transcript.received).extend(chunk)
        await super().forward(link, chunk, writer, upwards=upwards)
