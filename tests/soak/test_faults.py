"""Seconds of the soak, and that its checks would see a defect."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.recording import RecordedLink
from tests.soak import faults
from workload.store.store import Store


async def test_f5_a3_a4_a8_a_few_seconds_of_faults(tmp_path: Path) -> None:
    found = await faults.soak(6.0, 1, tmp_path)
    assert found.wrong == []
    assert found.sessions["in order"] > 0
    assert found.completed > 100
    assert found.bytes > 100_000


class Closed:
    """A writer whose connection is over."""

    class transport:
        @staticmethod
        def is_closing() -> bool:
            return True


def relay(sent: bytes, received: bytes) -> Any:
    link = RecordedLink(Closed(), Closed())  # type: ignore[arg-type]
    link.transcript.sent += b"application_name\0soak-1\0" + sent
    link.transcript.received += received
    return SimpleNamespace(links=[link])


@pytest.mark.parametrize(
    ("near", "far", "orderly", "wrong"),
    [
        ((b"ab", b"xy"), (b"ab", b"xy"), True, 0),
        ((b"ab", b"x"), (b"a", b"xy"), False, 0),
        ((b"ab", b"x"), (b"ab", b"xy"), True, 1),
        ((b"ab", b"xy"), (b"aX", b"xy"), False, 1),
        ((b"ab", b"xyz"), (b"ab", b"xy"), False, 1),
    ],
    ids=["equal", "broken", "orderly but short", "changed", "made up"],
)
def test_bytes_that_differ_are_seen(
    near: tuple[bytes, bytes], far: tuple[bytes, bytes], orderly: bool, wrong: int
) -> None:
    soak = faults.Soak(0)
    if orderly:
        soak.orderly.add("soak-1")
    sides = relay(*near), relay(*far)
    soak.compare(*sides, last=True)
    assert len(soak.wrong) == wrong
    assert [side.links for side in sides] == [[], []]


def test_lost_statements_that_nothing_counts_are_seen(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store.db"):
        pass
    soak = faults.Soak(0)
    soak.attempted = soak.completed = 3
    faults.count(soak, tmp_path / "store.db")
    assert soak.wrong == ["3 statements are neither in the store nor counted as lost"]
