"""Which database advice is proved on, when the person does not say, or says it in one of many ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.dsn import Dsn, parse_dsn
from workload.store import Store


class TargetError(Exception):
    """No target is known; the message says how to name one."""


def resolve_target(given: str | None, environment: Mapping[str, str], store: Store) -> Dsn:
    """What was given; else the upstream that the proxy noted; else DATABASE_URL; else the PG* variables.

    The noted upstream comes before the environment because the application's DATABASE_URL usually points
    at the proxy by now. It is noted without its password, which PGPASSWORD or the password file then gives.
    Where its database saw no traffic (one proxy serves all databases of a server), the database with the
    most time is taken. Raises TargetError, DsnError, StoreError.
    """
    if given:
        return parse_dsn(given, environment)
    upstream = store.meta("upstream")
    if upstream:
        return _busiest(parse_dsn(upstream, environment), store)
    if environment.get("DATABASE_URL"):
        return parse_dsn(environment["DATABASE_URL"], environment)
    if any(environment.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")):
        return parse_dsn("", environment)
    raise TargetError(
        "no database to prove advice on: name one with --target URL (the server behind the proxy, not the "
        "proxy), or set DATABASE_URL or the PG* variables"
    )


def _busiest(dsn: Dsn, store: Store) -> Dsn:
    if store.queries(limit=1, database=dsn.database):
        return dsn
    top = store.queries(limit=1)
    return replace(dsn, database=top[0].database) if top else dsn
