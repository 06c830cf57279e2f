from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workload.detect.story import CUSTOMERS, ORDERS, Story, make_catalog
from workload.catalog import Catalog
from workload.detect.nplusone import detect
from workload.model import Column, Finding

IDS = [7, 1, 90, 33, 12, 58, 4, 61]
BY_CUSTOMER = "SELECT id, status FROM orders WHERE customer_id = $1"
BY_ID = 'SELECT "customers"."id", "customers"."name" FROM "customers" WHERE "customers"."id" = $1 LIMIT $2'


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [(found.cls, found.title) for found in findings]
    return findings[0]


def listed(story: Story, ids: list[int]) -> Story:
    """A listing of orders that brings the customers' ids."""
    story.run("SELECT * FROM orders WHERE status = $1", "open", rows=len(ids))
    return story.gives("customer_id", ids, table=ORDERS, attnum=2)


def test_children_of_each_row_by_foreign_key(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number, rows=3)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "high")
    assert found.title == "8 × orders by customer_id, one for each row of customers"
    assert found.child == Column(schema="public", table="orders", column="customer_id")
    assert found.parent == Column(schema="public", table="customers", column="id")
    assert found.parent_fingerprint == story.statements[1].fingerprint
    assert (found.units, found.calls) == (1, 8)
    assert found.evidence["provenance"] == "fk_to_parent"
    assert found.evidence["direction"] == "to-many"
    assert found.evidence["coverage"] == found.evidence["order"] == 1.0
    assert found.first_seen == 1_700_000_000.0
    assert found.last_seen > found.first_seen


def test_the_parent_of_each_row_to_one(story: Story, catalog: Catalog) -> None:
    listed(story, [5, 5, 9, 2, 9, 11, 3, 40])
    for number in [5, 9, 2, 11, 3, 40]:
        story.run(BY_ID, number, 21)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "high")
    assert found.evidence["direction"] == "to-one"
    assert found.evidence["orm"] == "django"
    assert found.parent == Column(schema="public", table="orders", column="customer_id")


def test_the_same_rows_again_by_their_own_key(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run("SELECT email FROM customers WHERE id = $1", number)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.confidence, found.evidence["provenance"]) == ("high", "same_column")


def test_a_loop_without_memory_asks_for_the_same_keys_again(story: Story, catalog: Catalog) -> None:
    keys = [5, 5, 9, 5, 9, 5, 3, 3, 5, 9]
    listed(story, keys)
    for number in keys:
        story.run(BY_ID, number, 21)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_with_repeats", "high")
    assert found.title.endswith("one for each row of orders, only 3 of them different")


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("SELECT count(*) FROM orders WHERE customer_id = $1", "count_or_exists_per_row"),
        ("SELECT coalesce(sum(id), 0) FROM orders WHERE customer_id = $1", "count_or_exists_per_row"),
        ('SELECT 1 AS "a" FROM "orders" WHERE "customer_id" = $1 LIMIT 1', "count_or_exists_per_row"),
        ("SELECT EXISTS (SELECT 1 FROM orders WHERE customer_id = $1)", "count_or_exists_per_row"),
        ("SELECT * FROM orders WHERE customer_id = $1 ORDER BY created DESC LIMIT 3", "top_k_per_row"),
        ("SELECT * FROM orders WHERE customer_id IN ($1)", "n_plus_one_read"),
        (
            "SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = $1",
            "n_plus_one_read",
        ),
        ("SELECT * FROM customers WHERE id = $1 ORDER BY id LIMIT 1", "n_plus_one_read"),
    ],
)
def test_the_shape_of_the_child_decides_the_class(
    story: Story, catalog: Catalog, text: str, cls: str
) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(text, number)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == (cls, "high")


def test_one_fingerprint_under_several_names_is_one_group(story: Story, catalog: Catalog) -> None:
    """psycopg prepares a statement at its sixth execution; SQLAlchemy on asyncpg numbers its own."""
    story.customers(IDS)
    for place, number in enumerate(IDS):
        story.run(BY_CUSTOMER, number, name="" if place < 5 else "_pg3_0")
    found = only(detect(story.unit(), story.statements, catalog))
    assert found.calls == 8


def test_without_a_catalog_order_and_values_must_do(story: Story) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    found = only(detect(story.unit(), story.statements, None))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "medium")
    assert found.parent == Column(table="customers", column="id")


def test_identity_does_not_depend_on_values_routes_or_oids(
    new_story: Callable[[], Story], catalog: Catalog
) -> None:
    found = []
    for application, offset in (("web", 0), ("job", 1000)):
        story = new_story()
        story.customers([number + offset for number in IDS])
        for number in IDS:
            story.run(BY_CUSTOMER, number + offset)
        found.append(only(detect(story.unit(application_name=application), story.statements, catalog)))
    without_catalog = only(detect(story.unit(), story.statements, None))
    assert found[0].id == found[1].id == without_catalog.id
    other = only(detect(story.unit(database="other"), story.statements, catalog))
    assert other.id != found[0].id


def test_values_in_any_order_are_no_loop(story: Story, catalog: Catalog) -> None:
    """Requests on one busy pooled connection: a listing, then whatever pages people open."""
    ids = list(range(10, 500, 7))
    story.customers(ids)
    shuffled = random.Random(4).sample(ids, 40)
    for number in shuffled:
        story.run(BY_CUSTOMER, number)
        for _ in range(number % 3):
            story.run("SELECT value FROM settings WHERE id = $1", number % 5)
    found = [f for f in detect(story.unit(), story.statements, catalog) if f.child.table == "orders"]
    assert only(found).cls == "repeated_query"
    assert only(found).confidence == "low"
    assert "for each row" not in only(found).title


def test_a_transaction_is_boundary_enough_for_any_order(story: Story, catalog: Catalog) -> None:
    story.begin()
    story.customers(IDS)
    for number in sorted(IDS):
        story.run(BY_CUSTOMER, number)
    story.commit()
    found = only(detect(story.unit(boundary="transaction"), story.statements, catalog))
    assert (found.confidence, found.evidence["boundary"]) == ("high", "transaction")


def test_a_foreign_key_in_a_transaction_without_parent_is_medium(story: Story, catalog: Catalog) -> None:
    story.begin()
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    story.commit()
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "medium")
    assert found.parent == Column()
    assert found.parent_fingerprint is None


def test_one_lookup_in_each_of_many_transactions_is_no_loop(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.begin()
        story.run(BY_CUSTOMER, number)
        story.commit()
    assert detect(story.unit(), story.statements, catalog) == []


def test_calls_are_told_for_one_of_several_requests_in_a_burst(story: Story, catalog: Catalog) -> None:
    for _ in range(4):
        story.begin()
        story.customers(IDS)
        for number in IDS:
            story.run(BY_CUSTOMER, number)
        story.commit()
    found = only(detect(story.unit(), story.statements, catalog))
    assert found.evidence["calls_per_unit"] == 8
    assert (found.units, found.calls) == (4, 32)
    assert found.confidence == "high"


def test_lookups_of_other_requests_do_not_hide_a_loop(story: Story, catalog: Catalog) -> None:
    """A pooled connection that never rests: pages with loops, and pages that look up one row."""
    for page in range(3):
        story.begin()
        listed(story, IDS)
        for number in IDS:
            story.run(BY_ID, number, 21)
        story.commit()
        story.begin().run(BY_ID, 5000 + page, 21).commit()
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "high")
    assert (found.units, found.calls) == (3, 24)
    assert (found.evidence["calls_per_unit"], found.evidence["distinct"]) == (8, 8)


def test_one_write_in_each_of_many_transactions_is_no_loop(story: Story, catalog: Catalog) -> None:
    for number in range(15):
        story.begin().run("INSERT INTO orders (customer_id) VALUES ($1)", number * 7).commit()
    unit = story.unit(part=2, prior_calls={2: 40})
    assert [found.cls for found in detect(unit, story.statements, catalog)] == []


def test_someone_who_opens_one_row_after_another_is_no_loop(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number, gap_us=3_000_000)
    assert detect(story.unit(), story.statements, catalog) == []


def test_coincidence_of_small_integers_is_not_enough(story: Story) -> None:
    story.run("SELECT id, name FROM customers", rows=30)
    story.gives("quantity", range(1, 31), dense=True)
    for number in [3, 1, 2, 5, 4, 7, 6, 9]:
        story.run("SELECT * FROM orders WHERE status = $1", number)
    assert only(detect(story.unit(), story.statements, None)).confidence == "low"


def test_columns_that_tell_little_never_count_alone(story: Story) -> None:
    days = [f"2024-01-0{day}" for day in range(1, 10)]
    story.run("SELECT day FROM reports", rows=9).gives("day", days, low_information=True)
    for day in days:
        story.run("SELECT * FROM orders WHERE created = $1", day)
    assert only(detect(story.unit(), story.statements, None)).confidence == "low"


def test_a_computed_column_is_linked_by_values(story: Story, catalog: Catalog) -> None:
    story.run("SELECT max(id) AS latest FROM orders GROUP BY customer_id", rows=8).gives("latest", IDS)
    for number in IDS:
        story.run("SELECT sku FROM order_lines WHERE order_id = $1", number)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.confidence, found.evidence["provenance"]) == ("medium", "values")


def test_two_parents_that_share_a_child(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    others = [number + 500 for number in IDS]
    story.run("SELECT customers.id FROM customers JOIN orders USING (id)", rows=8)
    story.gives("id", others, table=CUSTOMERS, attnum=1)
    for number in others:
        story.run(BY_CUSTOMER, number)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_read", "medium")


def test_the_head_of_a_large_result_is_covered_as_far_as_it_is_known(story: Story, catalog: Catalog) -> None:
    ids = list(range(0, 400, 4))
    story.run("SELECT id, blob FROM customers", rows=100)
    story.gives("id", ids[:20], table=CUSTOMERS, attnum=1, rows=100)
    for number in ids:
        story.run(BY_CUSTOMER, number)
    assert only(detect(story.unit(), story.statements, catalog)).confidence == "high"


def test_loops_in_loops_find_each_their_parent(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        orders = [number * 100 + offset for offset in (3, 17, 40)]
        story.run(BY_CUSTOMER, number, rows=3).gives("id", orders, table=ORDERS, attnum=1)
        for order in orders:
            story.run("SELECT sku FROM order_lines WHERE order_id = $1", order)
    found = detect(story.unit(), story.statements, catalog)
    assert [(f.child.table, f.parent.table, f.calls, f.confidence) for f in found] == [
        ("orders", "customers", 8, "high"),
        ("order_lines", "orders", 24, "high"),
    ]


def test_statements_of_one_loops_body_share_its_parent(story: Story, catalog: Catalog) -> None:
    listed(story, IDS)
    for number in IDS:
        story.run(BY_ID, number, 21)
        story.run("SELECT value FROM settings WHERE id = $1", number * 31 % 1000)
    first, second = detect(story.unit(), story.statements, catalog)
    assert (first.confidence, second.confidence) == ("high", "medium")
    assert second.cls == "n_plus_one_read"
    assert second.parent == first.parent
    assert first.evidence["interleaved_with"] == [second.fingerprint]


def test_writes_row_by_row_in_one_transaction(story: Story, catalog: Catalog) -> None:
    story.begin()
    for number in range(12):
        story.run("INSERT INTO orders (customer_id, status) VALUES ($1, $2)", number * 7, "new")
    story.commit()
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("n_plus_one_write", "medium")
    assert found.title == "12 × INSERT into orders, row by row in one transaction"


def test_nine_writes_are_not_enough(story: Story, catalog: Catalog) -> None:
    story.begin()
    for number in range(9):
        story.run("UPDATE orders SET status = $1 WHERE id = $2", "x", number * 7)
    story.commit()
    assert detect(story.unit(), story.statements, catalog) == []


def test_identical_reads_with_identical_rows(story: Story, catalog: Catalog) -> None:
    story.begin()
    for place in range(4):
        story.run("SELECT value FROM settings WHERE id = $1", 1, result=0 if place == 0 else 99)
    story.commit()
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("duplicate_read", "high")
    assert found.title == "4 × the same read of settings, with the same rows each time"


def test_identical_reads_with_other_rows_are_polling(story: Story, catalog: Catalog) -> None:
    story.begin()
    for place in range(6):
        story.run("SELECT value FROM settings WHERE id = $1", 1, result=place)
    story.commit()
    assert detect(story.unit(), story.statements, catalog) == []


def test_identical_reads_of_a_burst_stay_low(story: Story, catalog: Catalog) -> None:
    for _ in range(4):
        story.run("SELECT value FROM settings WHERE id = $1", 1, result=99)
    found = only(detect(story.unit(), story.statements, catalog))
    assert (found.cls, found.confidence) == ("duplicate_read", "low")


def test_wasted_time_is_what_a_batch_would_save(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number, rows=1 + number % 2, took_us=1000 + 10 * (1 + number % 2))
    found = only(detect(story.unit(), story.statements, catalog))
    spent = sum(1 + 0.01 * (1 + number % 2) for number in IDS)
    assert found.evidence["spent_ms"] == pytest.approx(spent)
    # One fixed part of 1.01 ms and 12 rows at 0.01 ms.
    assert found.evidence["batch_estimate_ms"] == pytest.approx(1.01 + 0.01 * 12)
    assert found.wasted_ms == pytest.approx(spent - 1.13)


def test_dropped_steps_count_as_calls(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    found = only(detect(story.unit(overflow={2: (92, 27_600)}), story.statements, catalog))
    assert (found.calls, found.evidence["calls_per_unit"]) == (100, 100)
    assert found.evidence["spent_ms"] == pytest.approx(8 * 0.3 + 27.6)
    assert found.evidence["severity"] == "critical"


def test_a_later_part_adds_its_calls_but_no_unit(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS[5:]:
        story.run(BY_CUSTOMER, number)
    unit = story.unit(part=1, carried=1, prior_calls={1: 1, 2: 5})
    found = only(detect(unit, story.statements, catalog))
    assert (found.units, found.calls, found.evidence["calls_per_unit"]) == (0, 3, 8)


def test_samples_come_with_their_types(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    calls = tuple((str(number),) for number in IDS)
    found = only(detect(story.unit(calls={2: calls}, call_oids={2: (23,)}), story.statements, catalog))
    assert (found.sample_calls, found.sample_oids) == (calls, (23,))


def test_unknown_statements_are_passed_over(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    assert detect(story.unit(overflow={77: (5, 5)}, prior_calls={78: 1}), {}, catalog) == []


@given(st.lists(st.integers(1, 10**6), min_size=5, max_size=60, unique=True), st.integers(0, 3))
def test_every_loop_over_a_listing_is_found(ids: list[int], others: int) -> None:
    """Whatever the keys and whatever else the body of the loop does."""
    story = Story()
    story.customers(ids)
    for number in ids:
        story.run(BY_CUSTOMER, number)
        for extra in range(others):
            story.run("SELECT value FROM settings WHERE id " + "=<>"[extra] + " 1")
    findings = detect(story.unit(), story.statements, make_catalog())
    found = [finding for finding in findings if finding.child.table == "orders"]
    assert only(found).confidence == "high"
    assert only(found).calls == len(ids)


TEXTS = [
    BY_CUSTOMER,
    BY_ID,
    "SELECT count(*) FROM orders WHERE customer_id = $1",
    "INSERT INTO orders (customer_id) VALUES ($1)",
    "SELECT * FROM a, b WHERE c = $1",
    "BEGIN",
    "CREATE TABLE x (a int)",
    "what is this $1",
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(TEXTS),
            st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=2),
            st.integers(0, 2),
            st.sampled_from([-1, 0, 500, 5_000_000]),
            st.sampled_from([-1, 0, 300]),
            st.integers(0, 2),
            st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=4),
        ),
        min_size=1,
        max_size=60,
    ),
    st.data(),
)
def test_no_unit_makes_it_raise(
    steps: list[tuple[str, list[int], int, int, int, int, list[int]]], data: st.DataObject
) -> None:
    """Whatever a worker may send, with and without a catalog; later parts and dropped steps included."""
    story = Story()
    for text, keys, length, gap, took, transaction, values in steps:
        story.transaction = transaction
        story.run(text, *keys, rows=len(values), gap_us=gap, took_us=took, list_length=length)
        if values:
            story.gives("v", values, table=data.draw(st.sampled_from([0, CUSTOMERS, ORDERS])), attnum=1)
    unit = story.unit(
        part=data.draw(st.integers(0, 2)),
        carried=data.draw(st.integers(0, len(steps))),
        overflow=data.draw(
            st.dictionaries(st.integers(1, 9), st.tuples(st.integers(1, 9), st.integers(0, 99)))
        ),
        prior_calls=data.draw(st.dictionaries(st.integers(1, 9), st.integers(1, 9))),
    )
    for catalog in (None, make_catalog()):
        for found in detect(unit, story.statements, catalog):
            assert found.wasted_ms >= 0
            assert found.calls > 0
            assert found.title
