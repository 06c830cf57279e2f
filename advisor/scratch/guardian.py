"""The guardian: a process of its own that runs one scratch server and leaves nothing of it behind.

It is started as a plain script (``python -I -S guardian.py``) and imports the standard library only, so
it is up in some twenty milliseconds and needs nothing of the environment that pgcoach lives in.

How it knows that its owner is gone: the owner holds the write end of a pipe, the guardian reads the other
end as its standard input. However the owner ends, SIGKILL included, the kernel closes the pipe and the
guardian reads its end. A copy of the write end may live on in a process that the owner forked, so the
guardian also looks once a second whether its parent is still the owner. It has a session of its own:
Ctrl-C in a terminal reaches the owner and not the guardian, which then does its work in peace.

What holds if the guardian itself is killed: the server asks the kernel for SIGQUIT at its parent's death
(Linux), and the directory, whose lock file nobody holds any more, is removed by whoever starts the next
server (``leftovers``).

The server is stopped with SIGQUIT, PostgreSQL's immediate shutdown: there is nothing to save, and unlike
SIGKILL it lets the postmaster end its children and give its shared memory back. If the postmaster was
killed all the same, the guardian inherits its children (as their subreaper), ends them, and removes the
shared memory itself.

The conversation: one line of JSON (``Order``) in, one line of JSON out (``directory`` and ``pid``, or
``error``, ``where`` and ``log``), then silence until the pipe ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from types import FrameType
from typing import IO, TypedDict

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
START_TIMEOUT = 120.0
"""Seconds until a server that does not get ready is given up; a loaded machine may need many."""
QUIT_TIMEOUT = 8.0
"""Seconds until SIGKILL follows SIGQUIT. The postmaster itself kills its children after 5."""
_LOG_TAIL = 8192
IPC_RMID = 0
_READY_LINE = 7  # of postmaster.pid: LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h


class Order(TypedDict):
    """What the owner wants; paths are absolute."""

    base: str
    prefix: str
    bindir: str
    copies: list[tuple[str, str]]
    """Files and directories to bring into the server's directory first: from, to (relative)."""
    initdb_arguments: list[str]
    configuration: str
    """Appended to postgresql.conf; ``{directory}`` was left for the guardian to fill in."""
    access: str
    """The whole of pg_hba.conf."""
    server_user: int | None
    """None: run everything as the user that we are."""
    initdb_user: int | None


class StartError(Exception):
    """The server could not be started."""

    def __init__(self, what: str, where: str, log: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.log = log


class OwnerGoneError(Exception):
    """The pipe ended or we were told to end: clean up and go."""


class Guardian:
    """Runs one server from its directory's creation to its removal."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.owner = os.getppid()
        self.directory = ""
        self.child: subprocess.Popen[bytes] | None = None
        self.told_to_end = False
        self.segments: set[str] = set()
        """Files in /dev/shm that the server made."""
        self._lock: IO[bytes] | None = None
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN | select.POLLHUP)
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        self._poll.register(self._wake[0], select.POLLIN)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: an ignored signal would stay ignored in the programs that we start.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.told_to_end = True

    # -- starting --------------------------------------------------------------------------------------

    def start(self) -> int:
        """Make the directory, the cluster and the server; returns the postmaster's pid once it is ready."""
        self._make_directory()
        bindir = self._bring_programs()
        data = self._path("data")
        self._initdb(bindir, data)
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write(self.order["configuration"].replace("{directory}", self.directory))
        with open(os.path.join(data, "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write(self.order["access"])
        self._make_private("s", self.order["server_user"])
        user = self.order["server_user"]
        if user is not None:
            hand_over(data, self.order["initdb_user"], user)
        return self._start_server(bindir, data, user)

    def _make_directory(self) -> None:
        base = self.order["base"]
        try:
            self.directory = tempfile.mkdtemp(prefix=self.order["prefix"], dir=base)
            self._lock = open(self._path("lock.new"), "wb")  # noqa: SIM115 - held until we end
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # It gets its name when it is locked: whoever sweeps must not see it in between.
            os.rename(self._path("lock.new"), self._path("lock"))
            group = self.order["server_user"]
            if group is not None:
                os.chown(self.directory, -1, group)
                os.chmod(self.directory, 0o710)  # noqa: S103 - the group is the server's alone
        except OSError as error:
            raise StartError("the server's directory could not be made", base, str(error)) from error

    def _make_private(self, name: str, user: int | None) -> str:
        path = self._path(name)
        os.mkdir(path, 0o700)
        if user is not None:
            group = self.order["server_user"]
            os.chown(path, user, -1 if group is None else group)
        return path

    def _bring_programs(self) -> str:
        """Copy what the server's user could not reach; returns the directory to run programs from."""
        for source, target in self.order["copies"]:
            self._look_around()
            target = self._path(target)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                if os.path.isdir(source):
                    shutil.copytree(source, target, copy_function=link_or_copy)
                else:
                    link_or_copy(source, target)
            except OSError as error:
                raise StartError("the server's programs could not be copied", target, str(error)) from error
        bindir = self.order["bindir"]
        if os.path.isabs(bindir):
            return bindir
        open_for_reading(self._path(bindir.split("/")[0]))
        return self._path(bindir)

    def _initdb(self, bindir: str, data: str) -> None:
        user = self.order["initdb_user"]
        self._make_private("data", user)
        command = [os.path.join(bindir, "initdb"), "-D", data, *self.order["initdb_arguments"]]
        code, log = self._run(command, user)
        if code and "invalid locale" in log:
            # No C.UTF-8 on this machine. C sorts alike; it only knows the case of ASCII letters.
            with os.scandir(data) as entries:
                for entry in entries:
                    remove(entry.path)
            code, log = self._run([*command, "--locale=C"], user)
        if code:
            raise StartError(f"initdb failed (exit status {code})", data, log)

    def _run(self, command: list[str], user: int | None) -> tuple[int, str]:
        log = self._path("initdb.log")
        self._spawn(command, user, log)
        while (code := self._code()) is None:
            self._wait(1000)
        self.child = None
        return code, tail(log)

    def _start_server(self, bindir: str, data: str, user: int | None) -> int:
        log = self._path("server.log")
        child = self._spawn([os.path.join(bindir, "postgres"), "-D", data], user, log)
        deadline = time.monotonic() + START_TIMEOUT
        while not is_ready(data):
            code = self._code()
            if code is not None:
                raise StartError(f"the server ended while starting (exit status {code})", data, tail(log))
            if time.monotonic() > deadline:
                raise StartError(f"the server was not ready after {START_TIMEOUT:.0f} s", data, tail(log))
            self._wait(10)
        self.segments = mapped_segments(child.pid)
        return child.pid

    def _spawn(self, command: list[str], user: int | None, log: str) -> subprocess.Popen[bytes]:
        guardian = os.getpid()
        prctl = linux_prctl()

        def bind_to_guardian() -> None:
            # After the change of user, which would have cleared it.
            if prctl is not None:
                prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT))
                if os.getppid() != guardian:
                    os._exit(1)

        with open(log, "wb") as output:
            try:
                self.child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.directory,
                    # Our own environment may hold PG* variables and a time zone that initdb would look for.
                    env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
                    user=user,
                    group=self.order["server_user"],
                    extra_groups=None if user is None else [],
                    umask=0o077,
                    preexec_fn=bind_to_guardian,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise StartError("a program could not be started", command[0], str(error)) from error
        return self.child

    # -- waiting ---------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Until the server ends by itself or the owner is gone."""
        with contextlib.suppress(OwnerGoneError):
            while self._code() is None:
                self._wait(1000)

    def _wait(self, milliseconds: int) -> None:
        self._poll.poll(milliseconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake[0], 4096)
        self._look_around()

    def _look_around(self) -> None:
        """Raises OwnerGoneError when it is time to go."""
        if self.told_to_end or os.getppid() != self.owner:
            raise OwnerGoneError
        if any(fd == 0 for fd, _ in self._poll.poll(0)) and not os.read(0, 4096):
            raise OwnerGoneError

    def _code(self) -> int | None:
        return self.child.poll() if self.child else 0

    # -- ending ----------------------------------------------------------------------------------------

    def clean_up(self) -> None:
        """End every process that we started and remove the directory."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGQUIT)
            try:
                self.child.wait(QUIT_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        ended, segments = end_orphans()
        if self.child and self.child.returncode < 0:
            ended.add(self.child.pid)
            segments |= self.segments
        remove_shared_memory(ended, segments)
        if self.directory:
            remove(self.directory)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)


def hand_over(data: str, old: int | None, new: int) -> None:
    """Give everything below ``data`` that belongs to ``old`` to ``new``.

    By descriptor and only after a look at the owner: links that somebody planted are not followed.
    """
    for _, _, files, here in os.fwalk(data, follow_symlinks=False):
        os.fchown(here, new, new)
        for name in files:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
            try:
                if os.fstat(file).st_uid == old:
                    os.fchown(file, new, new)
            finally:
                os.close(file)


def link_or_copy(source: str, target: str) -> None:
    """A hard link costs nothing; it needs one file system, and a mode that lets everybody use the file."""
    mode = os.stat(source).st_mode
    wanted = 0o755 if mode & stat.S_IXUSR else 0o644
    if mode & wanted == wanted:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    os.chmod(target, wanted)


def open_for_reading(directory: str) -> None:
    """Let the server's user into these directories: our umask and copytree's faithfulness keep it out."""
    for here, _, _ in os.walk(directory):
        os.chmod(here, 0o755)  # noqa: S103 - below a directory that is closed to others


def is_ready(data: str) -> bool:
    """As pg_ctl sees it: the status line of postmaster.pid."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    return len(lines) > _READY_LINE and lines[_READY_LINE].strip() == "ready"


def tail(path: str) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _LOG_TAIL))
        return file.read().decode("utf-8", "replace")


def remove(path: str) -> None:
    """Remove a file or a tree; a process that is just ending may still add to it, so more than once."""
    for _ in range(50):
        if not os.path.lexists(path):
            return
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if os.path.lexists(path):
            time.sleep(0.1)


def end_orphans() -> tuple[set[int], set[str]]:
    """Kill what the server left when it died itself: as its subreaper we are their parent now (Linux).

    Returns the processes and the shared memory that they had mapped.
    """
    ended: set[int] = set()
    segments: set[str] = set()
    children = f"/proc/self/task/{os.getpid()}/children"
    for _ in range(100):
        try:
            with open(children, encoding="ascii") as file:
                pids = [int(pid) for pid in file.read().split()]
        except OSError:
            break
        if not pids:
            break
        for pid in pids:
            segments |= mapped_segments(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        ended.update(pids)
    return ended, segments


def mapped_segments(pid: int) -> set[str]:
    """PostgreSQL's files of shared memory that this process has mapped (Linux)."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            fields = [line.split(maxsplit=5) for line in file]
    except OSError:
        return set()
    paths = {line[5].strip() for line in fields if len(line) == 6}
    return {path for path in paths if path.startswith("/dev/shm/PostgreSQL.")}  # noqa: S108


def remove_shared_memory(pids: set[int], segments: set[str]) -> None:
    """What processes that were killed could not give back: DSM files and System V segments (Linux)."""
    for path in segments:
        with contextlib.suppress(OSError):
            os.unlink(path)
    try:
        with open("/proc/sysvipc/shm", encoding="ascii") as file:
            fields = [line.split() for line in file.readlines()[1:]]
        shmctl = ctypes.CDLL(None).shmctl
    except (OSError, AttributeError):
        return
    for _key, segment, _perms, _size, creator, _last, attached, *_ in fields:
        if int(creator) in pids and attached == "0":
            shmctl(int(segment), IPC_RMID, None)


def linux_prctl() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None


def main() -> int:
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    prctl = linux_prctl()
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return 0
        line += part
    guardian = Guardian(json.loads(line))
    try:
        pid = guardian.start()
        answer: dict[str, object] = {"directory": guardian.directory, "pid": pid}
    except OwnerGoneError:
        guardian.clean_up()
        return 0
    except StartError as failure:
        guardian.clean_up()
        answer = {"error": failure.what, "where": failure.where, "log": failure.log}
    except OSError as error:
        where = guardian.directory or guardian.order["base"]
        guardian.clean_up()
        answer = {"error": "the server's files could not be prepared", "where": where, "log": str(error)}
    except BaseException:
        guardian.clean_up()
        raise
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(answer).encode() + b"\n")
    if "pid" in answer:
        try:
            guardian.watch()
        finally:
            guardian.clean_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
