"""What a statement is seen to do with its tables, through every way of naming a column."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pglast import parse_sql

from advisor.catalog import Catalog, Relation, TableColumn
from advisor.model import IndexKey
from advisor.propose.access import Access, MissingRelationError, read_accesses


def relation(oid: int, name: str, *columns: str, schema: str = "public") -> Relation:
    return Relation(
        oid=oid,
        schema=schema,
        name=name,
        kind="r",
        rows=100_000,
        pages=1_000,
        bytes=8_192_000,
        readable=True,
        has_statistics=True,
        columns={c: TableColumn(c, "integer", True, -1.0, 0.0, 4, 0.0) for c in columns},
        indexes=(),
    )


RELATIONS = [
    relation(1, "orders", "id", "customer_id", "status", "total", "created_at", "paid"),
    relation(2, "customers", "id", "email", "country"),
    relation(3, "lines", "order_id", "product_id", "quantity"),
    relation(4, "orders", "id", "code", schema="archive"),
    replace(
        relation(5, "open_orders", "number", "state"),
        kind="v",
        definition=" SELECT o.id,\n    o.status\n   FROM orders o\n  WHERE o.paid;",
    ),
    replace(relation(6, "hidden", "number", "status"), kind="v"),
]
CATALOG = Catalog(
    database="shop",
    version="18.0",
    version_num=180000,
    user="app",
    superuser=False,
    in_recovery=False,
    search_path=("pg_catalog", "public"),
    relations={(r.schema, r.name): r for r in RELATIONS},
    extensions={},
    available_extensions=frozenset(),
)


def read(text: str) -> list[Access]:
    return read_accesses(parse_sql(text)[0].stmt, CATALOG)


def one(text: str, table: str = "orders") -> Access:
    [access] = [access for access in read(text) if access.relation.name == table]
    return access


@pytest.mark.parametrize(
    ("where", "equality", "ranges"),
    [
        ("status = $1", ("status",), ()),
        ("$1 = status", ("status",), ()),
        ("status = $1::text AND total > $2", ("status",), ("total",)),
        ("total BETWEEN $1 AND $2", (), ("total",)),
        ("$1 < total", (), ("total",)),
        ("status IN ($1, $2)", ("status",), ()),
        ("status NOT IN ($1, $2)", (), ()),
        ("status <> $1", (), ()),
        ("customer_id = ANY($1)", ("customer_id",), ()),
        ("customer_id <> ALL($1)", (), ()),
        ("paid", ("paid",), ()),
        ("NOT paid", ("paid",), ()),
        ("paid IS TRUE", ("paid",), ()),
        ("status IS NULL", ("status",), ()),
        ("status IS NOT NULL", (), ()),
        ("lower(status) = $1", (), ()),
        ("status::text = $1", (), ()),
        ("id = total", (), ()),
        ("total = $1 OR total = $2", ("total",), ()),
        ("(status, customer_id) = ($1, $2)", ("customer_id", "status"), ()),
        ("(status, customer_id) IN (($1, $2), ($3, $4))", ("customer_id", "status"), ()),
        ("created_at > now() - $1::interval", (), ("created_at",)),
        ("created_at = (SELECT max(email) FROM customers)", ("created_at",), ()),
        ("status = $1 AND (total > $2 AND paid)", ("paid", "status"), ("total",)),
        ("NOT (status = $1)", (), ()),
    ],
)
def test_predicates(where: str, equality: tuple[str, ...], ranges: tuple[str, ...]) -> None:
    access = one(f"SELECT * FROM orders WHERE {where}")
    assert (access.equality, access.ranges) == (equality, ranges)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders o WHERE o.status = $1",
        "SELECT * FROM orders WHERE orders.status = $1",
        "SELECT * FROM public.orders WHERE public.orders.status = $1",
        "SELECT * FROM customers c, orders WHERE status = $1",
        "SELECT * FROM (SELECT * FROM orders) x WHERE x.status = $1",
        "SELECT * FROM (SELECT status AS s FROM orders) x WHERE s = $1",
        "SELECT * FROM (SELECT id, status FROM orders) x(a, b) WHERE b = $1",
        "WITH x AS (SELECT id, status FROM orders) SELECT * FROM x WHERE status = $1",
        "WITH x(a, b) AS (SELECT id, status FROM orders) SELECT * FROM x WHERE b = $1",
        "WITH x AS (SELECT * FROM orders), y AS (SELECT * FROM x) SELECT * FROM y WHERE status = $1",
        "SELECT * FROM orders AS o(i, c, s) WHERE s = $1",
        "SELECT 1 FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE status = $1)",
        "SELECT (SELECT count(*) FROM orders WHERE status = $1) FROM customers",
        "SELECT 1 UNION ALL SELECT id FROM orders WHERE status = $1",
        "SELECT * FROM (SELECT id FROM customers UNION ALL SELECT status FROM orders) u(s) WHERE s = $1",
        "UPDATE orders SET total = $2 WHERE status = $1",
        "UPDATE customers SET email = $2 FROM orders WHERE orders.status = $1",
        "DELETE FROM orders WHERE status = $1",
        "DELETE FROM customers USING orders o WHERE o.status = $1",
        "INSERT INTO customers (id) SELECT id FROM orders WHERE status = $1",
        "WITH d AS (DELETE FROM orders WHERE status = $1 RETURNING *) SELECT * FROM d",
        "SELECT * FROM generate_series(1, 3) g, orders WHERE orders.status = $1",
        "SELECT * FROM customers c LEFT JOIN LATERAL (SELECT * FROM orders WHERE status = $1) o ON true",
        "SELECT * FROM orders TABLESAMPLE bernoulli(1) WHERE status = $1",
        "SELECT id, count(*) FROM orders GROUP BY id, status HAVING status = $1",
    ],
)
def test_a_column_is_bound_through_every_way_of_naming_it(text: str) -> None:
    assert one(text).equality == ("status",)


def test_an_inner_name_hides_the_outer_one() -> None:
    text = "SELECT * FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE id = $1)"
    assert one(text).equality == ("id",)
    assert one(text, "customers").equality == ()


def test_a_cte_hides_a_table_of_its_name() -> None:
    [access] = read(
        "WITH orders AS (SELECT id AS status FROM customers) SELECT * FROM orders WHERE status = $1"
    )
    assert (access.relation.name, access.equality) == ("customers", ("id",))


def test_schemas_tell_tables_apart() -> None:
    access = one("SELECT * FROM archive.orders WHERE code = $1")
    assert (access.relation.schema, access.equality) == ("archive", ("code",))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders o JOIN customers c ON o.customer_id = c.id",
        "SELECT * FROM orders o, customers c WHERE c.id = o.customer_id",
        "SELECT * FROM orders o WHERE customer_id IN (SELECT id FROM customers)",
        "SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
        "SELECT * FROM customers c, LATERAL (SELECT * FROM orders WHERE customer_id = c.id) o",
        "MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED THEN DELETE",
        "UPDATE orders SET total = 1 FROM customers c WHERE customer_id = c.id",
        "SELECT (SELECT email FROM customers WHERE customers.id = orders.customer_id) FROM orders",
    ],
)
def test_joins_both_ways(text: str) -> None:
    assert one(text).joins == (("customer_id",),)
    assert one(text, "customers").joins == (("id",),)


def test_using_and_natural_joins() -> None:
    for text in (
        "SELECT * FROM orders JOIN archive.orders a USING (id)",
        "SELECT * FROM orders NATURAL JOIN archive.orders a",
    ):
        assert [access.joins for access in read(text)] == [(("id",),), (("id",),)]


def test_a_self_join_has_two_references() -> None:
    accesses = read("SELECT * FROM orders a JOIN orders b ON a.id = b.customer_id WHERE b.status = $1")
    assert [(a.joins, a.equality) for a in accesses] == [((("id",),), ()), ((("customer_id",),), ("status",))]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT * FROM orders ORDER BY created_at, id", ("created_at", "id")),
        ("SELECT created_at AS c FROM orders ORDER BY c", ("created_at",)),
        ("SELECT id, created_at FROM orders ORDER BY 2", ("created_at",)),
        ("SELECT status, count(*) FROM orders GROUP BY status, paid", ("status", "paid")),
        ("SELECT DISTINCT ON (status) * FROM orders", ("status",)),
        ("SELECT max(created_at) FROM orders", ("created_at",)),
        ("SELECT * FROM orders WHERE (created_at, id) > ($1, $2)", ("created_at", "id")),
        ("SELECT * FROM orders ORDER BY created_at, lower(status)", ("created_at",)),
        ("SELECT * FROM orders ORDER BY lower(status), created_at", ()),
        ("SELECT * FROM orders o JOIN customers c ON true ORDER BY o.id, c.id", ("id",)),
        ("SELECT * FROM orders ORDER BY 9", ()),
    ],
)
def test_orders(text: str, columns: tuple[str, ...]) -> None:
    assert tuple(key.column for key in one(text).order) == columns


def test_directions_and_nulls() -> None:
    text = "SELECT * FROM orders ORDER BY id DESC, total NULLS FIRST, status DESC NULLS LAST, paid NULLS LAST"
    assert one(text).order == (
        IndexKey(column="id", descending=True),
        IndexKey(column="total", nulls_first=True),
        IndexKey(column="status", descending=True, nulls_first=False),
        IndexKey(column="paid"),
    )


def test_or_over_several_columns_has_arms() -> None:
    access = one("SELECT * FROM orders WHERE paid AND (status = $1 OR (customer_id = $2 AND total > $3))")
    assert access.equality == ("paid",)
    assert access.arms == (("customer_id", "total"), ("status",))


@pytest.mark.parametrize(
    "other", ["lower(status) = $2", "customers.email = $2", "EXISTS (SELECT FROM lines)"]
)
def test_or_with_an_arm_that_no_index_serves_has_none(other: str) -> None:
    access = one(f"SELECT * FROM orders, customers WHERE orders.customer_id = $1 OR {other}")
    assert (access.equality, access.arms) == ((), ())


def test_what_all_arms_of_an_or_demand_holds_for_the_whole() -> None:
    text = """SELECT * FROM orders, customers c WHERE
              (orders.customer_id = c.id AND paid AND country = $1 AND total > $2)
              OR (c.email = $3 AND paid AND orders.customer_id = c.id)"""
    access = one(text)
    assert (access.equality, access.joins, access.ranges) == (("paid",), (("customer_id",),), ())


def test_recursive_queries_end() -> None:
    text = """WITH RECURSIVE t AS (SELECT id FROM orders WHERE customer_id = $1
              UNION ALL SELECT o.id FROM orders o JOIN t ON o.customer_id = t.id) SELECT * FROM t"""
    assert {access.equality for access in read(text)} >= {("customer_id",)}


def test_a_view_is_looked_through() -> None:
    access = one("SELECT * FROM open_orders v JOIN customers c ON c.id = v.number WHERE v.state = $1")
    assert (access.equality, access.joins) == (("paid", "status"), (("id",),))


def test_a_view_whose_query_is_not_known_stands_in_nobodys_way() -> None:
    assert one("SELECT * FROM orders, hidden h WHERE orders.status = $1").equality == ("status",)


def test_system_relations_are_opaque() -> None:
    assert read("SELECT * FROM pg_stat_activity WHERE pid = $1") == []
    assert read("SELECT * FROM information_schema.tables WHERE table_name = $1") == []


@pytest.mark.parametrize("name", ["gone", "nowhere.orders"])
def test_a_dropped_table_is_named(name: str) -> None:
    with pytest.raises(MissingRelationError, match=name):
        read(f"SELECT * FROM {name} WHERE id = $1")
