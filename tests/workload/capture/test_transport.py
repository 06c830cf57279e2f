"""Frames reach the recorder, survive its absence, and what is lost is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from workload.capture import transport
from workload.capture.transport import DeltaSender, FrameError, read_frame


class Receiver:
    """A recorder that remembers frames by connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: list[list[bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames: list[bytes] = []
        self.connections.append(frames)
        self.writers.append(writer)
        while (frame := await read_frame(reader)) is not None:
            frames.append(frame)
        writer.close()

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        self.path.unlink(missing_ok=True)


class Worker:
    """A sender and what it told of losses."""

    def __init__(self, path: Path) -> None:
        self.lost: dict[str, int] = {}
        self.sender = DeltaSender(path, lambda: b"definitions", self._count)

    def _count(self, name: str, amount: int) -> None:
        self.lost[name] = self.lost.get(name, 0) + amount


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (any condition)
            await asyncio.sleep(0.005)


async def test_definitions_come_first_then_deltas_in_order(tmp_path: Path) -> None:
    receiver, worker = Receiver(tmp_path / "r"), Worker(tmp_path / "r")
    await receiver.start()
    worker.sender.start()
    for number in range(50):
        worker.sender.send(b"%d" % number)
    assert await worker.sender.close()
    await until(lambda: len(receiver.connections) == 1 and len(receiver.connections[0]) == 51)
    assert receiver.connections[0] == [b"definitions", *(b"%d" % number for number in range(50))]
    assert worker.lost == {}
    await receiver.stop()


async def test_the_recorder_may_come_later_and_go_away(tmp_path: Path) -> None:
    receiver, worker = Receiver(tmp_path / "r"), Worker(tmp_path / "r")
    worker.sender.start()
    worker.sender.send(b"early")
    await asyncio.sleep(0)
    await receiver.start()
    await until(lambda: receiver.connections == [[b"definitions", b"early"]])
    await receiver.stop()
    await until(lambda: not worker.sender.connected)
    await receiver.start()
    worker.sender.send(b"late")
    await until(lambda: len(receiver.connections) == 2 and len(receiver.connections[1]) == 2)
    assert receiver.connections[1] == [b"definitions", b"late"]
    assert await worker.sender.close()
    await receiver.stop()


async def test_a8_what_a_recorder_got_just_before_it_went_away_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, worker = Receiver(tmp_path / "r"), Worker(tmp_path / "r")
    await receiver.start()
    worker.sender.start()
    worker.sender.send(b"one")
    worker.sender.send(b"two")
    await until(lambda: receiver.connections == [[b"definitions", b"one", b"two"]])
    await receiver.stop()
    await until(lambda: worker.lost == {"lost.unconfirmed_deltas": 2})
    # What is old enough was written.
    monkeypatch.setattr(transport, "UNCONFIRMED", 0.0)
    await receiver.start()
    worker.sender.send(b"three")
    await until(lambda: len(receiver.connections) == 2 and len(receiver.connections[1]) == 2)
    await asyncio.sleep(0.01)
    await receiver.stop()
    await until(lambda: not worker.sender.connected)
    assert worker.lost == {"lost.unconfirmed_deltas": 2}
    await worker.sender.close(0.1)


async def test_a8_overflow_drops_the_oldest_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_UNSENT", 100)
    receiver, worker = Receiver(tmp_path / "r"), Worker(tmp_path / "r")
    for number in range(30):
        worker.sender.send(b"%010d" % number)
    assert worker.lost == {"lost.deltas": 20}
    await receiver.start()
    worker.sender.start()
    await worker.sender.close()
    await until(lambda: bool(receiver.connections) and len(receiver.connections[0]) == 11)
    assert receiver.connections[0][1] == b"%010d" % 20
    await receiver.stop()


async def test_closing_without_a_recorder_does_not_hang(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "nobody")
    worker.sender.start()
    worker.sender.send(b"delta")
    assert not await worker.sender.close(within=0.1)


async def test_frames_have_a_limit_and_an_end() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"\x00\x00\x00\x02ab\x00\x00")
    reader.feed_eof()
    assert await read_frame(reader) == b"ab"
    assert await read_frame(reader) is None
    reader = asyncio.StreamReader()
    reader.feed_data(b"\xff\xff\xff\xff")
    with pytest.raises(FrameError):
        await read_frame(reader)
