"""Running the detectors on units of work, with a catalog of the database as fresh as need be.

Catalogs are read from the server directly, off the path of writing, only when there is a unit to judge and
at most once a minute a database. A unit waits for the first catalog; when the server does not give one it is
judged without, and says less.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from proxy.dsn import Dsn
from workload.capture.known import KnownQuery, Origin
from workload.capture.messages import Unit
from workload.capture.pending import Pending
from workload.catalog import Catalog, load_catalog
from workload.detect.nplusone import detect
from workload.model import Finding
from workload.parameters import permutation

log = structlog.get_logger(__name__)

REFRESH: Final = 60.0
"""Seconds between two readings of one database's catalog."""


class Catalogs:
    """The catalogs of the databases that were needed."""

    def __init__(self, dsn: Dsn | None) -> None:
        self._dsn = dsn
        self._loaded: dict[str, Catalog] = {}
        self._asked: dict[str, float] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}

    def get(self, database: str, now: float) -> tuple[bool, Catalog | None]:
        """(whether it is the best there is for now, the catalog); starts a reading when it is due."""
        if self._dsn is None:
            return True, None
        if database not in self._loading and now - self._asked.get(database, -REFRESH) >= REFRESH:
            self._asked[database] = now
            self._loading[database] = asyncio.get_running_loop().create_task(
                self._load(self._dsn.with_database(database), database), name=f"catalog of {database}"
            )
        known = self._loaded.get(database)
        return known is not None or database not in self._loading, known

    async def close(self) -> None:
        for task in list(self._loading.values()):
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)

    async def finished(self, within: float) -> None:
        """Wait for the readings that run, at most so many seconds."""
        if self._loading:
            await asyncio.wait(set(self._loading.values()), timeout=within)

    async def _load(self, dsn: Dsn, database: str) -> None:
        try:
            self._loaded[database] = await load_catalog(dsn)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Whatever it was (no rights, no server, an unknown database): findings say less without it.
            log.warning("catalog not readable", database=database, error=f"{type(error).__name__}: {error}")
        finally:
            del self._loading[database]


def judge(units: list[tuple[Origin, Unit, Catalog | None]], pending: Pending) -> None:
    """Run the detectors; findings go to ``pending``. A unit that makes a detector fail is counted."""
    for origin, unit, catalog in units:
        try:
            for finding in detect(unit, origin.described(unit), catalog):
                pending.add_finding(_in_the_querys_order(finding, origin, unit))
        except Exception as error:
            pending.count("lost.units")
            log.warning("a detector failed on a unit", error=f"{type(error).__name__}: {error}")


def _in_the_querys_order(finding: Finding, origin: Origin, unit: Unit) -> Finding:
    """The finding with its sample calls in the order of the parameters of the query's text."""
    if not finding.sample_calls:
        return finding
    shapes: set[tuple[KnownQuery, str]] = set()
    for number in {step.statement for step in unit.steps}:
        query, shape = origin.statements.get(number, (None, ""))
        if query is not None and query.id == finding.query_id:
            shapes.add((query, shape))
    orders = {permutation(query.text, shape) for query, shape in shapes}
    order = orders.pop() if len(orders) == 1 else None
    if order is None or any(len(call) != len(order) for call in finding.sample_calls):
        return msgspec.structs.replace(finding, sample_calls=(), sample_oids=())
    oids = finding.sample_oids
    return msgspec.structs.replace(
        finding,
        sample_calls=tuple(tuple(call[position] for position in order) for call in finding.sample_calls),
        sample_oids=tuple(oids[position] for position in order) if len(oids) == len(order) else (),
    )
