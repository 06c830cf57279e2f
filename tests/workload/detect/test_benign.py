"""What must stay silent: repetition that is no loop over rows."""

from __future__ import annotations

import pytest

from tests.workload.detect.story import ORDERS, Story
from workload.catalog import Catalog
from workload.detect.benign import benign_reason
from workload.detect.groups import groups_of
from workload.detect.links import links_of, sources_of, targets_of
from workload.detect.nplusone import detect

IDS = [7, 1, 90, 33, 12, 58, 4, 61]
BY_CUSTOMER = "SELECT id, status FROM orders WHERE customer_id = $1"


def reason(story: Story, catalog: Catalog, text: str) -> str:
    """Why the group of ``text`` is left alone; nothing at all is found in the unit."""
    unit = story.unit()
    assert detect(unit, story.statements, catalog) == []
    group = next(group for group in groups_of(unit, story.statements) if group.statement.text == text)
    sources = sources_of(unit, story.statements, catalog)
    links = links_of(group, targets_of(group, catalog), sources, catalog) if group.calls else []
    return benign_reason(group, unit, links, story.statements)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SHOW server_version",
        "SET search_path = 'x'",
        "SELECT oid, typname FROM pg_type WHERE oid = $1",
        "SELECT * FROM information_schema.columns WHERE table_name = $1",
        "SELECT * FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid",
        "SAVEPOINT sp",
        "RELEASE SAVEPOINT sp",
        "SELECT set_config($1, $2, false)",
        "this is not SQL at all",
    ],
)
def test_health_checks_catalog_queries_and_savepoints(story: Story, catalog: Catalog, text: str) -> None:
    for number in range(12):
        story.run(text, number, result=5)
    assert reason(story, catalog, text) == "noise"


def test_lists_are_batches(story: Story, catalog: Catalog) -> None:
    story.customers(IDS * 150)
    text = "SELECT * FROM orders WHERE customer_id = ANY($1)"
    for chunk in range(6):
        story.run(text, f"chunk {chunk}", rows=500, list_length=500 if chunk < 5 else 1)
    assert reason(story, catalog, text) == "chunked_batch"


@pytest.mark.parametrize("rest", [", ($3, $4)", " /*, ... */"])
def test_insert_of_several_rows_is_a_batch(story: Story, catalog: Catalog, rest: str) -> None:
    text = "INSERT INTO orders (customer_id, status) VALUES ($1, $2)" + rest
    story.begin()
    for number in range(20):
        story.run(text, number, "a", number + 1, "b")
    story.commit()
    assert reason(story, catalog, text) == "chunked_batch"


def test_pipelined_executemany(story: Story, catalog: Catalog) -> None:
    text = "INSERT INTO orders (customer_id) VALUES ($1)"
    story.begin()
    for number in range(50):
        story.run(text, number, gap_us=400 if number == 0 else -1)
    story.commit()
    assert reason(story, catalog, text) == "pipelined"


def test_offset_pagination(story: Story, catalog: Catalog) -> None:
    text = "SELECT * FROM orders WHERE status = $1 ORDER BY id LIMIT $2 OFFSET $3"
    for page in range(10):
        story.run(text, "open", 50, page * 50, rows=50)
    assert reason(story, catalog, text) == "pagination"


def test_keyset_pagination(story: Story, catalog: Catalog) -> None:
    text = "SELECT id FROM orders WHERE id > $1 ORDER BY id LIMIT $2"
    for page in range(10):
        story.run(text, page * 50, 50, rows=50)
    assert reason(story, catalog, text) == "pagination"


def test_pages_that_begin_with_the_last_row_of_the_page_before(story: Story, catalog: Catalog) -> None:
    text = "SELECT id FROM orders WHERE after_cursor(id) = $1 LIMIT 3"
    last = 0
    for page in range(8):
        rows = [page * 100 + offset for offset in (3, 11, 40)]
        story.run(text, last, rows=3).gives("id", rows, table=ORDERS, attnum=1)
        last = rows[-1]
    assert reason(story, catalog, "SELECT id FROM orders WHERE after_cursor(id) = $1 LIMIT 3") != ""


def test_a_walk_down_a_tree(story: Story, catalog: Catalog) -> None:
    text = "SELECT id FROM orders WHERE customer_id = $1"
    story.begin()
    for node in range(1, 9):
        children = [node * 10, node * 10 + 1]
        key = node if node == 1 else (node // 2) * 10 + node % 2
        story.run(text, key, rows=2).gives("id", children, table=ORDERS, attnum=1)
    story.commit()
    assert reason(story, catalog, text) == "recursive_walk"


def test_queue_workers_skip_what_is_locked(story: Story, catalog: Catalog) -> None:
    text = "SELECT * FROM orders WHERE status = $1 LIMIT 1 FOR UPDATE SKIP LOCKED"
    for number in range(20):
        story.run(text, number)
    assert reason(story, catalog, text) == "queue_poll"


def test_polling_by_a_clock(story: Story, catalog: Catalog) -> None:
    text = "SELECT * FROM orders WHERE created > $1"
    for number in range(15):
        story.run(text, number, gap_us=1_000_000 + number * 1000)
    assert reason(story, catalog, text) == "queue_poll"


def test_migrations_work_row_by_row_beside_their_ddl(story: Story, catalog: Catalog) -> None:
    text = "UPDATE orders SET status = $1 WHERE id = $2"
    story.begin()
    story.run("ALTER TABLE orders ADD COLUMN state text")
    for number in range(30):
        story.run(text, "x", number)
    story.commit()
    assert reason(story, catalog, text) == "migration"


def test_one_call_a_unit(story: Story, catalog: Catalog) -> None:
    story.customers(IDS).run(BY_CUSTOMER, 7)
    assert reason(story, catalog, BY_CUSTOMER) == ""


def test_people_are_slow(story: Story, catalog: Catalog) -> None:
    """Someone at a prompt asks for one customer's orders after another, every few seconds or minutes."""
    for number in range(12):
        story.run(BY_CUSTOMER, number, gap_us=2_000_000 + number * number * 1_000_000)
    assert reason(story, catalog, BY_CUSTOMER) == ""


def test_rows_that_show_their_own_key_are_no_tree(story: Story, catalog: Catalog) -> None:
    """The same orders' lines asked for twice: the first rows already hold every key of the second."""
    text = "SELECT order_id, sku FROM order_lines WHERE order_id = $1"
    story.begin()
    for number in IDS * 2:
        story.run(text, number).gives("order_id", [number], table=300, attnum=1)
    story.commit()
    for known in (catalog, None):
        unit = story.unit()
        (group,) = (g for g in groups_of(unit, story.statements) if g.statement.text == text)
        sources = sources_of(unit, story.statements, known)
        links = links_of(group, targets_of(group, known), sources, known)
        assert links
        assert benign_reason(group, unit, links, story.statements) == ""
