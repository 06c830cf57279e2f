"""What can go wrong with a scratch server, said so that a person can act on it."""

from __future__ import annotations

_ADVICE = (
    ("No space left on device", "free some space there, or point TMPDIR at a larger disk"),
    ("Check free disk space", "free some space there, or point TMPDIR at a larger disk"),
    ("Disk quota exceeded", "free some space there, or point TMPDIR at a larger disk"),
    ("error while loading shared libraries", "install the named library with the system's package manager"),
    ("could not look up effective user ID", "run as a user that /etc/passwd knows; initdb insists on it"),
    ("could not create shared memory segment", "raise the shared memory limits or lower shared_buffers"),
    ("unrecognized configuration parameter", "remove or correct the setting that the log names"),
    ("invalid value for parameter", "remove or correct the setting that the log names"),
    (
        "could not access file",
        "the library is not part of these PostgreSQL binaries; drop it from the settings",
    ),
    ("Operation not permitted", "root may not change users in this container; start pgcoach as another user"),
    ("Permission denied", "the file system may be mounted noexec or be closed to this user; set TMPDIR"),
    ("No such file or directory", "reinstall the PostgreSQL binaries; a part of them is missing"),
)
_TAIL_LINES = 12


class ScratchError(RuntimeError):
    """A scratch server could not be started. The message ends with what to do, where that is known."""


def explained(what: str, where: str, log: str) -> str:
    """One message of what happened, the end of what was said about it, and what to do about it."""
    tail = [line.rstrip() for line in log.splitlines() if line.strip()][-_TAIL_LINES:]
    parts = [f"{what} (in {where})"]
    if tail:
        parts.append("Details:\n" + "\n".join("  " + line for line in tail))
    text = what + log
    for sign, advice in _ADVICE:
        if sign in text:
            parts.append(f"What to do: {advice}.")
            break
    return "\n".join(parts)
