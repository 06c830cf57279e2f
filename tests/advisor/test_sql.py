"""Names and values as SQL text: the same answers as PostgreSQL's own quoting functions."""

from __future__ import annotations

import psycopg
import pytest

from advisor.model import IndexCandidate, IndexKey
from advisor.scratch import ScratchServer
from advisor.sql import (
    MAX_NAME,
    drop_index_ddl,
    index_ddl,
    index_name,
    qualified,
    quote_identifier,
    quote_literal,
)

NAMES = [
    "orders",
    "Orders",
    "order",
    "user",
    "a b",
    'a"b',
    "1a",
    "é",
    "_x1",
    "a-b",
    "a$b",
    "name",
    "char",
    "a;--",
]
VALUES = ["", "it's", "back\\slash", "a\nb", "'; DROP TABLE x; --", "\\'", "é"]


def keys(*columns: str) -> tuple[IndexKey, ...]:
    return tuple(IndexKey(column=column) for column in columns)


def test_quoting_means_the_same_to_the_server(pg18: ScratchServer) -> None:
    with psycopg.connect(pg18.dsn()) as connection:
        for name in NAMES:
            # The server reads our identifier and tells the name that it understood.
            cursor = connection.execute(f"SELECT 1 AS {quote_identifier(name)}".encode())
            assert cursor.description is not None
            assert cursor.description[0].name == name
        for setting in ("on", "off"):
            connection.execute(f"SET standard_conforming_strings = {setting}".encode())
            for value in VALUES:
                [read] = connection.execute(f"SELECT {quote_literal(value)}".encode()).fetchone() or [None]
                assert read == value


def test_plain_names_stay_readable() -> None:
    assert quote_identifier("customer_id") == "customer_id"
    assert quote_identifier("order") == '"order"'
    assert qualified("public", "Line Items") == 'public."Line Items"'
    assert qualified("", "orders") == "orders"


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_identifiers_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quote_identifier(name)


def test_nul_has_no_literal() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote_literal("a\0b")


def test_index_ddl_spells_out_every_field() -> None:
    candidate = IndexCandidate(
        schema="public",
        table="Orders",
        keys=(
            IndexKey(column="status"),
            IndexKey(column="at", descending=True),
            IndexKey(column="n", nulls_first=True),
            IndexKey(column="m", descending=True, nulls_first=True),
            IndexKey(column="k", descending=True, nulls_first=False),
        ),
        include=("total",),
        name="ix_x",
    )
    assert index_ddl(candidate) == (
        'CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_x ON public."Orders" USING btree '
        "(status, at DESC, n NULLS FIRST, m DESC, k DESC NULLS LAST) INCLUDE (total)"
    )
    assert index_ddl(candidate, concurrently=False, if_not_exists=False).startswith("CREATE INDEX ix_x ON")
    assert drop_index_ddl(candidate) == "DROP INDEX CONCURRENTLY IF EXISTS public.ix_x"
    assert drop_index_ddl(candidate, concurrently=False, if_exists=False) == "DROP INDEX public.ix_x"


def test_ddl_takes_no_foreign_method_and_no_empty_index() -> None:
    with pytest.raises(ValueError, match="method"):
        index_ddl(IndexCandidate(schema="s", table="t", keys=keys("a"), method="btree (a); DROP TABLE x; --"))
    with pytest.raises(ValueError, match="without any key"):
        index_ddl(IndexCandidate(schema="s", table="t", keys=()))


def test_index_names() -> None:
    assert index_name("orders", keys("status", "created_at")) == "ix_orders_status_created_at"
    long = index_name("order_positions", keys("product_id", "created_at"))
    assert len(long) == MAX_NAME
    assert long.startswith("ix_order_positions_prod")
    assert long != index_name("order_positions", keys("product_id", "updated_at"))
    assert index_name("orders", keys("a"), (), {"ix_orders_a"}).startswith("ix_orders_a_")
    assert len(index_name("日本語" * 10, keys("列")).encode()) <= 63


def test_a_name_that_had_to_change_tells_directions_apart() -> None:
    up = (IndexKey(column="status"), IndexKey(column="a_rather_long_column"))
    down = (IndexKey(column="status"), IndexKey(column="a_rather_long_column", descending=True))
    assert index_name("orders", up) != index_name("orders", down)
