"""What the catalog says about a statement."""

from __future__ import annotations

import psycopg
import pytest

from advisor.propose.child import ServerFacts
from advisor.propose.orm import Relation
from advisor.prove.statement_facts import foreign_key_direction, statement_facts
from workload.model import Column


async def facts_of(dsn: str, query: str, width: int = 1, oids: tuple[int, ...] = ()) -> ServerFacts:
    calls = tuple(tuple(str(row) for _ in range(width)) for row in range(2))
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await statement_facts(connection, query, calls, oids)


@pytest.mark.parametrize(
    ("condition", "oids", "name", "identity", "array"),
    [
        ("id = $1", (), "bigint", True, False),
        ("id = $1", (23,), "integer", True, False),
        ("total = $1", (), "numeric", False, False),
        ("mood = $1", (), "mood", True, False),
        ("id = ANY ($1)", (), "bigint[]", False, True),
        ("placed > $1", (1184,), "timestamp with time zone", False, False),
    ],
)
async def test_parameter_types(
    shop: str, condition: str, oids: tuple[int, ...], name: str, identity: bool, array: bool
) -> None:
    facts = await facts_of(shop, f"SELECT id FROM orders WHERE {condition}", oids=oids)
    (type_,) = facts.parameters
    assert (type_.name, type_.identity, type_.array) == (name, identity, array)


async def test_a_type_that_would_be_cut_keeps_its_internal_name(shop: str) -> None:
    facts = await facts_of(shop, "SELECT id FROM customer WHERE code = $1")
    assert facts.parameters[0].name == "bpchar"


async def test_numbers_that_are_not_used_do_not_matter(shop: str) -> None:
    facts = await facts_of(shop, "SELECT id FROM orders WHERE id = $3", width=3)
    assert [type_.name for type_ in facts.parameters] == ["text", "text", "bigint"]


async def test_aggregates_and_unique_columns(shop: str) -> None:
    facts = await facts_of(shop, "SELECT count(*), pg_catalog.max(id), lower('A') FROM orders WHERE id = $1")
    assert facts.aggregates == {"count", "max"}
    assert facts.unique_columns == {"id"}
    facts = await facts_of(shop, 'SELECT FROM public."Line Items" WHERE "order" = $1')
    assert facts.unique_columns == frozenset(), "half of a composite key is not unique"


@pytest.mark.parametrize(
    ("parent", "child", "direction"),
    [
        (("orders", "customer_id"), ("customer", "id"), "to_one"),
        (("customer", "id"), ("orders", "customer_id"), "to_many"),
        (("orders", "id"), ("Line Items", "order"), "to_many"),
        (("customer", "name"), ("orders", "status"), None),
        (("orders", "id"), ("gone", "x"), None),
        (("", ""), ("orders", "customer_id"), None),
    ],
)
async def test_direction_of_foreign_keys(
    shop: str, parent: tuple[str, str], child: tuple[str, str], direction: Relation | None
) -> None:
    async with await psycopg.AsyncConnection.connect(shop) as connection:
        found = await foreign_key_direction(
            connection,
            Column(schema="public", table=parent[0], column=parent[1]),
            Column(schema="public", table=child[0], column=child[1]),
        )
    assert found == direction
