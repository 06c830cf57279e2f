"""Who can reach a server, and as whom it runs."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from advisor.scratch import Binaries, ScratchServer, find_binaries
from advisor.scratch.guardian import link_or_copy

NOBODY = 65534


class Base(Protocol):
    path: Path

    def processes(self) -> list[int]: ...
    def until_empty(self) -> None: ...


class Owner(Protocol):
    process: subprocess.Popen[str]

    def report(self) -> dict[str, str]: ...


def ids(pid: int, which: str) -> set[int]:
    """All four of a process's user or group ids: real, effective, saved, file system."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return set(map(int, line.split()[1:]))
    raise AssertionError(which)


def connecting_fails(path: str, user: int, group: int) -> None:
    """Try to connect as that user: forked and not executed, since our Python may be closed to it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            socket.socket(socket.AF_UNIX).connect(path)
            code = 2
        except PermissionError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.usefixtures("as_root")
def test_started_by_root_every_process_runs_as_a_number_that_nobody_has(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwd = Path("/etc/passwd").read_bytes()
    modes = [Path(path).stat().st_mode for path in ("/tmp", "/", str(base.path))]
    monkeypatch.setattr("tempfile.tempdir", str(base.path))
    with ScratchServer.start(18) as server:
        pids = base.processes()
        assert server.pid in pids
        users = set().union(*(ids(pid, "Uid") for pid in pids))
        groups = set().union(*(ids(pid, "Gid") for pid in pids))
        (user,) = users
        assert groups == {user}
        assert user not in {entry.pw_uid for entry in pwd.getpwall()}
        assert Path(f"/proc/{server.pid}/status").read_text().count("\nGroups:\t \n") == 1
        assert not list(server.directory.rglob("data/**/nobody"))
        owners = {path.lstat().st_uid for path in (server.directory / "data").rglob("*")}
        assert owners == {user}
        with psycopg.connect(server.dsn()) as connection:
            # A superuser's COPY … PROGRAM is as far as one gets from inside: an ordinary user's rights.
            connection.execute("CREATE TEMP TABLE said (line text)")
            connection.execute("COPY said FROM PROGRAM 'id -u'")
            assert connection.execute("SELECT line FROM said").fetchone() == (str(user),)
    assert Path("/etc/passwd").read_bytes() == passwd
    assert [Path(path).stat().st_mode for path in ("/tmp", "/", str(base.path))] == modes


@pytest.mark.usefixtures("as_root")
def test_another_user_cannot_connect_to_roots_server() -> None:
    with ScratchServer.start(18) as server:
        path = f"{server.socket_dir}/.s.PGSQL.{server.port}"
        connecting_fails(path, NOBODY, NOBODY)
        # Even within the server's group, which only it has, the socket's directory is closed.
        connecting_fails(path, NOBODY, server.directory.stat().st_gid)
        assert stat.S_IMODE(server.directory.stat().st_mode) == 0o710
        assert stat.S_IMODE(Path(server.socket_dir).stat().st_mode) == 0o700


@pytest.mark.usefixtures("as_root")
def test_two_servers_of_root_are_two_users() -> None:
    with ScratchServer.start(18) as one, ScratchServer.start(18) as other:
        assert ids(one.pid, "Uid") != ids(other.pid, "Uid")


@pytest.mark.usefixtures("as_root")
def test_an_ordinary_user_without_a_home_starts_one_and_others_cannot_connect(
    launch: Callable[..., Owner], base: Base
) -> None:
    owner = launch(user=NOBODY)
    facts = owner.report()
    assert ids(int(facts["postmaster"]), "Uid") == {NOBODY}
    connecting_fails(f"{facts['socket']}/.s.PGSQL.5432", 12345, 12345)
    with psycopg.connect(f"host={facts['socket']} user=postgres") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    owner.process.communicate("", timeout=30)
    base.until_empty()


@pytest.fixture(params=["readable files", "closed files"])
def closed_installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Binaries]:
    """The wheel's PostgreSQL 18 as in a virtual environment below a directory of mode 0700."""
    real = find_binaries(18)
    if real.origin != "wheel":
        pytest.skip("is about the wheel's layout")
    home = tmp_path / "home"
    home.mkdir(0o700)
    site = home / "venv" / "site-packages"
    package = real.root.parent
    for part in (real.root / "bin", real.root / "lib", real.root / "share", Path(f"{package}.libs")):
        target = site / part.relative_to(package.parent)
        shutil.copytree(
            part, target, copy_function=link_or_copy if "readable" in request.param else shutil.copy
        )
        if "closed" in request.param:
            for path in target.rglob("*"):
                path.chmod(path.stat().st_mode & 0o700)
    yield Binaries(real.major, real.version, site / package.name / real.root.name / "bin", "wheel")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    shutil.rmtree(home)


@pytest.mark.usefixtures("as_root")
def test_root_runs_programs_from_below_a_directory_closed_to_others(closed_installation: Binaries) -> None:
    # pytest's own directory is 0700, so this holds even where the installation's parents are open.
    with ScratchServer.start(binaries=closed_installation) as server:
        with psycopg.connect(server.dsn()) as connection:
            assert connection.execute("SELECT 'Ä' ~ '\\w', to_tsvector('english', 'running')").fetchone() == (
                True,
                "'run':1",
            )
        running = os.readlink(f"/proc/{server.pid}/exe")
        assert running.startswith(f"{server.directory}/runtime/")
        assert not os.stat(server.directory / "runtime").st_mode & 0o022
        assert os.stat(server.directory / "runtime").st_uid == 0
