"""Draining and aborting."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from proxy.relay.settings import Limits
from tests.kit.relay_thread import PATIENCE, Recording, RelayThread, eventually, read_exactly, read_to_end

START = Callable[..., RelayThread]
STARTUP = struct.pack("!II", 8 + 9, 196608) + b"user\0me\0\0"


def joined(relay: RelayThread, server: Any) -> tuple[socket.socket, socket.socket]:
    client = relay.connect()
    client.sendall(STARTUP)
    upstream = server.accept()
    assert read_exactly(upstream, len(STARTUP)) == STARTUP
    return client, upstream


def test_a12_drain_tells_idle_sessions_and_waits_for_the_others(
    start_relay: START, server: Any, taps: list[Any]
) -> None:
    relay = start_relay(observer=Recording())
    idle, idle_upstream = joined(relay, server)
    busy, busy_upstream = joined(relay, server)
    eventually(lambda: len(taps) == 2, "both are observed")
    taps[0].idle = True
    drained = relay.drain()
    goodbye = read_to_end(idle)
    assert b"C57P01\0" in goodbye
    assert read_to_end(idle_upstream) == b"X\0\0\0\4"
    idle.close()
    busy.sendall(b"more")
    assert read_exactly(busy_upstream, 4) == b"more"
    assert not drained.done()
    taps[1].idle = True
    assert b"C57P01\0" in read_to_end(busy)
    busy.close()
    assert drained.result(PATIENCE) == 0


def test_a12_drain_refuses_newcomers(start_relay: START, server: Any, taps: list[Any]) -> None:
    relay = start_relay(observer=Recording())
    waiting = relay.connect()
    client, _ = joined(relay, server)
    drained = relay.drain()
    assert read_to_end(waiting) == b""
    with pytest.raises(OSError):  # refused or reset, by timing
        socket.create_connection((relay.address.host, relay.address.port)).recv(1)
    assert not drained.done()
    taps[0].idle = True
    read_to_end(client)
    client.close()
    drained.result(PATIENCE)


def test_a12_drain_cuts_off_at_the_deadline(start_relay: START, server: Any) -> None:
    observer = Recording()
    relay = start_relay(observer=observer, limits=Limits(drain=0.1))
    client, upstream = joined(relay, server)
    assert relay.drain().result(PATIENCE) == 1
    assert read_to_end(client) == b""
    assert read_to_end(upstream) == b""
    assert observer.counters == {"drain.cut_off": 1}


def test_abort_ends_a_drain_at_once(start_relay: START, server: Any) -> None:
    relay = start_relay(observer=Recording(), limits=Limits(drain=3600))
    client, _ = joined(relay, server)
    drained = relay.drain()
    relay.call(relay.relay.abort)
    drained.result(PATIENCE)
    assert read_to_end(client) == b""
