from __future__ import annotations

from tests.workload.detect.story import Story
from workload.detect.groups import Group, groups_of, start_times_ms

TEXT = "SELECT a FROM t WHERE b = $1 LIMIT $2"
RENUMBERED = "SELECT a FROM t WHERE b = $2 LIMIT $1"


def only(story: Story, **changes: object) -> Group:
    (group,) = groups_of(story.unit(**changes), story.statements)
    return group


def test_texts_of_one_fingerprint_are_one_group_in_one_order(story: Story) -> None:
    story.run(TEXT, 1, 21).run(RENUMBERED, 21, 2).run(TEXT, 3, 21)
    group = only(story)
    assert len(group.statement_ids) == 2
    assert group.varying() == [0]
    assert group.distinct() == 3


def test_lists_and_pipelined_calls_stand_apart(story: Story) -> None:
    story.run(TEXT, 1, 21).run(TEXT, 2, 21, list_length=7).run(TEXT, 3, 21, gap_us=-1).run(TEXT, 4, 21)
    group = only(story)
    assert (group.count, group.batched, group.pipelined) == (2, 1, 1)
    assert group.steps == [0, 3]


def test_dropped_and_earlier_calls_are_shared_out_as_the_seen_ones(story: Story) -> None:
    story.run(TEXT, 1, 21).run(TEXT, 2, 21, list_length=7)
    group = only(story, overflow={1: (10, 4_000)}, prior_calls={1: 6})
    assert (group.dropped, group.dropped_us, group.prior) == (5, 2_000, 3)
    assert (group.count, group.total) == (6, 9)


def test_carried_steps_are_no_calls(story: Story) -> None:
    story.run(TEXT, 1, 21).run(TEXT, 2, 21)
    assert only(story, carried=1).steps == [1]


def test_transactions_of_a_group(story: Story) -> None:
    for number in range(3):
        story.begin().run(TEXT, number, 21).commit()
    group = next(g for g in groups_of(story.unit(), story.statements) if g.statement.text == TEXT)
    assert group.spread_over_transactions()
    assert not group.in_one_transaction()
    assert group.stride() == (3, 1.0)


def test_instants_add_up_think_time_and_service_time(story: Story) -> None:
    story.run(TEXT, 1, 1, gap_us=1000, took_us=500).run(TEXT, 2, 1, gap_us=2000, took_us=-1)
    story.run(TEXT, 3, 1, gap_us=-1)
    assert start_times_ms(story.steps) == [1.0, 3.5, 3.5]
