"""The command line as a process: what it imports, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


HEAVY = (
    "textual",
    "pglast",
    "sqlalchemy",
    "alembic",
    "sklearn",
    "anthropic",
    "asyncpg",
    "psycopg",
    "sqlglot",
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["up", "--help"]], ids=" ".join)
def test_help_and_up_load_nothing_heavy(arguments: list[str]) -> None:
    done = python(
        "import sys\n"
        "from tui.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "finally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_reading_commands_need_no_screens(store_path: Path) -> None:
    done = python(
        "import sys\n"
        "from tui.cli import main\n"
        "try:\n"
        f"    main(['queries', '--store', {str(store_path)!r}])\n"
        "finally:\n"
        "    print('textual' in sys.modules, file=sys.stderr)\n"
    )
    assert done.stderr.strip() == "False"


def test_nobody_reading_is_no_error(store_path: Path) -> None:
    """`pgcoach queries | head` closes the pipe early."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tui", "queries", "--json", "--store", str(store_path)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_command_shows_the_help() -> None:
    done = python("from tui.cli import main; main([])")
    assert done.returncode == 0
    assert "Usage: pgcoach" in done.stdout


def test_an_unknown_command_is_usage() -> None:
    done = python("from tui.cli import main; main(['quereis'])")
    assert done.returncode == 2
    assert "quereis" in done.stderr
    assert done.stdout == ""


def test_no_colour_where_none_is_wanted(store_path: Path) -> None:
    done = python(
        f"from tui.cli import main; main(['queries', '--store', {str(store_path)!r}])", NO_COLOR="1"
    )
    assert "\x1b" not in done.stdout
