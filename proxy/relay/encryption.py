"""The first bytes of a client, read from the bare socket where TLS is offered.

A TLS handshake must find the socket untouched: what a transport has read already cannot be given back. So
nothing more is taken here than the eight bytes of a request, and of a client that begins with TLS at once
the first byte is only looked at. Whatever stands behind a request that was answered ``S``, a ClientHello sent
early for instance, is read by TLS and by nothing else, so that plaintext smuggled in front of an encrypted
session is a broken handshake and never a statement.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from proxy.relay.tls import why
from proxy.wire.startup import MIN_STARTUP_LENGTH, DirectTLS, GSSENCRequest, SSLRequest, read_startup

log = logging.getLogger(__name__)

ACCEPT, REFUSE = b"S", b"N"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a client begins."""

    tls: bool
    """A TLS handshake is what comes next."""
    direct: bool = False
    """It was not asked for before."""
    head: bytes = b""
    """Bytes already taken from a plaintext client: the beginning of its first packet."""


class DropError(Exception):
    """This connection ends without a word; the message is the counter."""


async def adopt(
    sock: socket.socket,
    context: ssl.SSLContext,
    seconds: float,
    make: Callable[[Opening, float], asyncio.Protocol],
) -> str:
    """Make a transport of an accepted socket, encrypted if the client wants it so.

    ``make`` gives the protocol for how the client begins and what is left of ``seconds``. Returns the counter
    of what went wrong, and the socket is closed then; empty when it was adopted.
    """
    deadline = monotonic() + seconds
    adopted = False
    try:
        async with asyncio.timeout(seconds):
            begins = await opening(sock)
        left = max(0.001, deadline - monotonic())
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: make(begins, left),
            sock,
            ssl=context if begins.tls else None,
            ssl_handshake_timeout=left if begins.tls else None,
        )
        adopted = True
    except DropError as dropped:
        return str(dropped)
    except TimeoutError:
        return "handshake.timeout"
    except ssl.SSLError as error:
        # Whatever a stranger says; the reason matters to whoever sets certificates up.
        log.info("TLS with a client failed: %s", why(error))
        return "tls.handshake_failed"
    except OSError:
        return "handshake.abandoned"
    finally:
        if not adopted:
            sock.close()
    return ""


async def opening(sock: socket.socket) -> Opening:
    """Read and answer requests for encryption until it is clear what follows. ``sock`` does not block.

    Raises:
        DropError: the client went away, or sent something behind a request that was answered ``N``.
        OSError: the socket failed.
    """
    gssenc = False
    while True:
        head = await _first_bytes(sock)
        match read_startup(head):
            case DirectTLS():
                # Behind an answered request, TLS without asking would be a request ignored: PostgreSQL
                # looks for it on the first byte of a connection only.
                if gssenc:
                    raise DropError("handshake.injection")
                return Opening(tls=True, direct=True)
            case SSLRequest():
                sock.send(ACCEPT)
                return Opening(tls=True)
            case GSSENCRequest():
                if gssenc or _something_waits(sock):
                    raise DropError("handshake.injection")
                gssenc = True
                sock.send(REFUSE)
            case _:
                return Opening(tls=False, head=head)


async def _first_bytes(sock: socket.socket) -> bytes:
    """Eight bytes, or as many as show that this is no start-up packet; a TLS record is left untouched."""
    head = b""
    while len(head) < MIN_STARTUP_LENGTH:
        await _readable(sock)
        with contextlib.suppress(BlockingIOError, InterruptedError):
            if not head:
                first = sock.recv(1, socket.MSG_PEEK)
                if first == b"\x16":
                    return first
            taken = sock.recv(MIN_STARTUP_LENGTH - len(head))
            if not taken:
                raise DropError("handshake.abandoned")
            head += taken
        if head and head[0] != 0:
            break
    return head


def _something_waits(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except (BlockingIOError, InterruptedError):
        return False


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
