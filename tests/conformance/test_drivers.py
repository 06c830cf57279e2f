"""Real drivers do the same work straight and through the proxy, alone and side by side, unchanged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from advisor.scratch import find_binaries
from tests.conformance import with_asyncpg, with_psycopg, with_psycopg2, with_sqlalchemy
from tests.conformance.place import Place

HERE = Path(__file__).parent
SIDE_BY_SIDE = 3

Work = Callable[[Place], list[Any]]


def assert_same(work: Work, straight: Place, through: Callable[[], Place], at_least: int) -> None:
    """Also once more by several sessions at the same time, each in a database of its own."""
    expected = work(straight)
    assert len(expected) >= at_least, "the script did less than it should"
    places = [through() for _ in range(SIDE_BY_SIDE)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for seen in pool.map(work, places):
            assert seen == expected


def run(command: list[str], cwd: Path, **environment: str) -> tuple[str, str]:
    """What it wrote on standard output and on standard error."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode("utf-8", "backslashreplace")


def psql(program: Path, script: Path) -> Work:
    def work(place: Place) -> list[Any]:
        command = [str(program), "-X", "-e", "-d", place.dsn, "-f", str(script)]
        text = "".join(run(command, HERE, PGCLIENTENCODING="UTF8"))
        # Of what psql says only the process that sent a notification differs.
        return re.sub(r"process with PID \d+", "process with PID n", text).splitlines()

    return work


def test_psycopg(straight: Place, through: Callable[[], Place]) -> None:
    assert_same(with_psycopg.work, straight, through, 60)


def test_psycopg2(straight: Place, through: Callable[[], Place]) -> None:
    assert_same(with_psycopg2.work, straight, through, 14)


def test_asyncpg(straight: Place, through: Callable[[], Place]) -> None:
    assert_same(with_asyncpg.work, straight, through, 17)


def test_sqlalchemy(straight: Place, through: Callable[[], Place]) -> None:
    assert_same(with_sqlalchemy.work, straight, through, 8)


def test_django(straight: Place, through: Callable[[], Place]) -> None:
    def work(place: Place) -> list[Any]:
        module = "tests.conformance.with_django"
        command = [sys.executable, "-m", module, place.host, str(place.port), place.database]
        seen: list[Any] = json.loads(run(command, HERE.parents[1])[0])
        return seen

    assert_same(work, straight, through, 10)


def test_node_postgres(straight: Place, through: Callable[[], Place], node_modules: Path) -> None:
    # Node looks for packages beside the script, not in the working directory.
    script = Path(shutil.copy(HERE / "with_node.mjs", node_modules))

    def work(place: Place) -> list[Any]:
        command = ["node", str(script), place.host, str(place.port), place.database]
        seen: list[Any] = json.loads(run(command, node_modules)[0])
        return seen

    assert_same(work, straight, through, 19)


@pytest.mark.parametrize("script", ["with_psql.sql", "with_psql18.sql"])
def test_psql_18(straight: Place, through: Callable[[], Place], script: str) -> None:
    assert_same(psql(find_binaries(18).program("psql"), HERE / script), straight, through, 30)


def test_psql_of_the_system(straight: Place, through: Callable[[], Place]) -> None:
    program = shutil.which("psql")
    if program is None:
        pytest.skip("needs psql: apt-get install postgresql-client")
    assert_same(psql(Path(program), HERE / "with_psql.sql"), straight, through, 2000)
