"""A client that says exactly what a test wants, over a blocking socket."""

from __future__ import annotations

import socket
import struct

from tests.kit.relay_thread import read_exactly

PROTOCOL_3_0, PROTOCOL_3_2 = 0x00030000, 0x00030002


def startup(version: int = PROTOCOL_3_0, **parameters: str) -> bytes:
    """A StartupMessage; a leading ``pq_`` of a name stands for ``_pq_.``."""
    body = b"".join(
        f"{'_pq_.' + name[3:] if name.startswith('pq_') else name}\0{value}\0".encode()
        for name, value in parameters.items()
    )
    return struct.pack("!II", 9 + len(body), version) + body + b"\0"


class RawClient:
    """Messages as (type, body)."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def read(self) -> tuple[str, bytes]:
        """The next message; ("", b"") at the end of the stream."""
        head = read_exactly(self.socket, 5)
        if len(head) < 5:
            return "", b""
        kind, length = struct.unpack("!cI", head)
        return kind.decode("latin-1"), read_exactly(self.socket, length - 4)

    def until(self, last: str) -> list[tuple[str, bytes]]:
        """Messages up to and including one of the types in ``last``; up to the end if none comes."""
        messages: list[tuple[str, bytes]] = []
        while True:
            message = self.read()
            if not message[0]:
                return messages
            messages.append(message)
            if message[0] in last:
                return messages

    def log_in(self, version: int = PROTOCOL_3_0, **parameters: str) -> list[tuple[str, bytes]]:
        """Where nobody asks for a password; what the server said up to ReadyForQuery."""
        self.send(startup(version, **parameters))
        return self.until("Z")


def kinds(messages: list[tuple[str, bytes]]) -> str:
    """The types, in order."""
    return "".join(kind for kind, _ in messages)
