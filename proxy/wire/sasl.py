"""What a server asks for first when a client logs in, and SCRAM's channel binding in it.

Channel binding ties a login to the certificate that the client saw, so it holds end to end only where both
ends see the same one. A server offers it by mechanisms whose names end in ``-PLUS`` (RFC 5802 section 4).

Sources: PostgreSQL ``src/backend/libpq/auth-sasl.c``, ``auth-scram.c``; the protocol's "SASL Authentication".
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import Final

ERROR: Final = ord("E")
AUTHENTICATION: Final = ord("R")
_NEGOTIATE_VERSION: Final = ord("v")
_SASL: Final = 10
_BINDING_SUFFIX: Final = b"-PLUS"
LONGEST: Final = 30_000
"""Bytes: libpq believes no longer message of these kinds (``VALID_LONG_MESSAGE_TYPE`` in fe-protocol3.c)."""


class FirstAnswer:
    """The first message of a server to a StartupMessage, apart from NegotiateProtocolVersion."""

    __slots__ = ("end", "kind", "mechanisms", "start")

    def __init__(self, kind: int, start: int, end: int, mechanisms: list[bytes]) -> None:
        self.kind = kind
        """Its type byte."""
        self.start = start
        """Where it begins, and with ``end`` where it ends; ``end`` is 0 for a message that was not read."""
        self.end = end
        self.mechanisms = mechanisms
        """Names that AuthenticationSASL offers; empty for every other message."""

    @property
    def offers_binding(self) -> bool:
        """Whether one of the mechanisms binds the login to the server's certificate."""
        return any(name.endswith(_BINDING_SUFFIX) for name in self.mechanisms)


def first_answer(buffer: bytes) -> FirstAnswer | None:
    """The first answer in what the server said so far; None while it is incomplete.

    Of other messages than authentication requests the type is enough. Anything senseless counts as such a
    message: what it means is for the client to say.
    """
    start = 0
    while True:
        if len(buffer) < start + 5:
            # The type of a message is enough unless its body has to be looked at.
            known = len(buffer) > start and buffer[start] not in (AUTHENTICATION, _NEGOTIATE_VERSION)
            return FirstAnswer(buffer[start], start, 0, []) if known else None
        kind = buffer[start]
        length: int = unpack_from("!I", buffer, start + 1)[0]
        if kind not in (AUTHENTICATION, _NEGOTIATE_VERSION) or not 4 <= length <= LONGEST:
            return FirstAnswer(kind, start, 0, [])
        end = start + 1 + length
        if len(buffer) < end:
            return None
        if kind == AUTHENTICATION:
            return FirstAnswer(kind, start, end, _mechanisms(buffer, start + 5, end))
        start = end


def without_channel_binding(buffer: bytes, answer: FirstAnswer) -> bytes:
    """The same bytes with the ``-PLUS`` mechanisms taken out of AuthenticationSASL.

    Untouched where it offers nothing else, and where it is another message.
    """
    left = [name for name in answer.mechanisms if not name.endswith(_BINDING_SUFFIX)]
    if not left or len(left) == len(answer.mechanisms):
        return buffer
    body = b"".join(name + b"\0" for name in left) + b"\0"
    message = b"R" + pack("!II", 8 + len(body), _SASL) + body
    return buffer[: answer.start] + message + buffer[answer.end :]


def refuses_channel_binding(fields: dict[str, bytes]) -> bool:
    """Whether an ErrorResponse says that the two ends saw different certificates.

    Told by the SQLSTATE and the source file, because the text is in the server's language: 28000 is raised in
    auth-scram.c for the binding's check and its negotiation, and for nothing else.
    """
    return fields.get("C") == b"28000" and fields.get("F") == b"auth-scram.c"


def _mechanisms(buffer: bytes, start: int, end: int) -> list[bytes]:
    """Of an authentication request's body; empty for all kinds but AuthenticationSASL."""
    if end - start < 4 or unpack_from("!I", buffer, start)[0] != _SASL:
        return []
    return [name for name in buffer[start + 4 : end].split(b"\0") if name]
