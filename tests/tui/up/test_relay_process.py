"""The worker's process: a second of counts at a time, and a defect in there that costs one."""

from __future__ import annotations

from typing import cast

import pytest

from tui.up.relay_process import _flush
from workload.capture.capture import Capture
from workload.capture.transport import DeltaSender


class Counting:
    """A capture whose flush may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.counters: list[str] = []

    def flush(self, now: float, wall: float) -> bytes:
        assert wall > now
        if self.error is not None:
            raise self.error
        return b"delta"

    def count(self, counter: str, amount: int = 1) -> None:
        self.counters.append(counter)


class Sent:
    """A sender that keeps everything."""

    def __init__(self) -> None:
        self.deltas: list[bytes] = []

    def send(self, delta: bytes) -> None:
        self.deltas.append(delta)


def flush(capture: Counting, sender: Sent) -> None:
    _flush(cast(Capture, capture), cast(DeltaSender, sender))


def test_a_second_of_counts_goes_to_the_recorder() -> None:
    capture, sender = Counting(), Sent()
    flush(capture, sender)
    assert (sender.deltas, capture.counters) == ([b"delta"], [])


def test_a_defect_costs_counts_and_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    capture, sender = Counting(ValueError("secret literal")), Sent()
    flush(capture, sender)
    assert (sender.deltas, capture.counters) == ([], ["lost.flushes"])
    assert caplog.messages == ["a second of counts is lost (ValueError)"]
    capture.error = None
    flush(capture, sender)
    assert sender.deltas == [b"delta"]
