"""Directories that a killed guardian could not remove.

A guardian holds a lock on ``lock`` in its directory for as long as it lives. A directory of ours whose
lock nobody holds is a leftover; its server, should it still run, is ended first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import time
from pathlib import Path

from advisor.scratch.guardian import remove
from advisor.scratch.place import PREFIX

_YOUNG = 60.0
"""Seconds in which a directory without a lock file may still be one that is just being made."""


def sweep(base: Path, now: float) -> list[Path]:
    """Remove the leftovers of this user in ``base``; returns them. ``now`` is epoch seconds."""
    swept = []
    for directory in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            info = directory.lstat()
            if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
                continue
            if is_left_over(directory, now):
                clear(directory)
                swept.append(directory)
    return swept


def is_left_over(directory: Path, now: float) -> bool:
    """Whether no guardian holds this directory any more."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        # Not one of a scratch server, perhaps; only an empty one is surely nobody's.
        return not any(directory.iterdir()) and now - directory.lstat().st_mtime > _YOUNG
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def clear(directory: Path) -> None:
    """End the server that runs in ``directory``, if one does, and remove the directory."""
    pid = _server(directory / "data")
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
        for _ in range(80):
            if not _server(directory / "data"):
                break
            time.sleep(0.1)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    remove(str(directory))


def _server(data: Path) -> int:
    """The postmaster of this data directory, 0 when none runs or it cannot be told for sure.

    The number in the file may be another process's by now, so its working directory is compared. (Where
    there is no /proc, a postmaster notices within a minute that its directory is gone, and ends.)
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        return pid if os.path.samefile(f"/proc/{pid}/cwd", data) else 0
    except (OSError, ValueError):
        return 0
