"""The call that an ORM would need, named from tables, columns and the foreign key's direction."""

from __future__ import annotations

import pytest

from advisor.propose.orm import Relation, guess_relation, orm_fix
from workload.model import Column, Finding, FindingClass

CUSTOMER = Column(schema="public", table="customers", column="id")
ORDER = Column(schema="public", table="orders", column="customer_id")


def finding(parent: Column, child: Column, cls: FindingClass = "n_plus_one_read") -> Finding:
    return Finding(
        id="f",
        cls=cls,
        confidence="high",
        title="t",
        database="d",
        query_id=1,
        fingerprint="0",
        parent_query_id=None,
        parent_fingerprint=None,
        child=child,
        parent=parent,
        first_seen=0.0,
        last_seen=0.0,
        units=1,
        calls=1,
        wasted_ms=0.0,
        evidence={},
        sample_calls=(),
        sample_oids=(),
    )


@pytest.mark.parametrize(
    ("orm", "relation", "cls", "call"),
    [
        ("django", "to_one", "n_plus_one_read", 'Order.objects.select_related("customer")'),
        ("django", "to_many", "n_plus_one_read", 'Customer.objects.prefetch_related("orders")'),
        ("django", "to_many", "count_or_exists_per_row", 'Customer.objects.annotate(n=Count("orders"))'),
        ("django", "to_many", "top_k_per_row", 'Prefetch("orders", queryset=Order.objects'),
        ("sqlalchemy", "to_one", "n_plus_one_read", "select(Order).options(joinedload(Order.customer))"),
        ("sqlalchemy", "to_many", "n_plus_one_read", "selectinload(Customer.orders)"),
        ("sqlalchemy", "to_many", "count_or_exists_per_row", "group_by(Order.customer_id)"),
        ("activerecord", "to_many", "n_plus_one_read", "Customer.preload(:orders)"),
        ("sequelize", "to_many", "n_plus_one_read", "{ include: { model: Order, separate: true } }"),
        ("typeorm", "to_one", "n_plus_one_read", "repository.find({ relations: { customer: true } })"),
        ("knex", "to_many", "n_plus_one_read", 'Customer.query().withGraphFetched("orders")'),
        ("prisma", "to_many", "n_plus_one_read", "findMany({ include: { orders: true } })"),
        ("hibernate", "to_one", "n_plus_one_read", "join fetch p.customer"),
    ],
)
def test_calls(orm: str, relation: Relation, cls: FindingClass, call: str) -> None:
    parent, child = (ORDER, CUSTOMER) if relation == "to_one" else (CUSTOMER, ORDER)
    text = orm_fix(orm, finding(parent, child, cls), relation)
    assert call in text
    assert "guessed" in text


def test_an_unknown_orm_has_no_call() -> None:
    assert orm_fix("", finding(CUSTOMER, ORDER), "to_many") == ""


def test_unknown_tables_are_said_to_be_unknown() -> None:
    text = orm_fix("django", finding(Column(), Column()), "unknown")
    assert 'Parent.objects.prefetch_related("children")' in text
    assert "not known" in text


@pytest.mark.parametrize(
    ("parent", "child", "relation"),
    [
        (CUSTOMER, ORDER, "to_many"),
        (ORDER, CUSTOMER, "to_one"),
        (CUSTOMER, CUSTOMER, "same_row"),
        (Column(table="a", column="id"), Column(table="b", column="id"), "same_row"),
        (Column(table="node", column="parent_id"), Column(table="node", column="id"), "to_one"),
        (Column(table="a", column="email"), Column(table="b", column="email"), "unknown"),
        (Column(), ORDER, "unknown"),
    ],
)
def test_directions_from_names(parent: Column, child: Column, relation: Relation) -> None:
    assert guess_relation(parent, child) == relation


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("categories", "Category"),
        ("addresses", "Address"),
        ("boxes", "Box"),
        ("branches", "Branch"),
        ("order_items", "OrderItem"),
        ("OrderItem", "OrderItem"),
        ("status", "Status"),
        ("news", "News"),
        ("address", "Address"),
    ],
)
def test_class_names(table: str, name: str) -> None:
    child = Column(table=table, column="x_id")
    assert f"selectinload({name}." in orm_fix("sqlalchemy", finding(child, ORDER), "to_many")
