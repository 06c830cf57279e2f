"""Advice in the store: its document, its state with the history of it, and what was rejected and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from workload.model import AdviceRecord
from workload.store import schema
from workload.store.errors import StoreError

STATES = ("new", "accepted", "rejected", "snoozed", "exported", "applied", "verified", "regressed")


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an advice's state. Times are epoch seconds."""

    at: float
    state: str
    reason: str


_FIELDS = AdviceRecord.__struct_fields__


def _record(row: Any) -> AdviceRecord:
    return AdviceRecord(**{name: getattr(row, name) for name in _FIELDS})


def listed(connection: Connection, states: Iterable[str] | None) -> list[AdviceRecord]:
    """Advice in these states (None: all), the greatest benefit first."""
    table = schema.advice.c
    statement = select(schema.advice).order_by(table.benefit_ms.desc(), table.id)
    if states is not None:
        statement = statement.where(table.state.in_(list(states)))
    return [_record(row) for row in connection.execute(statement)]


def find(connection: Connection, id: str) -> AdviceRecord | None:
    row = connection.execute(select(schema.advice).where(schema.advice.c.id == id)).one_or_none()
    return None if row is None else _record(row)


def save(connection: Connection, record: AdviceRecord) -> None:
    """Add advice, or renew what it says. What a person decided about it stays."""
    known = find(connection, record.id)
    if known is None:
        connection.execute(insert(schema.advice), [msgspec.structs.asdict(record)])
        _remember(connection, record.id, record.created_at, record.state, record.reason)
        return
    changed = msgspec.structs.asdict(record) | {"created_at": known.created_at}
    if known.state != "new":
        changed |= {"state": known.state, "reason": known.reason}
    elif record.state != "new":
        _remember(connection, record.id, record.updated_at, record.state, record.reason)
    connection.execute(update(schema.advice).where(schema.advice.c.id == record.id), changed)


def set_state(connection: Connection, id: str, state: str, reason: str, at: float) -> AdviceRecord:
    """Change the state.

    Raises StoreError for an unknown advice or state.
    """
    if state not in STATES:
        raise StoreError(f"{state!r} is no state of an advice; states are {', '.join(STATES)}.")
    table = schema.advice.c
    values = {"state": state, "reason": reason, "updated_at": at}
    connection.execute(update(schema.advice).where(table.id == id), values)
    record = find(connection, id)
    if record is None:
        raise StoreError(f"There is no advice {id!r} in this store; `pgcoach advice` lists what there is.")
    _remember(connection, id, at, state, reason)
    return record


def history(connection: Connection, id: str) -> list[Transition]:
    """The states that an advice went through, oldest first."""
    table = schema.advice_transition.c
    rows = connection.execute(
        select(table.at, table.state, table.reason).where(table.advice_id == id).order_by(table.id)
    )
    return [Transition(at=row.at, state=row.state, reason=row.reason) for row in rows]


def _remember(connection: Connection, id: str, at: float, state: str, reason: str) -> None:
    connection.execute(
        insert(schema.advice_transition), [{"advice_id": id, "at": at, "state": state, "reason": reason}]
    )


def replace_rejections(connection: Connection, database: str, items: Sequence[tuple[str, str]]) -> None:
    """Make these (what, reason) the candidates of the database that did not become advice."""
    connection.execute(delete(schema.rejection).where(schema.rejection.c.database == database))
    if items:
        rows = [{"database": database, "what": what, "reason": reason} for what, reason in items]
        connection.execute(insert(schema.rejection), rows)


def rejections(connection: Connection) -> list[tuple[str, str, str]]:
    """(database, what, reason) of all candidates that did not become advice, in the order of saving."""
    table = schema.rejection.c
    rows = connection.execute(select(table.database, table.what, table.reason).order_by(table.id))
    return [(row.database, row.what, row.reason) for row in rows]
