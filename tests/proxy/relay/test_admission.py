"""Places: counted per worker, capped over all of them."""

from __future__ import annotations

import mmap

from proxy.relay.admission import Admission


def test_without_a_cap_it_only_counts() -> None:
    places = Admission(None)
    assert all(places.enter() for _ in range(1000))
    places.leave()
    assert (places.here, places.limit) == (999, None)


def test_the_last_place_and_one_given_back() -> None:
    places = Admission(2)
    assert [places.enter() for _ in range(3)] == [True, True, False]
    assert places.here == 2
    places.leave()
    assert places.enter()


def test_workers_share_one_cap() -> None:
    table = mmap.mmap(-1, 16)
    first, second = (Admission(3, table, index) for index in (0, 1))
    assert [first.enter(), first.enter(), second.enter()] == [True, True, True]
    assert not first.enter()
    assert not second.enter()
    assert (first.here, second.here) == (2, 1)
    first.leave()
    assert second.enter()


def test_a_worker_that_starts_again_begins_at_none_and_leaves_the_others() -> None:
    table = mmap.mmap(-1, 16)
    other, dead = (Admission(2, table, index) for index in (0, 1))
    assert other.enter()
    assert dead.enter()
    again = Admission(2, table, 1)
    assert (other.here, again.here) == (1, 0)
    assert again.enter()
    assert not again.enter()
