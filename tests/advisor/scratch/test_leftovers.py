"""What is swept and, above all, what is not."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from advisor.scratch import ScratchServer
from advisor.scratch.leftovers import sweep


@pytest.fixture
def leftover(tmp_path: Path) -> Path:
    directory = tmp_path / "pgcoach-pg-abcdefgh"
    (directory / "data").mkdir(parents=True)
    (directory / "lock").touch()
    return directory


def test_a_directory_whose_lock_nobody_holds_is_removed(leftover: Path) -> None:
    assert sweep(leftover.parent, time.time()) == [leftover]
    assert not leftover.exists()


def test_a_directory_whose_lock_is_held_stays(leftover: Path) -> None:
    with (leftover / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sweep(leftover.parent, time.time()) == []
    assert leftover.exists()


def test_a_running_server_stays(pg18: ScratchServer) -> None:
    assert pg18.directory not in sweep(pg18.directory.parent, time.time())
    assert pg18.running


def test_other_names_and_links_stay(leftover: Path) -> None:
    other = leftover.rename(leftover.parent / "other")
    (leftover.parent / "pgcoach-pg-link").symlink_to(other)
    assert sweep(leftover.parent, time.time()) == []
    assert other.exists()


@pytest.mark.usefixtures("as_root")
def test_a_directory_of_another_user_stays(leftover: Path) -> None:
    os.chown(leftover, 12345, 12345)
    assert sweep(leftover.parent, time.time()) == []


def test_without_a_lock_only_an_empty_directory_goes_and_not_at_once(leftover: Path) -> None:
    (leftover / "lock").unlink()
    now = time.time()
    assert sweep(leftover.parent, now + 3600) == []
    (leftover / "data").rmdir()
    assert sweep(leftover.parent, now) == []
    assert sweep(leftover.parent, now + 3600) == [leftover]


def test_a_process_that_got_the_servers_number_is_not_ended(leftover: Path) -> None:
    # Our own number: the sweep must see that we do not work in that data directory.
    (leftover / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert sweep(leftover.parent, time.time()) == [leftover]
