from __future__ import annotations

from tests.workload.detect.story import CUSTOMERS, Story
from workload.catalog import Catalog
from workload.detect.confidence import Verdict, judge
from workload.detect.groups import Group, groups_of
from workload.detect.interleaved import companions, in_step_with
from workload.detect.links import links_of, sources_of, targets_of

LEADER = "SELECT * FROM orders WHERE customer_id = $1"
OTHER = "SELECT value FROM settings WHERE id = $1"
IDS = [7, 1, 90, 33, 12, 58]


def judged(story: Story, catalog: Catalog) -> list[tuple[Group, Verdict]]:
    unit = story.unit()
    sources = sources_of(unit, story.statements, catalog)
    found = []
    for group in groups_of(unit, story.statements):
        if group.statement.text in (LEADER, OTHER):
            targets = targets_of(group, catalog)
            found.append((group, judge(group, targets, links_of(group, targets, sources, catalog), catalog)))
    return found


def test_who_runs_in_step_has_the_leaders_parent(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(LEADER, number).run("SELECT 1").run(OTHER, number * 17)
    before = judged(story, catalog)
    assert [verdict.confidence for _group, verdict in before] == ["high", "low"]
    (_, leader), (other, follower) = companions(before)
    assert follower.confidence == "medium"
    assert follower.link is leader.link
    assert in_step_with(other, before) == (before[0][0].fingerprint,)


def test_who_comes_afterwards_does_not(story: Story, catalog: Catalog) -> None:
    story.customers(IDS)
    for number in IDS:
        story.run(LEADER, number)
    for number in IDS:
        story.run(OTHER, number * 17)
    assert [verdict.confidence for _group, verdict in companions(judged(story, catalog))] == ["high", "low"]


def test_a_body_of_nine_statements_is_too_long(story: Story, catalog: Catalog) -> None:
    story.run("SELECT id FROM customers", rows=6).gives("id", IDS, table=CUSTOMERS, attnum=1)
    for number in IDS:
        story.run(LEADER, number).run(OTHER, number * 17)
        for _ in range(7):
            story.run("SELECT 1")
    assert [verdict.confidence for _group, verdict in companions(judged(story, catalog))] == ["high", "low"]
