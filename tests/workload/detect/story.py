"""Units of work written down as a story: which statement, with which keys, how many rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pglast

from workload.capture.hashes import value_hash
from workload.capture.messages import ResultColumn, Step, Unit
from workload.catalog import Catalog, CatalogColumn, ForeignKey, Table
from workload.detect.nplusone import Statement

KEY = b"k" * 16
CUSTOMERS, ORDERS, LINES, SETTINGS = 100, 200, 300, 400


def make_catalog() -> Catalog:
    def table(oid: int, name: str, columns: str, unique: tuple[int, ...] = (1,)) -> Table:
        made = tuple(
            CatalogColumn(attnum, column, 23, "integer", False)
            for attnum, column in enumerate(columns.split(), 1)
        )
        return Table(oid, "public", name, made, unique, (unique,))

    return Catalog.of(
        [
            table(CUSTOMERS, "customers", "id name email"),
            table(ORDERS, "orders", "id customer_id status created"),
            table(LINES, "order_lines", "order_id n sku", (1, 2)),
            table(SETTINGS, "settings", "id value"),
        ],
        [
            ForeignKey("o_c", ORDERS, (2,), CUSTOMERS, (1,)),
            ForeignKey("l_o", LINES, (1,), ORDERS, (1,)),
        ],
    )


@dataclass
class Story:
    """Collects steps; ``unit()`` makes the message a worker would send."""

    statements: dict[int, Statement] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    columns: list[ResultColumn] = field(default_factory=list)
    transaction: int = 0
    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def run(
        self,
        text: str,
        *keys: object,
        rows: int = 1,
        gap_us: int = 400,
        took_us: int = 300,
        list_length: int = 0,
        result: int = 0,
        name: str = "",
    ) -> Story:
        statement = self.ids.setdefault((text, name), len(self.ids) + 1)
        if statement not in self.statements:
            try:
                fingerprint = pglast.fingerprint(text)
            except pglast.Error:
                fingerprint = f"x{len(text):015x}"
            self.statements[statement] = Statement(statement * 10, fingerprint, text, "shop")
        params = tuple(value_hash(KEY, None if key is None else str(key).encode()) for key in keys)
        self.steps.append(
            Step(statement, params, list_length, rows, took_us, gap_us, self.transaction, result)
        )
        return self

    def gives(
        self,
        name: str,
        values: Sequence[object],
        *,
        table: int = 0,
        attnum: int = 0,
        dense: bool = False,
        low_information: bool = False,
        rows: int | None = None,
    ) -> Story:
        """The last step's result had this column."""
        hashes = tuple(value_hash(KEY, None if value is None else str(value).encode()) for value in values)
        self.columns.append(
            ResultColumn(
                len(self.steps) - 1,
                name,
                table,
                attnum,
                23,
                hashes,
                len(values) if rows is None else rows,
                dense,
                low_information,
            )
        )
        return self

    def begin(self) -> Story:
        self.transaction = max((step.transaction for step in self.steps), default=0) + 1
        return self.run("BEGIN", rows=0)

    def commit(self) -> Story:
        self.run("COMMIT", rows=0)
        self.transaction = 0
        return self

    def customers(self, ids: Sequence[int], **more: object) -> Story:
        self.run("SELECT id, name FROM customers WHERE name > $1", "a", rows=len(ids))
        return self.gives("id", ids, table=CUSTOMERS, attnum=1)

    def unit(self, **changes: object) -> Unit:
        fields: dict[str, object] = {
            "session": 1,
            "database": "shop",
            "user": "app",
            "application_name": "web",
            "boundary": "burst",
            "started_at": 1_700_000_000.0,
            "steps": tuple(self.steps),
            "dropped_steps": 0,
            "columns": tuple(self.columns),
            "calls": {},
            "call_oids": {},
            "statement_names": {},
            **changes,
        }
        return Unit(**fields)  # type: ignore[arg-type]
