"""How sure: the thresholds on one link, and which of several explanations wins."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tests.workload.detect.story import Story
from workload.catalog import Catalog, Table
from workload.detect.confidence import MIN_DISTINCT, SLOW_GAP_MS, judge
from workload.detect.groups import Group, groups_of
from workload.detect.links import Link, Provenance, Source, Target, targets_of
from workload.detect.statement import Statement

CHILD = "SELECT * FROM orders WHERE customer_id = $1"
PARENT = Statement(1, "parent", "SELECT id FROM customers", "shop")
KEYS = range(10)


def group_of(
    story: Story, keys: Sequence[int] = KEYS, text: str = CHILD, gap_us: int = 400, apart: bool = False
) -> Group:
    """The calls at one distance from each other, or with ever more other statements between them."""
    for position, key in enumerate(keys):
        story.run(text, key, gap_us=gap_us)
        for _ in range(position if apart else 0):
            story.run("SELECT 1")
    return next(group for group in groups_of(story.unit(), story.statements) if group.statement.text == text)


def link(
    coverage: float = 1.0,
    order: float = 1.0,
    provenance: Provenance = "",
    *,
    hits: int = 10,
    dense: bool = False,
    low_information: bool = False,
    statement: Statement = PARENT,
    position: int = 0,
) -> Link:
    source = Source(
        statement=statement,
        name="id",
        table=None,
        table_oid=0,
        attnum=0,
        dense=dense,
        low_information=low_information,
        partial=False,
        values=(),
        first_step={},
        last_rows=frozenset(),
    )
    return Link(Target(position, None, None, "", 0), source, hits, coverage, order, provenance)


@pytest.mark.parametrize(
    ("found", "confidence"),
    [
        (link(0.95, 0.9, "fk_to_parent"), "high"),
        (link(0.95, 0.9, "same_column"), "high"),
        (link(0.94, 0.9, "fk_to_parent"), "low"),
        # Out of order, but at one regular distance from each other.
        (link(1.0, 0.5, "fk_to_parent"), "high"),
        (link(1.0, 0.49, "fk_to_parent"), "low"),
        # By values alone there is never more than medium.
        (link(0.95, 0.9), "medium"),
        (link(0.94, 0.9), "low"),
        (link(0.95, 0.89), "low"),
        (link(hits=MIN_DISTINCT), "medium"),
        (link(hits=MIN_DISTINCT - 1), "low"),
        (link(order=0.95, dense=True), "medium"),
        (link(order=0.94, dense=True), "low"),
        (link(low_information=True), "low"),
    ],
)
def test_thresholds_of_one_link(story: Story, found: Link, confidence: str) -> None:
    verdict = judge(group_of(story), [found.target], [found], None)
    assert verdict.confidence == confidence
    assert (verdict.link is found) is (confidence != "low")


def test_calls_at_no_regular_distance_need_the_rows_order(story: Story) -> None:
    group = group_of(story, apart=True)
    assert judge(group, [], [link(1.0, 0.89, "fk_to_parent")], None).confidence == "low"
    assert judge(group, [], [link(1.0, 0.9, "fk_to_parent")], None).confidence == "high"


def test_in_one_transaction_any_order_will_do(story: Story) -> None:
    story.begin()
    group = group_of(story, apart=True)
    assert judge(group, [], [link(1.0, 0.1, "fk_to_parent")], None).confidence == "high"
    assert judge(group, [], [link(1.0, 0.1)], None).confidence == "low"


@pytest.mark.parametrize(
    ("shares", "confidence"), [((0.6, 0.4), "medium"), ((0.6, 0.3), "low"), ((0.49, 0.49), "low")]
)
def test_two_parents_may_share_one_parameter(
    story: Story, shares: tuple[float, float], confidence: str
) -> None:
    links = [link(share, provenance="fk_to_parent") for share in shares]
    assert judge(group_of(story), [], links, None).confidence == confidence


def test_parents_of_another_parameter_do_not_count_together(story: Story) -> None:
    links = [link(0.6, provenance="fk_to_parent"), link(0.5, provenance="fk_to_parent", position=1)]
    assert judge(group_of(story), [], links, None).confidence == "low"


def test_the_surest_link_speaks_then_the_tied_then_the_fuller_one(story: Story) -> None:
    group = group_of(story)
    by_values, tied = link(), link(0.95, 0.9, "same_column")
    assert judge(group, [], [tied, by_values], None).link is tied
    fuller = link(1.0, 0.9, "same_column")
    assert judge(group, [], [fuller, tied], None).link is fuller


def test_a_querys_own_results_are_no_parents(story: Story) -> None:
    group = group_of(story)
    own = Statement(2, group.fingerprint, CHILD, "shop")
    verdict = judge(group, [], [link(1.0, 1.0, "same_column", statement=own)], None)
    assert (verdict.confidence, verdict.link) == ("low", None)


def test_people_are_slower_than_programs_except_in_a_transaction(story: Story) -> None:
    slow = round(SLOW_GAP_MS * 1000)
    group = group_of(story, gap_us=slow)
    assert judge(group, [], [link(1.0, 1.0, "fk_to_parent")], None).confidence == "low"
    quick = [msgspec.structs.replace(step, gap_us=slow - 1) for step in group.calls]
    group.calls[:] = quick
    assert judge(group, [], [link(1.0, 1.0, "fk_to_parent")], None).confidence == "high"
    other = Story()
    other.begin()
    in_transaction = group_of(other, gap_us=slow)
    assert judge(in_transaction, [], [link(1.0, 1.0, "fk_to_parent")], None).confidence == "high"


@pytest.mark.parametrize(("keys", "confidence"), [(range(5), "medium"), ([1, 2, 3, 4] * 3, "low")])
def test_a_foreign_key_in_one_transaction_needs_many_values(
    story: Story, catalog: Catalog, keys: Sequence[int], confidence: str
) -> None:
    story.begin()
    group = group_of(story, keys)
    targets = targets_of(group, catalog)
    verdict = judge(group, targets, [], catalog)
    assert (verdict.confidence, verdict.link, verdict.target) == (confidence, None, targets[0])
    assert judge(group, targets, [], None).confidence == "low"


def test_the_parameter_to_name_is_a_foreign_keys_then_that_of_an_equality(
    story: Story, catalog: Catalog
) -> None:
    text = "SELECT * FROM orders WHERE created > $1 AND status = $2 AND customer_id = $3"
    for number in KEYS:
        story.run(text, number, number, number)
    (group,) = groups_of(story.unit(), story.statements)
    targets = targets_of(group, catalog)
    named = judge(group, targets, [], catalog).target
    assert named is not None
    assert isinstance(named.table, Table)
    assert (named.column, named.table.name) == ("customer_id", "orders")
    unknown = judge(group, targets_of(group, None), [], None).target
    assert unknown is not None
    assert unknown.column == "status"
    assert judge(group, [], [], None).target is None
