"""Findings in the store: one row a finding id, to which every further sighting is added."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from workload.model import Finding
from workload.store import schema
from workload.store.errors import StoreError

_RANK = {"low": 0, "medium": 1, "high": 2}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Finding).decode


def combined(known: Finding, new: Finding) -> Finding:
    """A finding that was seen again: amounts add up, the best confidence and the newest evidence stay."""
    newer = new if new.last_seen >= known.last_seen else known
    older = known if newer is new else new
    best = new if _RANK[new.confidence] >= _RANK[known.confidence] else known
    # The calls are replayed by proofs: the ones of the better sighting, as long as there are any.
    with_calls = newer if newer.sample_calls else older
    return msgspec.structs.replace(
        newer,
        confidence=best.confidence,
        title=best.title,
        child=best.child,
        parent=best.parent,
        parent_query_id=best.parent_query_id,
        parent_fingerprint=best.parent_fingerprint,
        first_seen=min(known.first_seen, new.first_seen),
        units=known.units + new.units,
        calls=known.calls + new.calls,
        wasted_ms=known.wasted_ms + new.wasted_ms,
        sample_calls=with_calls.sample_calls,
        sample_oids=with_calls.sample_oids,
    )


def merge_into(connection: Connection, finding: Finding) -> None:
    """Add the finding, or add it to what is known of it."""
    known = find(connection, finding.id)
    merged = finding if known is None else combined(known, finding)
    statement = insert(schema.finding).values(
        id=merged.id, database=merged.database, wasted_ms=merged.wasted_ms, document=_encode(merged)
    )
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"database": new.database, "wasted_ms": new.wasted_ms, "document": new.document},
        )
    )


def find(connection: Connection, id: str) -> Finding | None:
    """The finding; None when there is none. Raises StoreError when it is not readable."""
    document = connection.execute(select(schema.finding.c.document).where(schema.finding.c.id == id)).scalar()
    return None if document is None else _read(document)


def listed(connection: Connection, database: str | None) -> list[Finding]:
    """All findings, the most wasteful first. Raises StoreError when one is not readable."""
    table = schema.finding.c
    statement = select(table.document).order_by(table.wasted_ms.desc(), table.id)
    if database is not None:
        statement = statement.where(table.database == database)
    return [_read(document) for document in connection.execute(statement).scalars()]


def _read(document: bytes) -> Finding:
    try:
        return _decode(document)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"A finding in the store is not readable ({error}): another version of pgcoach wrote it. Upgrade "
            "pgcoach, or name another store with --store."
        ) from error
