"""``pgcoach up``: the proxy. Imports nothing that the screens, the parser or the advisor need."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from tui.cli.options import Store, store_location


def up(
    *,
    upstream: Annotated[
        str | None,
        Parameter(
            env_var="PGCOACH_UPSTREAM",
            help="The PostgreSQL to relay to: URL or libpq conninfo. Default: the PG* variables.",
        ),
    ] = None,
    listen: Annotated[
        str,
        Parameter(help="HOST:PORT (port 0 takes a free one), [IPv6]:PORT, or the path of a unix socket."),
    ] = "127.0.0.1:6432",
    store: Store = None,
    samples: Annotated[
        Literal["full", "masked", "none"],
        Parameter(help="What is kept of parameter values: all, types and keyed hashes, or nothing."),
    ] = "full",
    workers: Annotated[
        int,
        Parameter(help="Processes that relay; one serves many sessions.", validator=Number(gte=1)),
    ] = 1,
    max_connections: Annotated[
        int | None,
        Parameter(
            help="Sessions at the same time, over all workers. Default: no cap.", validator=Number(gte=1)
        ),
    ] = None,
    drain: Annotated[
        float,
        Parameter(help="Seconds that sessions may go on after the first Ctrl-C.", validator=Number(gte=0)),
    ] = 10.0,
    json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout when ready.")
    ] = False,
) -> int:
    """Relay traffic to PostgreSQL unchanged, and record what ran. Stop with Ctrl-C.

    Point the application at the address that is printed; user, password and database stay the same.
    """
    from tui.up import UpOptions, run

    return run(
        UpOptions(
            upstream=upstream,
            listen=listen,
            store=store_location(store),
            samples=samples,
            workers=workers,
            max_connections=max_connections,
            drain=drain,
            json=json,
        )
    )
