"""The worker process: a relay, with a capture that tells the recorder each second."""

from __future__ import annotations

import asyncio
import gc
import logging
import mmap
import os
import socket
import time

from proxy.dsn import Address
from proxy.relay.admission import Admission
from proxy.relay.cancelkeys import CancelKeys, table_size
from proxy.relay.origin import parse_networks
from proxy.relay.relay import Relay
from proxy.relay.settings import Limits, Upstream
from proxy.relay.tls import TLSError
from proxy.relay.worker import raise_descriptor_limit, run, work
from tui.up.child import RelayConfig, end_with_supervisor, read_config, report
from tui.up.logs import Lines, log_to
from workload.capture.capture import Capture
from workload.capture.transport import DeltaSender

FLUSH_INTERVAL = 1.0
"""Seconds between deltas to the recorder."""
GARBAGE_THRESHOLD = 20_000
"""Objects made and still there before the collector looks."""
log = logging.getLogger(__name__)


async def relay_until_stopped(config: RelayConfig) -> None:
    """Serve, capture, drain, and hand the last counts over."""
    capture = Capture(config.index, config.key, config.samples)
    sender = DeltaSender(config.recorder, capture.definitions, capture.count)
    table = mmap.mmap(config.admission, 8 * config.workers)
    addresses = tuple(Address(host, port, numeric) for host, port, numeric in config.addresses)
    keys = mmap.mmap(config.cancel_keys, table_size(config.workers))
    try:
        relay = Relay(
            Upstream(addresses, config.upstream_tls),
            capture,
            Limits(drain=config.drain),
            Admission(config.max_connections, table, config.index),
            keys=CancelKeys(addresses, config.key, keys, config.index),
            tls=config.tls,
            balancers=parse_networks(config.balancers),
        )
    except TLSError as error:
        # They were good when the supervisor looked: whoever replaced them is told, and corrects them.
        report(config.pipes, str(error))
        return
    sender.start()
    flushing = asyncio.get_running_loop().create_task(_flush_forever(capture, sender), name="flush")
    try:
        await work(relay, socket.socket(fileno=config.listening), lambda: report(config.pipes))
    finally:
        flushing.cancel()
        _flush(capture, sender)
        await sender.close()


async def _flush_forever(capture: Capture, sender: DeltaSender) -> None:
    while True:
        await asyncio.sleep(FLUSH_INTERVAL)
        _flush(capture, sender)


def _flush(capture: Capture, sender: DeltaSender) -> None:
    """A defect in there may cost counts, never the flushes that follow."""
    try:
        sender.send(capture.flush(time.monotonic(), time.time()))
    except Exception as error:
        capture.count("lost.flushes")
        log.warning("a second of counts is lost (%s)", type(error).__name__)


def main() -> None:
    config = read_config(RelayConfig)
    lines = Lines()
    log_to(lines, f"pgcoach: worker {config.index + 1}")
    end_with_supervisor(config.pipes)
    raise_descriptor_limit()
    # Objects on the traffic path die by their count; looking for cycles among them took a tenth of the time
    # that observation takes (measured). What was imported stays, and need not be looked at again.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    run(relay_until_stopped(config))
    lines.settle()
    # Nothing is left to do, and tearing the interpreter down takes longer than everything before it.
    os._exit(0)


if __name__ == "__main__":
    main()
