"""The files that libpq reads for a connection: ``pg_service.conf`` and ``.pgpass``."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from proxy.conninfo import KEYWORDS, DsnError


def home_directory(environ: Mapping[str, str]) -> Path:
    """``HOME`` or, without one, what the system knows of the user (``pqGetHomeDirectory``)."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path("/")


def read_service(name: str, explicit_file: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The options of a service: from the user's file (or the one named), else from the system's.

    Raises:
        DsnError: a file that cannot be read or understood, or no such service in any.
    """
    files = []
    if user_file := explicit_file or environ.get("PGSERVICEFILE", ""):
        files.append(Path(user_file))
    else:
        files.append(home_directory(environ) / ".pg_service.conf")
    files.append(Path(environ.get("PGSYSCONFDIR", "/etc/postgresql-common")) / "pg_service.conf")
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise DsnError(f"cannot read service file {file}: {reason}") from None
        options = _service_section(name, text, file)
        if options is not None:
            return options
    looked = " or ".join(str(file) for file in files)
    raise DsnError(f"no service [{name}] in {looked}")


def _service_section(name: str, text: str, file: Path) -> dict[str, str] | None:
    options: dict[str, str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if options is not None:
                break
            if line == f"[{name}]":
                options = {}
            continue
        if options is None:
            continue
        key, equals, value = line.partition("=")
        if not equals or key not in KEYWORDS or key in ("service", "servicefile"):
            raise DsnError(f"{file} line {number}: not a connection option")
        options.setdefault(key, value)
    return options


def password_from_file(file: Path, host: str, port: int, database: str, user: str) -> str | None:
    """First matching line of a password file; one that others may read is ignored, as libpq does.

    None where nothing matches, and for a file that is not there or not readable (``passwordFromFile`` in
    fe-connect.c).
    """
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
            return None
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = (host, str(port), database, user)
    for line in lines:
        if line.startswith("#"):
            continue
        fields = _pgpass_fields(line)
        if len(fields) >= 5 and all(
            pattern in ("*", want) for pattern, want in zip(fields[:4], wanted, strict=True)
        ):
            return fields[4] or None
    return None


def _pgpass_fields(line: str) -> list[str]:
    """Fields between colons; backslash makes the next character literal. A sixth one is a comment."""
    fields: list[str] = []
    current: list[str] = []
    i = 0
    while i < len(line):
        if line[i] == "\\" and i + 1 < len(line):
            i += 1
            current.append(line[i])
        elif line[i] == ":":
            fields.append("".join(current))
            current = []
        else:
            current.append(line[i])
        i += 1
    fields.append("".join(current))
    return fields
