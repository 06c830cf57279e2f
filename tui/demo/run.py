"""The demo from the first process to the last, as a sequence of steps that print what they did."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from rich.console import Console

from advisor.advise import AdviseReport, advise, load_advice
from advisor.migrations.export import export
from advisor.model import Advice, BatchCandidate, IndexCandidate
from advisor.scratch import ScratchServer
from tui.demo import show
from tui.demo.measure import Run, changes, total
from tui.demo.processes import DemoError, application, proxy
from tui.format import counted
from workload.model import Finding, Query
from workload.store import Store
from workload.store.schema import FINE_SPAN

DATABASE = "shop"
ROLE = "shop"
PAGES = 120
_FLUSH_SECONDS = 15.0


def run_demo(output: Path | None = None, *, pages: int = PAGES, console: Console | None = None) -> int:
    """Run the demo; its files stay in ``output`` (default: a new folder in the user's state directory).

    Returns an exit code. Raises DemoError, ScratchError, StoreError, AdviseError with what to do.
    """
    console = console or Console()
    folder = _folder(output)
    started = time.monotonic()
    with ScratchServer.start() as server:
        console.print(f"[b]PostgreSQL {server.version}[/b], private, on a unix socket; gone afterwards.")
        _create_database(server)
        with _step(console, "Loading the shop") as say:
            rows = application(["load", "--dsn", server.url(DATABASE, ROLE)], say)
        console.print(f"  {rows}")

        store_path = folder / "pgcoach.db"
        sockets = server.directory / "proxy"
        sockets.mkdir(mode=0o700)
        listen = sockets / ".s.PGSQL.5432"
        with (
            proxy(server.url(DATABASE, ROLE), listen, store_path, folder / "proxy.log"),
            Store.open(store_path) as store,
        ):
            dsn = f"postgresql://{ROLE}@/{DATABASE}?host={sockets}&port=5432"
            runs: list[Run] = []
            before = _traffic(console, store, "as it is", dsn, pages, runs)
            show.queries(console, before)
            findings = store.findings()
            show.findings(console, findings)

            with _step(console, "Proving advice") as say:
                report = _advise(store, server, say)
            advice = [load_advice(record) for record in store.advice(["new"])]
            show.advice(console, advice, len(report.rejections))
            _check(findings, advice)

            files = _export(store, advice, folder / "migrations")
            show.files(console, files)
            _apply(console, server, [path for path in files if _is_up_script(path)])
            for item in advice:
                if isinstance(item.candidate, IndexCandidate):
                    store.set_advice_state(item.id, "applied", "by the demo")

            after = _traffic(console, store, "with the indexes", dsn, pages, runs)
            show.changes(console, changes(before, after))
            _traffic(
                console, store, "with the indexes and the batched statements", dsn, pages, runs, fixed=True
            )
            show.runs(console, runs)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s; the server and its data are gone.")
    console.print("Look at what was captured:\n")
    console.print(
        f"  pgcoach tui --store {shlex.quote(str(store_path))}", style="bold", soft_wrap=True, markup=False
    )
    return 0


def _folder(output: Path | None) -> Path:
    """A folder of this run's own: nothing of an earlier demo is overwritten."""
    if output is None:
        from platformdirs import user_state_path

        output = user_state_path("pgcoach") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if output.exists() and any(output.iterdir()):
        raise DemoError(f"{output} is not empty: name another folder with --output")
    output.mkdir(parents=True, exist_ok=True, mode=0o700)
    return output.absolute()


@contextmanager
def _step(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """Show that something goes on, and how long it took."""
    started = time.monotonic()
    with console.status(f"{title} …") as status:
        yield lambda text: status.update(f"{title} … {text}")
    console.print(f"[green]✓[/green] {title} ({time.monotonic() - started:.1f} s)")


def _create_database(server: ScratchServer) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


def _traffic(
    console: Console,
    store: Store,
    name: str,
    dsn: str,
    pages: int,
    runs: list[Run],
    *,
    fixed: bool = False,
) -> list[Query]:
    """Let the application open its pages through the proxy; what the store then says of that span."""
    _wait_for_new_bucket(runs)
    since = time.time()
    with _step(console, f"The application opens {2 * pages} pages, {name}"):
        opened = application(
            ["traffic", "--dsn", dsn, "--pages", str(pages), *(["--fixed"] if fixed else [])]
        )
    until = time.time()
    console.print(f"  {opened}")
    _wait_for_recorder(store, until)
    queries = store.queries(since=since, limit=10_000)
    runs.append(total(name, queries, since, until))
    return queries


def _wait_for_new_bucket(runs: Sequence[Run]) -> None:
    """Runs are told apart by the store's buckets of time, so each begins in one of its own."""
    if runs:
        free_from = (runs[-1].until // FINE_SPAN + 1) * FINE_SPAN
        time.sleep(max(0.0, free_from - time.time()))


def _wait_for_recorder(store: Store, until: float) -> None:
    deadline = time.monotonic() + _FLUSH_SECONDS
    while (store.last_write() or 0.0) < until + 1.0:
        if time.monotonic() > deadline:
            raise DemoError("the recorder did not write what it saw; see proxy.log beside the store")
        time.sleep(0.1)


def _advise(store: Store, server: ScratchServer, say: Callable[[str], None]) -> AdviseReport:
    return asyncio.run(advise(store, server.url(DATABASE), what_if="build", own_server=True, progress=say))


def _check(findings: Sequence[Finding], advice: Sequence[Advice]) -> None:
    """The demo is of no use when it shows nothing; better an error than an empty screen."""
    kinds = {type(item.candidate) for item in advice}
    missing = [
        name
        for name, there in (
            ("an N+1", any(finding.confidence != "low" for finding in findings)),
            ("an index", IndexCandidate in kinds),
            ("a batched statement", BatchCandidate in kinds),
        )
        if not there
    ]
    if missing:
        raise DemoError(f"the demo did not find {' and '.join(missing)}; please report this")


def _export(store: Store, advice: Sequence[Advice], folder: Path) -> list[Path]:
    for item in advice:
        store.set_advice_state(item.id, "accepted", "by the demo")
    result = export(advice, runner="psql", directory=folder, now=datetime.now(UTC))
    for item in advice:
        store.set_advice_state(item.id, "exported", str(folder))
    return list(result.written)


def _is_up_script(path: Path) -> bool:
    return path.suffix == ".sql" and not path.name.endswith(".down.sql")


def _apply(console: Console, server: ScratchServer, scripts: Sequence[Path]) -> None:
    psql = server.binaries.bindir / "psql"
    with _step(console, f"Applying {counted(len(scripts), 'migration')} with psql"):
        for script in scripts:
            done = subprocess.run(
                [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", script, server.dsn(DATABASE)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise DemoError(f"psql could not apply {script}: {done.stderr.strip()}")
