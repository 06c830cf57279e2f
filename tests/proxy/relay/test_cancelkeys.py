"""Which server issued a key: over workers, without ever keeping the key."""

from __future__ import annotations

import mmap
import struct

import pytest

from proxy.dsn import Address
from proxy.relay import cancelkeys
from proxy.relay.cancelkeys import NOT_LISTED, CancelKeys, KeyWatch, table_size

FIRST, SECOND = Address("db", 5432), Address("/run", 5433)
SECRET = b"s" * 32


def identity(pid: int, key: bytes = b"k" * 4) -> bytes:
    return struct.pack("!I", pid) + key


def two_workers() -> tuple[CancelKeys, CancelKeys, mmap.mmap]:
    table = mmap.mmap(-1, table_size(2))
    one = CancelKeys((FIRST, SECOND), SECRET, table, 0)
    return one, CancelKeys((FIRST, SECOND), SECRET, table, 1), table


def test_c3_every_worker_knows_what_each_lists() -> None:
    one, two, _ = two_workers()
    one.issued(identity(1), FIRST, "10.0.0.1")
    two.issued(identity(2), FIRST, "2001:db8::2")
    two.issued(identity(3), SECOND, "")
    for keys in (one, two):
        assert keys.issuer(identity(1)) == Address("db", 5432, "10.0.0.1")
        assert keys.issuer(identity(2)) == Address("db", 5432, "2001:db8::2")
        assert keys.issuer(identity(3)) == SECOND
        assert keys.issuer(identity(4)) is None


def test_c2_long_keys_and_their_beginnings_are_apart() -> None:
    one, two, _ = two_workers()
    one.issued(identity(1, b"x" * 256), FIRST, "10.0.0.1")
    assert two.issuer(identity(1, b"x" * 256)) is not None
    assert two.issuer(identity(1, b"x" * 255)) is None


def test_c7_the_table_holds_no_key_and_nothing_of_an_ended_session() -> None:
    one, two, table = two_workers()
    key = b"a secret key of thirty-two bytes"
    place = one.issued(identity(1, key), FIRST, "10.0.0.1")
    assert key not in table[:]
    assert key[:4] not in table[:]
    one.ended(place)
    assert two.issuer(identity(1, key)) is None
    assert b"10.0.0.1" not in table[:]


def test_places_are_used_again_and_a_full_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelkeys, "SESSIONS", 3)
    one, two, _ = two_workers()
    places = [one.issued(identity(i), FIRST, "") for i in range(3)]
    assert one.issued(identity(3), FIRST, "") == NOT_LISTED
    assert two.issued(identity(4), FIRST, "") != NOT_LISTED
    one.ended(NOT_LISTED)
    one.ended(places[1])
    assert one.issued(identity(5), SECOND, "") == places[1]
    assert two.issuer(identity(5)) == SECOND
    assert two.issuer(identity(1)) is None


def test_a_new_worker_in_the_place_of_a_dead_one_starts_from_nothing() -> None:
    one, two, table = two_workers()
    one.issued(identity(1), FIRST, "")
    two.issued(identity(2), FIRST, "")
    CancelKeys((FIRST, SECOND), SECRET, table, 0)
    assert two.issuer(identity(1)) is None
    assert two.issuer(identity(2)) == FIRST


def test_an_address_too_long_for_the_table_is_resolved_again() -> None:
    one, two, _ = two_workers()
    one.issued(identity(1), FIRST, "fe80::" + "1" * 60)
    assert two.issuer(identity(1)) == FIRST


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


@pytest.mark.parametrize("size", [4, 32, 256])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_key_is_seen_however_it_is_cut(size: int, step: int) -> None:
    said = (
        message(b"R", struct.pack("!I", 0))
        + message(b"S", b"a\0b\0")
        + message(b"K", identity(7, b"k" * size))
    )
    watch = KeyWatch()
    for i in range(0, len(said), step):
        assert not watch.over
        watch.feed(said[i : i + step])
    assert watch.over
    assert watch.identity == identity(7, b"k" * size)


@pytest.mark.parametrize(
    "said",
    [
        message(b"Z", b"I"),
        message(b"K", b"short"),
        message(b"K", bytes(300)),
        b"HTTP/1.1 400",
        b"R\0\0\0\1",
        message(b"D", b"\0\0"),
    ],
)
def test_s15_without_a_usable_key_the_watch_ends(said: bytes) -> None:
    watch = KeyWatch()
    watch.feed(said)
    watch.feed(message(b"K", identity(7)))
    assert watch.over
    assert watch.identity is None
