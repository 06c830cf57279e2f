"""A private, throw-away PostgreSQL server: real, started in about a second, gone without a trace.

    with ScratchServer.start(major=18) as server:
        psycopg.connect(server.dsn())

Nobody else can reach it: it listens on a unix socket in a directory of mode 0700 and on nothing else.
Started by root it runs as a user number of its own (``place``). A guardian process (``guardian``) ends it
and removes its directory when the owner calls ``stop``, exits, or dies in whatever way.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from advisor.scratch import guardian as guardian_script
from advisor.scratch import leftovers, place
from advisor.scratch.binaries import WHEEL, Binaries, find_binaries
from advisor.scratch.configuration import access_text, configuration_text
from advisor.scratch.errors import ScratchError, explained

SUPERUSER = "postgres"
_STOP_TIMEOUT = 30.0
_PROGRAMS = ("postgres", "initdb")


class ScratchServer:
    """One running server. Make it with ``start``; it can be stopped from any thread, and more than once."""

    def __init__(self, binaries: Binaries, lifeline: _Lifeline, directory: Path, pid: int) -> None:
        self.binaries = binaries
        self.directory = directory
        """Private directory of everything that belongs to the server; gone after ``stop``."""
        self.pid = pid
        """Of the postmaster."""
        self._lifeline = lifeline
        # Runs at garbage collection or at the interpreter's exit, whichever comes first.
        self._stop = weakref.finalize(self, lifeline.end, directory)

    @classmethod
    def start(
        cls,
        major: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        access: Sequence[str] = (),
        binaries: Binaries | None = None,
    ) -> Self:
        """Start a server; blocks for about a second (use ``asyncio.to_thread`` on an event loop).

        ``major`` defaults to the newest of the wheel. ``settings`` go to postgresql.conf over
        ``configuration.DEFAULTS``; ``access`` are lines of pg_hba.conf that precede the general trust.
        Raises ScratchError when it cannot be started, with the end of the server's log.
        """
        binaries = binaries or find_binaries(major)
        identity = place.identity()
        copies = _copies(binaries) if identity else []
        base = place.choose_base(identity, run_programs=bool(copies))
        leftovers.sweep(base, time.time())
        socket_directory = "{directory}/" + place.SOCKET_DIRECTORY
        order: guardian_script.Order = {
            "base": str(base),
            "prefix": place.PREFIX,
            "bindir": str(_copied(binaries, binaries.bindir) if copies else binaries.bindir),
            "copies": copies,
            "initdb_arguments": _initdb_arguments(binaries.major),
            "configuration": configuration_text(socket_directory, place.PORT, settings or {}),
            "access": access_text(access),
            "server_user": identity.server if identity else None,
            "initdb_user": identity.initdb if identity else None,
        }
        lifeline = _Lifeline()
        try:
            answer = lifeline.ask(order)
        except BaseException:
            lifeline.end(None)
            raise
        if "error" in answer:
            lifeline.end(None)
            raise ScratchError(explained(str(answer["error"]), str(answer["where"]), str(answer["log"])))
        return cls(binaries, lifeline, Path(str(answer["directory"])), int(str(answer["pid"])))

    @property
    def major(self) -> int:
        return self.binaries.major

    @property
    def version(self) -> str:
        return self.binaries.version

    @property
    def socket_dir(self) -> str:
        return str(self.directory / place.SOCKET_DIRECTORY)

    @property
    def port(self) -> int:
        return place.PORT

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether the server is there still: it was not stopped, and it did not end by itself."""
        return self._stop.alive and self._lifeline.alive

    def dsn(self, database: str = "postgres", user: str | None = None) -> str:
        """Keyword connection string as libpq, psycopg and psql read it."""
        words = {
            "host": self.socket_dir,
            "port": str(self.port),
            "user": user or SUPERUSER,
            "dbname": database,
        }
        return " ".join(f"{word}={_conninfo_value(value)}" for word, value in words.items())

    def url(self, database: str = "postgres", user: str | None = None, scheme: str = "postgresql") -> str:
        """Connection URL for libpq and asyncpg, and for SQLAlchemy with a scheme like postgresql+psycopg."""
        where = urlencode({"host": self.socket_dir, "port": self.port})
        return f"{scheme}://{quote(user or SUPERUSER, safe='')}@/{quote(database, safe='')}?{where}"

    def stop(self) -> None:
        """End the server and remove its directory; returns when both are gone. Idempotent."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Lifeline:
    """The owner's end of a guardian: its process, and the pipe whose end means "clean up and go"."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian_script.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise ScratchError(
                explained("the guardian process could not be started", sys.executable, str(error))
            ) from error
        _lifelines.add(self)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, order: guardian_script.Order) -> dict[str, object]:
        """Send the order; blocks until the server is ready or has failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # A guardian that is gone already has said why on its output.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        said = b""
        # Anything else that it says is Python's, a warning or a traceback.
        while not (said.endswith(b"\n") and (line := said.splitlines()[-1]).startswith(b"{")):
            part = self._process.stdout.read(65536)
            if not part:
                raise ScratchError(
                    explained("the guardian process failed", sys.executable, said.decode("utf-8", "replace"))
                )
            said += part
        answer: dict[str, object] = json.loads(line)
        return answer

    def end(self, directory: Path | None) -> None:
        """Let go, wait until the guardian has cleaned up, and do it in its place if it was killed."""
        if os.getpid() != self._owner:
            return
        self._close()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if directory is not None and directory.exists():
            leftovers.clear(directory)

    def let_go_in_child(self) -> None:
        """In a forked child: drop the copy of the pipe, else the guardian would wait for the child too."""
        self._close()
        self._process.returncode = 0  # not ours to wait for

    def _close(self) -> None:
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.close()


_lifelines: weakref.WeakSet[_Lifeline] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lifeline in list(_lifelines):
        lifeline.let_go_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _initdb_arguments(major: int) -> list[str]:
    arguments = [
        "--username=" + SUPERUSER,
        "--auth=trust",  # replaced by the server's own pg_hba.conf before the first start
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]
    if major >= 15:
        arguments.append("--locale-provider=libc")
    if major >= 18:
        arguments.append("--no-data-checksums")  # the default until then
    return arguments


def _copies(binaries: Binaries) -> list[tuple[str, str]]:
    """What must be copied for an unprivileged user to run these programs; nothing if it reaches them.

    The copy keeps the layout, since programs find their libraries and files relative to themselves. The
    wheel's shared libraries stand beside the package (auditwheel) or within it (delocate).
    """
    root = binaries.root
    programs = [binaries.program(name) for name in _PROGRAMS]
    libraries = [root.parent.parent / f"{WHEEL}.libs", root.parent / ".dylibs"]
    libraries = [path for path in libraries if binaries.origin == "wheel" and path.is_dir()]
    if place.programs_open_to_others(root, programs) and all(map(place.open_to_others, libraries)):
        return []
    wanted = [*programs, *(part for part in (root / "lib", root / "share") if part.is_dir()), *libraries]
    return [(str(path), str(_copied(binaries, path))) for path in wanted]


def _copied(binaries: Binaries, path: Path) -> Path:
    """Where a file of the installation lies in the server's directory, relative to it."""
    return Path("runtime") / path.relative_to(binaries.root.parent.parent)


def _conninfo_value(value: str) -> str:
    if value and not any(character in value for character in " '\\"):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
