"""The test suites of drivers, direct and through the proxy.

    pip download --no-binary :all: --no-deps asyncpg==0.32.0 pg8000==1.31.6 sqlalchemy==2.1.9
    python -m tests.conformance.suites asyncpg --sources asyncpg-0.32.0

The versions of the installed packages, whose tests these are. Each way runs against a fresh server; the
outcome of every test must be the same. One that differs runs again, alone, and when the ways come to an
ending in common it is named as unsteady. Exit code 1 when a test keeps to another ending. What fails both
ways is the suite's own business (no TLS, another locale, plugins that are not installed).
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import psycopg

from tests.conformance.place import Place
from tests.conformance.ways import WAYS, differences, fresh

FOLDERS = {"asyncpg": "tests", "pg8000": "test", "sqlalchemy": "test"}
"""Where a source package has its tests."""
AGAIN = 8
"""Times that a test which ended differently runs again."""
SELECTED = {
    "asyncpg": ["tests"],
    "pg8000": ["test"],
    "sqlalchemy": ["test/dialect/postgresql", "test/dialect/test_suite.py"],
}


def prepare(suite: str, place: Place) -> None:
    """What the suite's own instructions ask for in its database."""
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        if suite == "sqlalchemy":
            connection.execute("CREATE DATABASE test")
    if suite == "sqlalchemy":
        with psycopg.connect(place.dsn, dbname="test", autocommit=True) as connection:
            for statement in (
                "CREATE SCHEMA test_schema",
                "CREATE SCHEMA test_schema_2",
                "CREATE EXTENSION hstore",
                "CREATE EXTENSION citext",
            ):
                connection.execute(statement)


def run(suite: str, tests: list[str], place: Place, folder: Path) -> dict[str, str]:
    """The outcome of each test. Raises RuntimeError when the suite did not run."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    # pytest-asyncio would run asyncpg's own way of asynchronous tests a second time.
    command += ["-p", "no:asyncio", "--tb=no", "--maxfail=100000"]
    if suite == "sqlalchemy":
        url = f"postgresql+psycopg://{place.user}@{place.host}:{place.port}/test"
        command += ["-c", "setup.cfg", f"--dburi={url}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGHOST": place.host, "PGPORT": str(place.port), "PGUSER": place.user}
    done = subprocess.run(
        [*command, *tests], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if not report.exists():
        raise RuntimeError(f"{suite} ran nothing: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    """From pytest's JUnit report: ``passed``, or what became of the test instead."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        endings = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[f"{case.get('classname')}::{case.get('name')}"] = "+".join(endings) or "passed"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.suites", description=__doc__)
    parser.add_argument("suite", choices=sorted(FOLDERS))
    parser.add_argument("--sources", type=Path, required=True, help="the unpacked source package")
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--tests", nargs="+", help="instead of all that can use a server which is there")
    order = parser.parse_args()
    sides: list[dict[str, str]] = []
    for way in WAYS:
        started = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="pgcoach-") as name,
            fresh(way, order.major, {"max_prepared_transactions": "10"}) as place,
        ):
            folder = Path(name)
            unpack(order.suite, order.sources, folder)
            prepare(order.suite, place)
            sides.append(run(order.suite, order.tests or SELECTED[order.suite], place, folder))
        counts = dict(collections.Counter(sides[-1].values()))
        print(f"{way}: {counts} in {time.monotonic() - started:.0f} s", flush=True)
    different = differences(*sides)
    unsteady = steadied(order.suite, order.sources, order.major, different) if different else []
    different = [line for line in different if line.split(": ", 1)[0] not in unsteady]
    print(
        json.dumps(
            {"tests": len(sides[0]), "unsteady both ways": unsteady, "ended differently": different}, indent=1
        )
    )
    return 1 if different else 0


def unpack(suite: str, sources: Path, folder: Path) -> None:
    """The tests alone: the package beside them is not built, and would hide the installed one."""
    shutil.copytree(sources / FOLDERS[suite], folder / FOLDERS[suite])
    if suite == "sqlalchemy":
        # Its tests insist on the sources beside them, which are pure Python.
        shutil.copytree(sources / "lib", folder / "lib")
        for name in ("setup.cfg", "pyproject.toml"):
            shutil.copy(sources / name, folder)


def steadied(suite: str, sources: Path, major: int, different: list[str]) -> list[str]:
    """Of the tests that ended differently, those that do so by themselves: run again and again, they come
    to an ending in common."""
    names = [line.split(": ", 1)[0] for line in different]
    endings: dict[str, dict[str, set[str]]] = {way: collections.defaultdict(set) for way in WAYS}
    for way in WAYS:
        with (
            tempfile.TemporaryDirectory(prefix="pgcoach-") as name,
            fresh(way, major, {"max_prepared_transactions": "10"}) as place,
        ):
            folder = Path(name)
            unpack(suite, sources, folder)
            prepare(suite, place)
            for _ in range(AGAIN):
                for test, ending in run(suite, [node(folder, n) for n in names], place, folder).items():
                    endings[way][test].add(ending)
    return [name for name in names if endings["direct"][name] & endings["through"][name]]


def node(folder: Path, name: str) -> str:
    """JUnit's ``package.module.Class::test`` as pytest wants it."""
    classes, test = name.rsplit("::", 1)
    parts = classes.split(".")
    for length in range(len(parts), 0, -1):
        path = folder.joinpath(*parts[:length]).with_suffix(".py")
        if path.exists():
            return "::".join((str(path.relative_to(folder)), *parts[length:], test))
    raise RuntimeError(f"no file holds the test {name}")


if __name__ == "__main__":
    sys.exit(main())
