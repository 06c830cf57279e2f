from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workload.detect.story import CUSTOMERS, ORDERS, Story
from workload.catalog import Catalog
from workload.detect.groups import groups_of
from workload.detect.links import Link, links_of, sources_of, targets_of

CHILD = "SELECT * FROM orders WHERE customer_id = $1"


def links(story: Story, catalog: Catalog | None = None, text: str = CHILD) -> list[Link]:
    unit = story.unit()
    group = next(g for g in groups_of(unit, story.statements) if g.statement.text == text)
    sources = sources_of(unit, story.statements, catalog)
    return links_of(group, targets_of(group, catalog), sources, catalog)


def called(story: Story, keys: list[int]) -> Story:
    for key in keys:
        story.run(CHILD, key)
    return story


@pytest.mark.parametrize(
    ("rows", "keys", "coverage", "order"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0, 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], 1.0, 0.25),
        ([1, 2, 3, 4], [1, 3, 4, 9], 0.75, 1.0),
        ([5, 5, 6, 5, 7], [5, 5, 6, 5, 7], 1.0, 1.0),
        ([5, 5, 6, 5, 7], [5, 6, 7], 1.0, 1.0),
        ([1, 2, 3], [1, 2, 3, 1, 2, 3], 1.0, 1.0),
    ],
)
def test_coverage_and_order(rows: list[int], keys: list[int], coverage: float, order: float) -> None:
    story = Story()
    called(story.customers(rows), keys)
    (link,) = links(story)
    assert link.coverage == pytest.approx(coverage)
    assert link.order == pytest.approx(order)


def test_a_value_counts_only_after_the_row_that_brought_it(story: Story) -> None:
    called(story, [1, 2])
    story.customers([1, 2, 3])
    called(story, [3, 4])
    (link,) = links(story)
    assert link.hits == 1
    assert link.coverage == pytest.approx(0.25)


def test_nothing_in_common_is_no_link(story: Story) -> None:
    called(story.customers([1, 2]), [8, 9])
    assert links(story) == []


def test_results_of_one_statement_are_one_source(story: Story) -> None:
    called(story.customers([1, 2]), [1, 2])
    called(story.customers([3, 4]), [3, 4])
    (link,) = links(story)
    assert (link.coverage, link.order) == (1.0, 1.0)


def test_null_is_no_key(story: Story) -> None:
    story.run("SELECT x FROM t", rows=3).gives("x", [None, 1, 2])
    story.run(CHILD, None).run(CHILD, 1).run(CHILD, 2)
    (link,) = links(story)
    assert (link.hits, link.coverage) == (2, 1.0)


@pytest.mark.parametrize(
    ("table", "attnum", "text", "provenance"),
    [
        (CUSTOMERS, 1, CHILD, "fk_to_parent"),
        (ORDERS, 2, "SELECT * FROM customers WHERE id = $1", "fk_from_parent"),
        (CUSTOMERS, 1, "SELECT * FROM customers WHERE id = $1", "same_column"),
        (ORDERS, 2, CHILD, ""),
        (CUSTOMERS, 2, CHILD, ""),
        (0, 0, CHILD, ""),
        (CUSTOMERS, 1, "SELECT * FROM orders o, order_lines WHERE customer_id = $1", "fk_to_parent"),
        (CUSTOMERS, 1, "SELECT * FROM orders WHERE coalesce(customer_id, 0) = $1", ""),
    ],
)
def test_provenance(
    story: Story, catalog: Catalog, table: int, attnum: int, text: str, provenance: str
) -> None:
    story.run("SELECT x FROM somewhere", rows=2).gives("x", [1, 2], table=table, attnum=attnum)
    story.run(text, 1).run(text, 2)
    (link,) = links(story, catalog, text)
    assert link.provenance == provenance


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=40),
    st.lists(st.integers(0, 50), min_size=2, max_size=40),
)
def test_shares_stay_shares(rows: list[int], keys: list[int]) -> None:
    story = Story()
    called(story.customers(rows), keys)
    for link in links(story):
        assert 0 < link.coverage <= 1
        assert 0 < link.order <= 1
