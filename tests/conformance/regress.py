"""PostgreSQL's own regression tests, direct and through the proxy.

    apt-get source postgresql-15        # or the release's tarball
    cc -fPIC -shared -I"$(pg_config --includedir-server)" -o regress.so regress.c   # in src/test/regress
    python -m tests.conformance.regress --sources postgresql-15.*/src/test/regress

Both ways run ``parallel_schedule`` with pg_regress against a fresh server. Tests may fail (another minor
version, another locale), but the same ones, and what psql printed must be the same to the byte. Files that
differ are named; a few hold what is never the same twice, which ``--twice`` shows: it runs direct twice
instead. Exit code 1 when a test ended differently.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conformance.place import Place
from tests.conformance.ways import WAYS, differences, fresh

DEBIAN = Path("/usr/lib/postgresql")
_RESULT = re.compile(r"^(?:test| {4,})\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", re.MULTILINE)


def outcomes(said: str) -> dict[str, str]:
    """What pg_regress says of each test."""
    return dict(_RESULT.findall(said))


def regress(place: Place, sources: Path, output: Path, major: int) -> tuple[dict[str, str], dict[str, bytes]]:
    """Outcomes and outputs of all tests. Raises RuntimeError when pg_regress did not run them."""
    # The server, which is another user, writes and reads there.
    results = output / "results"
    results.mkdir(parents=True)
    for folder in (output, results):
        folder.chmod(0o777)
    command = [
        *(str(DEBIAN / f"{major}/lib/pgxs/src/test/regress/pg_regress"), f"--inputdir={sources}"),
        *(f"--outputdir={output}", f"--schedule={sources / 'parallel_schedule'}", f"--dlpath={sources}"),
        *(f"--bindir={DEBIAN / str(major) / 'bin'}", "--max-concurrent-tests=20"),
        *(f"--host={place.host}", f"--port={place.port}", f"--user={place.user}"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=output, env=environment, check=False)
    found = outcomes(done.stdout)
    if not found:
        raise RuntimeError(f"pg_regress ran nothing: {done.stdout}{done.stderr}")
    return found, {path.stem: path.read_bytes() for path in results.glob("*.out")}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.regress", description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="src/test/regress, with regress.so built")
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("--keep", type=Path, help="an existing directory for what pg_regress wrote")
    parser.add_argument("--twice", action="store_true", help="direct and direct again")
    order = parser.parse_args()
    sides: list[tuple[dict[str, str], dict[str, bytes]]] = []
    for way in ("direct", "direct") if order.twice else WAYS:
        started = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="pgcoach-") as folder,
            fresh(way, order.major) as place,
        ):
            Path(folder).chmod(0o755)
            output = (order.keep.resolve() if order.keep else Path(folder)) / f"{len(sides)}-{way}"
            sides.append(regress(place, order.sources.resolve(), output, order.major))
        counts = collections.Counter(sides[-1][0].values())
        print(f"{way}: {dict(counts)} in {time.monotonic() - started:.0f} s", flush=True)
    (direct, printed), (through, printed_through) = sides
    different = differences(direct, through)
    print(
        json.dumps(
            {
                "tests": len(direct),
                "not ok direct": sorted(name for name, result in direct.items() if result != "ok"),
                "ended differently": different,
                "printed differently": sorted(
                    name
                    for name in printed.keys() | printed_through.keys()
                    if printed.get(name) != printed_through.get(name)
                ),
            },
            indent=1,
        )
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
