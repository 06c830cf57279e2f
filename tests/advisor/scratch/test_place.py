"""Where a server may live, and which number it may run as."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor.scratch import ScratchError, place
from advisor.scratch.guardian import remove
from advisor.scratch.place import Identity

SOMEBODY = Identity(server=1999999999, initdb=65534)


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path is short; pytest's own is closed to others and may be long."""
    path = Path(f"/tmp/p{secrets.token_hex(4)}")
    path.mkdir(mode=0o755)
    yield path
    remove(str(path))


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return monkeypatch


def choose(patch: pytest.MonkeyPatch, tmpdir: Path, server: Identity | None = None) -> Path:
    patch.setattr("tempfile.tempdir", str(tmpdir))
    return place.choose_base(server)


def test_tmpdir_comes_first(short: Path, temporary: pytest.MonkeyPatch) -> None:
    assert choose(temporary, short) == short.resolve()


def test_a_path_too_long_for_a_socket_is_passed_over(short: Path, temporary: pytest.MonkeyPatch) -> None:
    long = short / ("x" * 70)
    long.mkdir()
    assert choose(temporary, long) == Path("/tmp").resolve()


def test_the_limit_counts_bytes_of_the_whole_socket_path(short: Path, temporary: pytest.MonkeyPatch) -> None:
    tail = len("/pgcoach-pg-12345678/s/.s.PGSQL.5432")
    room = 103 - tail - len(os.fsencode(short.resolve())) - 1
    just = short / ("x" * room)
    just.mkdir()
    assert choose(temporary, just) == just.resolve()
    umlauts = short / ("ä" * (room // 2 + 1))
    umlauts.mkdir()
    assert choose(temporary, umlauts) == Path("/tmp").resolve()


def test_a_directory_that_others_can_rename_away_is_passed_over(
    short: Path, temporary: pytest.MonkeyPatch
) -> None:
    inner = short / "inner"
    inner.mkdir()
    short.chmod(0o777)
    assert choose(temporary, inner) == Path("/tmp").resolve()
    short.chmod(0o1777)
    assert choose(temporary, inner) == inner.resolve()


@pytest.mark.usefixtures("as_root")
def test_a_directory_of_another_user_is_passed_over(short: Path, temporary: pytest.MonkeyPatch) -> None:
    os.chown(short, 12345, 12345)
    assert choose(temporary, short) == Path("/tmp").resolve()


def test_what_the_servers_user_cannot_enter_is_passed_over(
    short: Path, temporary: pytest.MonkeyPatch
) -> None:
    short.chmod(0o700)
    assert choose(temporary, short, SOMEBODY) == Path("/tmp").resolve()
    assert choose(temporary, short) == short.resolve()


def test_without_any_place_the_error_lists_each_with_its_reason(
    short: Path, temporary: pytest.MonkeyPatch
) -> None:
    temporary.setattr(place, "_SOCKET_PATH_LIMIT", 5)
    with pytest.raises(ScratchError) as caught:
        choose(temporary, short)
    message = str(caught.value)
    assert f"{short}: its path is too long" in message
    assert "/var/tmp" in message
    assert "What to do: set TMPDIR" in message


def test_ranges_meet() -> None:
    assert place.intersection([(0, 10), (20, 30)], [(5, 25)]) == [(5, 10), (20, 25)]
    assert place.intersection([(0, 10)], [(10, 20)]) == []


def test_the_number_is_from_the_unassigned_range_and_nobodys() -> None:
    for _ in range(50):
        assert 1879048192 <= place.unused_id([(0, 2**32)], {0, 65534}) < 2147483647


def test_a_small_namespace_gives_one_of_its_own_numbers_that_is_free() -> None:
    taken = set(range(1000, 65536)) - {40000, 40001, 40002}
    ranges = [(0, 1), (39990, 40010)]
    assert {place.unused_id(ranges, taken) for _ in range(20)} <= {40000, 40001, 40002}


def test_a_namespace_of_root_alone_has_nobody_to_run_as() -> None:
    with pytest.raises(ScratchError, match="no other user to run it as"):
        place.unused_id([(0, 1)], {0})


def test_programs_are_open_only_when_everything_they_need_is(short: Path) -> None:
    for name in ("bin", "lib", "share/timezone"):
        (short / name).mkdir(parents=True)
    program, library, zone = short / "bin/postgres", short / "lib/x.so", short / "share/timezone/UTC"
    for path, mode in ((program, 0o755), (library, 0o644), (zone, 0o644)):
        path.touch()
        path.chmod(mode)
    assert place.programs_open_to_others(short, [program])
    for path, closed in (
        (program, 0o750),
        (library, 0o600),
        (zone, 0o640),
        (short / "share/timezone", 0o700),
        (short / "bin", 0o700),
        (short, 0o750),
    ):
        before = path.stat().st_mode
        path.chmod(closed)
        assert not place.programs_open_to_others(short, [program]), path
        path.chmod(before)
    assert place.programs_open_to_others(short, [program])


def test_a_way_through_a_link_is_as_open_as_both_ends(short: Path) -> None:
    (short / "closed").mkdir(mode=0o700)
    (short / "target").mkdir(mode=0o755)
    (short / "closed" / "link").symlink_to(short / "target")
    (short / "open").symlink_to(short / "target")
    assert place.open_to_others(short / "open")
    assert not place.open_to_others(short / "closed" / "link")
