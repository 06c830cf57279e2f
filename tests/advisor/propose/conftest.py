"""Table references to read statements against, without a server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from advisor.catalog import Relation, TableColumn
from advisor.propose.names import Binding, Source, TableRef

MakeSource = Callable[..., tuple[TableRef, Source]]


@pytest.fixture
def make_source() -> MakeSource:
    """Call it with a table's name and columns for a reference to it, and its item in FROM."""

    def make(
        name: str, *columns: str, alias: str = "", schema: str = "public", opaque: bool = False
    ) -> tuple[TableRef, Source]:
        ref = TableRef(
            Relation(
                oid=1,
                schema=schema,
                name=name,
                kind="r",
                rows=1_000,
                pages=10,
                bytes=81_920,
                readable=True,
                has_statistics=True,
                columns={c: TableColumn(c, "integer", True, -1.0, 0.0, 4, 0.0) for c in columns},
                indexes=(),
            )
        )
        bindings: dict[str, Binding] = {column: ((ref, column),) for column in columns}
        return ref, Source(alias or name, schema, bindings, opaque)

    return make
