from __future__ import annotations

import pytest

from tests.workload.detect.story import Story
from workload.catalog import Catalog
from workload.detect.nplusone import detect
from workload.model import Finding

IDS = [7, 1, 90, 33, 12, 58, 4, 61]
BY_CUSTOMER = "SELECT id, status FROM orders WHERE customer_id = $1"


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def test_the_parent_is_part_of_the_identity(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    one = only(detect(story.unit(), story.statements, catalog))
    other_story = Story()
    other_story.run("SELECT * FROM settings", rows=8).gives("id", IDS, table=400, attnum=1)
    for number in IDS:
        other_story.run(BY_CUSTOMER, number)
    other = only(detect(other_story.unit(), other_story.statements, catalog))
    assert one.fingerprint == other.fingerprint
    assert one.id != other.id


def test_two_listings_of_one_table_are_the_same_finding(catalog: Catalog) -> None:
    """Two routes, two parent queries, one loop over customers."""
    ids = set()
    for listing in ("SELECT id FROM customers", "SELECT id, email FROM customers ORDER BY email LIMIT 8"):
        story = Story()
        story.run(listing, rows=8).gives("id", IDS, table=100, attnum=1)
        for number in IDS:
            story.run(BY_CUSTOMER, number)
        ids.add(only(detect(story.unit(), story.statements, catalog)).id)
    assert len(ids) == 1


def test_low_confidence_names_no_parent(story: Story, catalog: Catalog) -> None:
    story.customers([*IDS, *range(200, 260)])
    for number in sorted(IDS, key=lambda key: key * 37 % 101):
        story.run(BY_CUSTOMER, number)
        for _ in range(number % 4):
            story.run("SELECT 1")
    found = only(detect(story.unit(), story.statements, catalog))
    assert found.confidence == "low"
    assert (found.parent.table, found.parent_fingerprint, found.parent_query_id) == ("", None, None)
    assert "parent_query" not in found.evidence
    assert found.title == "8 × the same query on orders by customer_id in quick succession"


@pytest.mark.parametrize(("calls", "severity"), [(8, "warning"), (60, "critical")])
def test_severity_follows_calls(story: Story, catalog: Catalog, calls: int, severity: str) -> None:
    story.run("SELECT expensive FROM settings", took_us=500_000)
    ids = [number * 7 for number in range(calls)]
    story.customers(ids)
    for number in ids:
        story.run(BY_CUSTOMER, number)
    found = only(detect(story.unit(), story.statements, catalog))
    assert found.evidence["severity"] == severity


def test_thousands_are_grouped(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(BY_CUSTOMER, number)
    unit = story.unit(overflow={2: (3_192, 1_000_000)})
    found = only(detect(unit, story.statements, catalog))
    assert found.title == "3,200 × orders by customer_id, one for each row of customers"
