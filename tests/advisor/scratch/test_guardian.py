"""However the owner ends, neither a process nor a directory stays."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from advisor.scratch import ScratchServer
from advisor.scratch.guardian import hand_over, is_ready, link_or_copy, remove, tail


class Base(Protocol):
    path: Path

    def directories(self) -> list[Path]: ...
    def processes(self) -> list[int]: ...
    def until_empty(self) -> None: ...


class Owner(Protocol):
    process: subprocess.Popen[str]

    def report(self) -> dict[str, str]: ...


Launch = Callable[..., Owner]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until_dead(*pids: int) -> None:
    deadline = time.monotonic() + 20
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if alive(pid)]}"
        time.sleep(0.02)


def system_v_segments() -> set[str]:
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines}


def keep_busy(facts: dict[str, str]) -> int:
    """Start a statement that would run for hours; returns the backend's process."""
    with closing(psycopg.connect(f"host={facts['socket']} user=postgres", autocommit=True)) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        return connection.info.backend_pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_an_owner_that_is_killed_leaves_nothing(launch: Launch, base: Base, number: signal.Signals) -> None:
    owner = launch()
    facts = owner.report()
    assert base.processes()
    owner.process.send_signal(number)
    base.until_empty()
    until_dead(int(facts["guardian"]), int(facts["postmaster"]))


def test_ctrl_c_leaves_nothing(launch: Launch, base: Base) -> None:
    owner = launch()
    facts = owner.report()
    # What a terminal does: the whole foreground process group gets it.
    os.killpg(owner.process.pid, signal.SIGINT)
    _, said = owner.process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    # Nothing to wait for: the owner's own exit waited for the guardian.
    assert not base.directories()
    assert not base.processes()
    assert not alive(int(facts["guardian"]))


def test_an_exit_that_forgot_the_server_leaves_nothing(launch: Launch, base: Base) -> None:
    owner = launch("exit")
    facts = owner.report()
    _, said = owner.process.communicate(timeout=30)
    assert said == ""
    assert not base.directories()
    assert not base.processes()
    assert not alive(int(facts["guardian"]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_owner_that_dies_while_the_server_starts_leaves_nothing(
    launch: Launch, base: Base, number: signal.Signals
) -> None:
    owner = launch()
    deadline = time.monotonic() + 30
    while not base.processes():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(owner.process.pid, number)
    base.until_empty()


def test_a_child_that_the_owner_forked_does_not_keep_the_server(launch: Launch, base: Base) -> None:
    owner = launch("fork")
    owner.report()
    owner.process.kill()
    base.until_empty()


def test_a_backend_that_is_busy_is_ended_too(launch: Launch, base: Base) -> None:
    owner = launch()
    facts = owner.report()
    backend = keep_busy(facts)
    owner.process.kill()
    base.until_empty()
    assert not alive(backend)


def test_a_postmaster_that_is_killed_takes_the_rest_with_it(launch: Launch, base: Base) -> None:
    owner = launch()
    facts = owner.report()
    maps = Path(f"/proc/{facts['postmaster']}/maps").read_text()
    segments = {Path(word) for word in maps.split() if word.startswith("/dev/shm/PostgreSQL.")}
    system_v = (Path(facts["directory"]) / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
    assert segments
    assert system_v in system_v_segments()
    backend = keep_busy(facts)
    os.kill(int(facts["postmaster"]), signal.SIGKILL)
    base.until_empty()
    assert not alive(backend)
    until_dead(int(facts["guardian"]))
    assert not any(path.exists() for path in segments)
    assert system_v not in system_v_segments()
    owner.process.communicate("")
    assert owner.process.returncode == 0


def test_the_owner_clears_up_for_a_guardian_that_was_killed(launch: Launch, base: Base) -> None:
    owner = launch()
    facts = owner.report()
    os.kill(int(facts["guardian"]), signal.SIGKILL)
    until_dead(int(facts["postmaster"]))
    assert base.directories()
    owner.process.communicate("", timeout=30)
    assert not base.directories()


def test_the_next_server_clears_up_when_owner_and_guardian_were_killed(launch: Launch, base: Base) -> None:
    owner = launch()
    facts = owner.report()
    owner.process.send_signal(signal.SIGSTOP)
    os.kill(int(facts["guardian"]), signal.SIGKILL)
    os.kill(owner.process.pid, signal.SIGKILL)
    until_dead(int(facts["postmaster"]), owner.process.pid)
    assert base.directories()
    second = launch()
    facts = second.report()
    assert base.directories() == [Path(facts["directory"])]
    second.process.communicate("", timeout=30)
    base.until_empty()


def test_a_server_that_ends_by_itself_is_noticed() -> None:
    with ScratchServer.start(18) as server:
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while server.running:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not server.directory.exists()


def test_ready_is_what_the_eighth_line_says(tmp_path: Path) -> None:
    assert not is_ready(str(tmp_path))
    lock = tmp_path / "postmaster.pid"
    lines = ["1", str(tmp_path), "0", "5432", "/s", "", " 1 2", "starting"]
    lock.write_text("\n".join(lines[:5]))
    assert not is_ready(str(tmp_path))
    lock.write_text("\n".join(lines))
    assert not is_ready(str(tmp_path))
    lock.write_text("\n".join([*lines[:7], "ready   "]))
    assert is_ready(str(tmp_path))


def test_a_readable_file_is_linked_and_a_closed_one_copied_and_opened(tmp_path: Path) -> None:
    readable, closed = tmp_path / "readable", tmp_path / "closed"
    for path, mode in ((readable, 0o755), (closed, 0o700)):
        path.write_text("program")
        path.chmod(mode)
    link_or_copy(str(readable), str(tmp_path / "a"))
    link_or_copy(str(closed), str(tmp_path / "b"))
    assert (tmp_path / "a").samefile(readable)
    assert not (tmp_path / "b").samefile(closed)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("as_root")
def test_handing_over_leaves_alone_what_belongs_to_others(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "base").mkdir(parents=True)
    outside.write_text("root's")
    mine, foreign = data / "base" / "mine", data / "foreign"
    mine.write_text("")
    os.link(outside, foreign)
    os.chown(mine, 65534, 65534)
    hand_over(str(data), 65534, 1999999999)
    assert mine.stat().st_uid == 1999999999
    assert data.stat().st_uid == (data / "base").stat().st_uid == 1999999999
    assert outside.stat().st_uid == 0


@pytest.mark.usefixtures("as_root")
def test_handing_over_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("")
    os.chown(outside, 65534, 65534)
    (tmp_path / "data" / "link").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        hand_over(str(tmp_path / "data"), 65534, 1999999999)
    assert outside.stat().st_uid == 65534


def test_the_tail_of_a_long_log_is_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff" * 100000 + b"the end")
    assert tail(str(log)).endswith("the end")
    assert len(tail(str(log))) < 10000


def test_removing_spares_what_a_link_points_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "link").symlink_to(kept)
    remove(str(gone))
    assert kept.is_dir()
    assert not gone.exists()
    remove(str(gone))
