"""Places are counted over all workers, and a restarted worker gives its places back."""

from __future__ import annotations

import mmap

from proxy.relay.admission import Admission


def test_alone_without_a_cap() -> None:
    admission = Admission(None)
    assert all(admission.enter() for _ in range(10_000))
    assert admission.here == 10_000


def test_the_cap_is_shared() -> None:
    table = mmap.mmap(-1, 16)
    first, second = Admission(3, table, 0), Admission(3, table, 1)
    assert first.enter()
    assert second.enter()
    assert first.enter()
    assert not second.enter()
    assert not first.enter()
    assert (first.here, second.here) == (2, 1)
    first.leave()
    assert second.enter()


def test_a_new_worker_in_the_slot_starts_from_nothing() -> None:
    table = mmap.mmap(-1, 16)
    assert Admission(1, table, 0).enter()
    other = Admission(1, table, 1)
    assert not other.enter()
    Admission(1, table, 0)
    assert other.enter()
