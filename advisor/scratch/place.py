"""Where a scratch server may live, and as whom.

The directory must be short enough for a socket's path, must not hang below something that another user
can rename away, and, when root starts the server, must be reachable for the unprivileged user it runs as.

That user is a number nobody has. A shared account such as ``nobody`` would let everything else that runs
as ``nobody`` into the socket directory, so the number is drawn from the range that systemd's table of
UIDs and GIDs leaves unassigned (1879048192 to 2147483647). Only initdb must run under a name from
/etc/passwd, because it looks its user up; it gets the drawn number as its group, and so neither the
directory (mode 0710, that group) nor ptrace (which compares groups too) opens it to others of that name.
"""

from __future__ import annotations

import os
import pwd
import secrets
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.scratch.errors import ScratchError

PREFIX = "pgcoach-pg-"
SOCKET_DIRECTORY = "s"
PORT = 5432
"""Only a part of the socket's file name: the directory is private, so all servers can have the same."""

# sockaddr_un holds 108 bytes on Linux, 104 on macOS, with the terminating zero.
_SOCKET_PATH_LIMIT = 103
_SOCKET_TAIL = f"/{PREFIX}12345678/{SOCKET_DIRECTORY}/.s.PGSQL.{PORT}"
_UNASSIGNED = (1879048192, 2147483647)


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom the programs run when root starts them."""

    server: int
    """User of the server, and group of everything."""
    initdb: int
    """User of initdb: one that /etc/passwd knows."""


def identity() -> Identity | None:
    """The unprivileged identity to use when this process is root, else None.

    Raises ScratchError when there is no other user to become.
    """
    if os.geteuid() != 0:
        return None
    ranges = intersection(_mapped("uid_map"), _mapped("gid_map"))
    taken = {entry.pw_uid for entry in pwd.getpwall()} | _running()
    return Identity(server=unused_id(ranges, taken), initdb=_named_id(ranges))


def unused_id(ranges: Sequence[tuple[int, int]], taken: Iterable[int]) -> int:
    """A number within the half-open ``ranges`` that is not ``taken``, from the unassigned range if it can be.

    Raises ScratchError when nothing is left, as in a user namespace that maps root alone.
    """
    taken = set(taken)
    preferred = intersection(ranges, [_UNASSIGNED])
    ordinary = intersection(ranges, [(1000, _UNASSIGNED[0])])
    for start, end in preferred or ordinary[::-1]:
        for _ in range(100):
            drawn = start + secrets.randbelow(end - start)
            if drawn not in taken:
                return drawn
    raise ScratchError(
        "PostgreSQL refuses to run as root, and this user namespace has no other user to run it as. "
        "What to do: start pgcoach as an ordinary user, or give the container more user ids."
    )


def intersection(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What two lists of half-open ranges have in common, in ascending order."""
    right = list(right)
    pairs = [(max(a, c), min(b, d)) for a, b in left for c, d in right]
    return sorted(pair for pair in pairs if pair[0] < pair[1])


def choose_base(server: Identity | None, *, run_programs: bool = False) -> Path:
    """The directory to make the server's directory in; ``run_programs`` when binaries are copied there.

    Raises ScratchError with the reasons when no candidate will do.
    """
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR", "")]  # noqa: S108
    reasons = []
    for candidate in dict.fromkeys(candidates):
        if not candidate:
            continue
        base = Path(candidate)
        objection = _objection(base, server, run_programs)
        if not objection:
            return base.resolve()
        reasons.append(f"  {base}: {objection}")
    raise ScratchError(
        "there is no directory to put a private PostgreSQL server in:\n"
        + "\n".join(reasons)
        + "\nWhat to do: set TMPDIR to a directory with a short path that only you can write to."
    )


def _objection(base: Path, server: Identity | None, run_programs: bool) -> str:
    try:
        base = base.resolve(strict=True)
    except OSError as error:
        return error.strerror or str(error)
    if len(os.fsencode(base)) + len(_SOCKET_TAIL) > _SOCKET_PATH_LIMIT:
        return "its path is too long for a unix socket"
    if not base.is_dir() or not os.access(base, os.W_OK | os.X_OK):
        return "not a directory that can be written to"
    for directory in (base, *base.parents):
        info = directory.stat()
        if info.st_uid not in (0, os.geteuid()):
            return f"{directory} belongs to another user, who could replace what lies below"
        if info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX:
            return f"others may write to {directory} and it has no sticky bit"
    if server and not open_to_others(base):
        return "an unprivileged user cannot enter it"
    if run_programs and os.statvfs(base).f_flag & getattr(os, "ST_NOEXEC", 0):
        return "programs cannot be run there (mounted noexec)"
    return ""


def open_to_others(path: Path) -> bool:
    """Whether a user with no rights of its own reaches ``path``: every directory on the way lets it pass."""
    spelled = Path(os.path.abspath(path))
    way = {*spelled.parents, *path.resolve().parents}
    if path.is_dir():
        way.add(path)
    return all(directory.stat().st_mode & stat.S_IXOTH for directory in way)


def programs_open_to_others(root: Path, programs: Iterable[Path]) -> bool:
    """Whether an unprivileged user can run these programs and read the installation's lib and share."""
    if not open_to_others(root):
        return False
    for program in programs:
        if not open_to_others(program) or program.stat().st_mode & 0o005 != 0o005:
            return False
    for part in (root / "lib", root / "share"):
        for parent, directories, files in os.walk(part):
            here = Path(parent)
            if any((here / name).stat().st_mode & 0o005 != 0o005 for name in directories):
                return False
            if any(_closed_file(here / name) for name in files):
                return False
    return True


def _closed_file(path: Path) -> bool:
    return path.is_file() and not path.stat().st_mode & stat.S_IROTH


def _mapped(name: str) -> list[tuple[int, int]]:
    """The ids that exist in this user namespace, as half-open ranges."""
    try:
        lines = Path("/proc/self", name).read_text().splitlines()
    except OSError:  # not Linux
        return [(0, 2**32 - 1)]
    fields = [line.split() for line in lines]
    return [(int(inside), int(inside) + int(count)) for inside, _, count in fields]


def _named_id(ranges: Sequence[tuple[int, int]]) -> int:
    by_name = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    ordered = [by_name[name] for name in ("nobody", "daemon", "bin") if name in by_name]
    for uid in [*ordered, *sorted(by_name.values(), reverse=True)]:
        if uid != 0 and any(start <= uid < end for start, end in ranges):
            return uid
    raise ScratchError(
        "PostgreSQL's initdb refuses to run as root, and /etc/passwd knows no other user. "
        "What to do: start pgcoach as an ordinary user, or add the account 'nobody'."
    )


def _running() -> set[int]:
    """The users that have a process right now, where /proc tells."""
    users = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            users.add(entry.stat().st_uid)
        except OSError:
            continue
    return users
