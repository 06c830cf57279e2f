"""The recorder: one process that takes in the deltas of all workers and writes the store.

Once a second it writes everything that came since in one transaction. If the store cannot be written (its
disk is full, somebody holds it), what came stays in memory, added up, and goes with the next write that
works. It ends when it is told to (SIGTERM, SIGINT) and the workers have closed their connections, or soon
after being told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog

from proxy.dsn import Dsn, parse_dsn
from workload.capture.detection import Catalogs, judge
from workload.capture.known import KnownQuery, Origin, sample_of
from workload.capture.messages import Delta, Unit
from workload.capture.pending import Intake, Pending
from workload.capture.transport import FrameError, read_frame
from workload.catalog import Catalog
from workload.store.errors import StoreError
from workload.store.store import Store
from workload.store.writing import Batch

log = structlog.get_logger(__name__)

WORKERS_LEAVE: Final = 5.0
"""Seconds that workers have to send their last deltas after the recorder was told to end."""
PRUNE_EVERY: Final = 600.0
COMPLAIN_EVERY: Final = 60.0
_TURNS_TO_SERVE: Final = 10
"""Turns that an event loop takes at most from accept() to the first line of ``serve``."""


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    store: str | Path
    """Location of the store; it is made if it is not there."""
    socket_path: str | Path | None = None
    """Unix socket to listen on, made with mode 0600 and removed at the end; or …"""
    listen_fd: int | None = None
    """… a listening unix socket that was inherited."""
    upstream: str | Dsn | None = None
    """The server whose catalog findings are judged with; None for none."""
    interval: float = 1.0
    """Seconds between writes."""
    meta: dict[str, str] = field(default_factory=dict)
    """Facts of this run to be kept in the store (``Store.meta``)."""


async def run_recorder(config: RecorderConfig) -> int:
    """Run until SIGTERM or SIGINT; gives the exit status of the process.

    1 when the store or the socket cannot be opened (logged in one line), 0 after a clean end, 3 when
    something could not be written in the end.
    """
    upstream = parse_dsn(config.upstream) if isinstance(config.upstream, str) else config.upstream
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        store = await asyncio.to_thread(_open, config)
    except StoreError as error:
        log.error("store not usable", error=str(error))  # noqa: TRY400 (one line, the message says all)
        return 1
    else:
        with store:
            return await _serve_until(stop, config, Recorder(store, upstream, config.interval))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _serve_until(stop: asyncio.Event, config: RecorderConfig, recorder: Recorder) -> int:
    try:
        server = await _listen(config, recorder)
    except OSError as error:
        where = str(config.socket_path)
        log.error("recorder's socket not usable", path=where, error=str(error))  # noqa: TRY400
        return 1
    try:
        return await recorder.run(server, stop)
    finally:
        _remove_socket(config)


def _open(config: RecorderConfig) -> Store:
    store = Store.open(config.store)
    for key, value in config.meta.items():
        store.set_meta(key, value)
    return store


async def _listen(config: RecorderConfig, recorder: Recorder) -> asyncio.Server:
    if config.listen_fd is not None:
        inherited = socket.socket(fileno=config.listen_fd)
        inherited.setblocking(False)
        return await asyncio.start_unix_server(recorder.serve, sock=inherited)
    if config.socket_path is None:
        raise OSError("neither a path nor a listening socket was given")
    _remove_socket(config)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody may connect between bind and chmod.
        before = os.umask(0o177)
        try:
            listening.bind(str(config.socket_path))
        finally:
            os.umask(before)
        listening.setblocking(False)
        return await asyncio.start_unix_server(recorder.serve, sock=listening)
    except BaseException:
        listening.close()
        raise


def _remove_socket(config: RecorderConfig) -> None:
    if config.socket_path is not None:
        Path(config.socket_path).unlink(missing_ok=True)


async def _accept_waiting(server: asyncio.Server) -> None:
    """Take in the workers that connected before we were told to stop: they may hold all that was counted."""
    deadline = time.monotonic() + WORKERS_LEAVE
    while select.select(server.sockets, [], [], 0)[0] and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for _ in range(_TURNS_TO_SERVE):
        await asyncio.sleep(0)


class Recorder:
    """Connections in, transactions out."""

    def __init__(self, store: Store, upstream: Dsn | None, interval: float) -> None:
        self._store = store
        self._interval = interval
        self._intake = Intake()
        self._catalogs = Catalogs(upstream)
        self._connections: set[asyncio.Task[None]] = set()
        self._decode = msgspec.msgpack.Decoder(Delta).decode
        self._next_prune = 0.0
        self._complained = -COMPLAIN_EVERY

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take in one worker's deltas until it closes."""
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        origin = Origin()
        worker: int | None = None
        try:
            while (frame := await read_frame(reader)) is not None:
                delta = self._decode(frame)
                worker = delta.worker
                self._intake.receive(origin, delta)
        except (FrameError, msgspec.DecodeError) as error:
            self._intake.pending.count("lost.connections")
            log.warning("a worker's message is not understood; connection closed", error=str(error))
        finally:
            if worker is not None:
                self._intake.worker_left(worker)
            writer.close()
            if task is not None:
                self._connections.discard(task)

    async def run(self, server: asyncio.Server, stop: asyncio.Event) -> int:
        """Write once an interval until told to stop; then take in what workers still send, and write that."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._interval)
            await self._write()
        await _accept_waiting(server)
        if self._connections:
            await asyncio.wait(set(self._connections), timeout=WORKERS_LEAVE)
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._write()
        await self._catalogs.finished(within=2.0)
        written = await self._write()
        await self._catalogs.close()
        if not written:
            log.error("the store was not writable to the end; the last counts are lost")
        return 0 if written else 3

    async def _write(self) -> bool:
        """Write what came since the last time; False when it stays in memory instead."""
        taken = self._intake.take()
        now = time.monotonic()
        judged: list[tuple[Origin, Unit, Catalog | None]] = []
        waiting: list[tuple[Origin, Unit]] = []
        for origin, unit in taken.units:
            ready, catalog = self._catalogs.get(unit.database, now)
            if ready:
                judged.append((origin, unit, catalog))
            else:
                waiting.append((origin, unit))
        taken.units = [(origin, unit) for origin, unit, _catalog in judged]
        try:
            await asyncio.to_thread(_write_all, self._store, taken, judged, time.time())
        except StoreError as error:
            self._intake.pending.add_units(waiting)
            self._intake.give_back(taken)
            if now - self._complained >= COMPLAIN_EVERY:
                self._complained = now
                log.error("store not written; counts wait in memory", error=str(error))  # noqa: TRY400
            return False
        self._intake.pending.add_units(waiting)
        if self._complained > 0 and now > self._complained:
            self._complained = -COMPLAIN_EVERY
            log.info("store written again")
        if now >= self._next_prune:
            self._next_prune = now + PRUNE_EVERY
            await self._prune()
        return True

    async def _prune(self) -> None:
        """Delete what is past its retention. What was just written stays written if that fails."""
        try:
            await asyncio.to_thread(self._store.prune, time.time())
        except StoreError as error:
            log.warning("old data not deleted, tried again later", error=str(error))


def _define(store: Store, queries: Sequence[KnownQuery]) -> None:
    """Give the queries the ids and texts that the store has for them; those it does not have are added.

    A query that was known may be gone: any process that writes this store prunes it.
    """
    there = store.present([query.id for query in queries if query.id is not None])
    undefined = [query for query in queries if query.id not in there]
    if not undefined:
        return
    ids = store.define_queries([query.to_define() for query in undefined])
    texts = store.texts(ids)
    for query, id in zip(undefined, ids, strict=True):
        query.id = id
        query.text = texts[id]


def _write_all(
    store: Store,
    taken: Pending,
    judged: list[tuple[Origin, Unit, Catalog | None]],
    epoch: float,
) -> None:
    """Everything that touches the disk or takes time, in a thread.

    Raises StoreError; ``taken`` can then be merged and written again.
    """
    _define(store, taken.queries())
    judge(judged, taken)
    # From here on a repetition must not judge them again.
    judged.clear()
    taken.units.clear()
    # A copy: if this is not written, ``taken`` is written later with the counters that it came with.
    batch = Batch(at=epoch, counters=dict(taken.counters), gauges=taken.gauges)
    for query, buckets in taken.increments.items():
        for increment in buckets.values():
            if query.id is not None:
                increment.query_id = query.id
                batch.add(increment)
    samples = [sample_of(query, shape, message) for query, shape, message in taken.samples]
    batch.samples = [sample for sample in samples if sample is not None]
    if len(batch.samples) < len(samples):
        batch.count("samples.other_spelling", len(samples) - len(batch.samples))
    batch.findings = list(taken.findings.values())
    store.write(batch)
