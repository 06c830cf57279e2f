"""Findings seen again: what adds up, what the better sighting says, what the newest says."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from workload.model import Column, Confidence, Finding
from workload.store.connection import Database
from workload.store.findings import combined, find, listed, merge_into

T0 = 1_800_000_000.0


def finding(confidence: Confidence = "low", at: float = T0, **changes: object) -> Finding:
    made = Finding(
        id="f",
        cls="n_plus_one_read",
        confidence=confidence,
        title=f"{confidence} at {at - T0:g}",
        database="shop",
        query_id=1,
        fingerprint="aa",
        parent_query_id=2 if confidence == "high" else None,
        parent_fingerprint="bb" if confidence == "high" else None,
        child=Column(column=confidence),
        parent=Column(table=confidence),
        first_seen=at,
        last_seen=at,
        units=1,
        calls=10,
        wasted_ms=2.0,
        evidence={"at": at - T0},
        sample_calls=(),
        sample_oids=(),
    )
    return msgspec.structs.replace(made, **changes)


def test_amounts_add_up_and_times_span_both() -> None:
    both = combined(finding(at=T0 + 5), finding(at=T0))
    assert (both.units, both.calls, both.wasted_ms) == (2, 20, 4.0)
    assert (both.first_seen, both.last_seen) == (T0, T0 + 5)


def test_the_surer_sighting_says_what_it_is_and_the_newer_what_was_measured() -> None:
    sure, later = finding("high", T0), finding("low", T0 + 5)
    for both in (combined(sure, later), combined(later, sure)):
        assert (both.confidence, both.title) == ("high", "high at 0")
        assert (both.parent_query_id, both.parent_fingerprint) == (2, "bb")
        assert (both.child.column, both.parent.table) == ("high", "high")
        assert both.evidence == {"at": 5}


def test_of_two_as_sure_the_one_told_last_is_believed() -> None:
    assert combined(finding("high", T0), finding("high", T0 + 5)).title == "high at 5"


def test_the_newest_calls_are_kept_as_long_as_there_are_any() -> None:
    old = finding(at=T0, sample_calls=(("1",),), sample_oids=(23,))
    new = finding(at=T0 + 5, sample_calls=(("2",),), sample_oids=(20,))
    none = finding(at=T0 + 9)
    for both in (combined(old, new), combined(new, old), combined(new, none), combined(none, new)):
        assert (both.sample_calls, both.sample_oids) == ((("2",),), (20,))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_batches_changes_no_amount(order: tuple[int, ...]) -> None:
    seen = [finding("low", T0), finding("high", T0 + 1), finding("medium", T0 + 2)]
    first, second, third = (seen[place] for place in order)
    both = combined(combined(first, second), third)
    assert (both.units, both.calls, both.first_seen, both.last_seen) == (3, 30, T0, T0 + 2)
    assert (both.confidence, both.title) == ("high", "high at 1")


def test_in_the_store_sightings_are_merged_and_the_most_wasteful_first(opened: Database) -> None:
    with opened.write() as connection:
        merge_into(connection, finding())
        merge_into(connection, finding(id="g", wasted_ms=3.0, database="other"))
        merge_into(connection, finding("high", T0 + 1))
        assert [each.id for each in listed(connection, None)] == ["f", "g"]
        assert [each.id for each in listed(connection, "other")] == ["g"]
        assert find(connection, "f") == combined(finding(), finding("high", T0 + 1))
        assert find(connection, "h") is None
