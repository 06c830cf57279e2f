"""Connecting to one address, whatever is said there afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from proxy.dsn import Address

P = TypeVar("P", bound=asyncio.Protocol)


class UpstreamError(Exception):
    """No address of the upstream could be reached. The message is fit for the client."""


async def dial(address: Address, factory: Callable[[], P], seconds: float) -> tuple[asyncio.Transport, P]:
    """Connect to one address within ``seconds``.

    Raises:
        OSError: refused, unreachable, unknown host; TimeoutError is one of them.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        if address.is_unix:
            path = address.socket_path
            # The abstract namespace is written with @ and begins with a zero byte.
            return await loop.create_unix_connection(factory, "\0" + path[1:] if path[0] == "@" else path)
        return await loop.create_connection(factory, address.hostaddr or address.host, address.port)


def reason(error: Exception, seconds: float) -> str:
    """What went wrong at one address that was given so many ``seconds``."""
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
