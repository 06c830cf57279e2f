"""The incremental walker: items F1 to F4."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.framing import Framer, Messages, ProtocolError

ROW = ord("D")
HEAD = ord("Q")
CAP = 8


def message(kind: str, body: bytes) -> bytes:
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


class Sink:
    """Keeps what the handlers are shown. ``Q`` is handled, ``D`` is row-like, ``N`` is skipped."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, int]] = []
        self.rows = 0
        self.row_bytes = 0
        self.where: list[tuple[int, int, int]] = []
        table = Messages(b"QDN", b"D", self.run)
        table.handle(HEAD, self.message, CAP)
        self.framer = Framer(table)

    def message(self, buffer: bytes, start: int, end: int, size: int) -> None:
        self.messages.append((buffer[start:end][:CAP], size))

    def run(self, kind: int, chunk: bytes, start: int, end: int, count: int) -> None:
        assert kind == ROW
        self.rows += count
        self.row_bytes += end - start
        self.where.append((start, end, count))

    def feed_in_steps(self, raw: bytes, step: int) -> None:
        for i in range(0, len(raw), step):
            self.framer.feed(raw[i : i + step])

    def shown(self) -> tuple[object, ...]:
        return self.messages, self.rows, self.row_bytes


streams = st.lists(st.tuples(st.sampled_from("QDN"), st.binary(max_size=20)), max_size=20)


@given(streams, st.data())
def test_f1_however_cut_the_handlers_see_the_same(
    stream: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    raw = b"".join(message(kind, body) for kind, body in stream)
    whole, bytewise, random = Sink(), Sink(), Sink()
    whole.framer.feed(raw)
    for i in range(len(raw)):
        bytewise.framer.feed(raw[i : i + 1])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=10)))
    for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        random.framer.feed(raw[a:b])
    assert whole.shown() == bytewise.shown() == random.shown()
    assert whole.messages == [(body[:CAP], len(body)) for kind, body in stream if kind == "Q"]
    assert whole.rows == sum(kind == "D" for kind, _ in stream)
    assert not whole.framer.pending


def test_a_run_of_rows_is_reported_once_with_its_place() -> None:
    sink = Sink()
    row = message("D", b"abc")
    sink.framer.feed(message("Q", b"x") + row * 1000 + message("N", b"") + row)
    first = len(message("Q", b"x"))
    second = first + 1000 * len(row) + 5
    assert sink.where == [(first, first + 1000 * len(row), 1000), (second, second + len(row), 1)]


def test_a_row_that_began_earlier_starts_before_the_chunk() -> None:
    sink = Sink()
    row = message("D", b"abcdef")
    sink.framer.feed(message("N", b"") + row[:4])
    assert (sink.framer.pending, sink.framer.begun_at) == (ROW, 5)
    sink.framer.feed(row[4:6])
    assert (sink.framer.pending, sink.framer.begun_at) == (ROW, -1)
    sink.framer.feed(row[6:] + row)
    assert sink.where == [(-6, len(row) - 6, 1), (len(row) - 6, 2 * len(row) - 6, 1)]


def test_f3_only_the_head_of_a_cut_message_is_kept() -> None:
    sink = Sink()
    raw = message("Q", b"0123456789" * 100)
    for i in range(0, len(raw), 7):
        sink.framer.feed(raw[i : i + 7])
    assert sink.messages == [(b"01234567", 1000)]


@pytest.mark.parametrize("kind", ["Q", "D", "N"])
@pytest.mark.parametrize("length", [3, 0, -1, -(2**31)])
@pytest.mark.parametrize("step", [1, 100])
def test_f2_lengths_below_four_are_refused(kind: str, length: int, step: int) -> None:
    sink = Sink()
    raw = message("D", b"fine") + kind.encode() + struct.pack("!i", length) + b"rest"
    with pytest.raises(ProtocolError) as caught:
        sink.feed_in_steps(raw, step)
    assert caught.value.reason == "bad_length"
    assert sink.rows == 1


@pytest.mark.parametrize("step", [1, 100])
def test_f2_unknown_types_are_refused(step: int) -> None:
    sink = Sink()
    raw = message("%", b"body")
    with pytest.raises(ProtocolError) as caught:
        sink.feed_in_steps(raw, step)
    assert caught.value.reason == "unknown_message"


def test_f4_the_largest_length_is_only_counted() -> None:
    sink = Sink()
    sink.framer.feed(b"N" + struct.pack("!i", 2**31 - 1))
    for _ in range(2047):
        sink.framer.feed(bytes(1 << 20))
    sink.framer.feed(bytes((1 << 20) - 5))
    assert not sink.framer.pending
    sink.framer.feed(message("Q", b"after"))
    assert sink.messages == [(b"after", 5)]


def test_an_empty_chunk_is_nothing() -> None:
    sink = Sink()
    sink.framer.feed(b"")
    assert not sink.framer.pending
