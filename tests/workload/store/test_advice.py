"""Advice in one transaction: what is renewed, what a person decided, and the history of it."""

from __future__ import annotations

import msgspec
import pytest

from workload.model import AdviceRecord
from workload.store import advice
from workload.store.advice import STATES
from workload.store.connection import Database
from workload.store.errors import StoreError

T0 = 1_800_000_000.0


def record(id: str = "a1", **changes: object) -> AdviceRecord:
    made = AdviceRecord(
        id=id,
        kind="index",
        state="new",
        title="Index t(a)",
        database="shop",
        benefit_ms=100.0,
        created_at=T0,
        updated_at=T0,
        reason="",
        document=b"{}",
    )
    return msgspec.structs.replace(made, **changes)


def test_what_is_saved_comes_back_whole(opened: Database) -> None:
    with opened.write() as connection:
        advice.save(connection, record(document=b"\x00\xff{", reason="because"))
    with opened.read() as connection:
        assert advice.find(connection, "a1") == record(document=b"\x00\xff{", reason="because")
        assert advice.find(connection, "a2") is None


def test_a_new_one_is_replaced_with_its_state(opened: Database) -> None:
    with opened.write() as connection:
        advice.save(connection, record())
        advice.save(connection, record(state="snoozed", reason="later", updated_at=T0 + 9))
        saved = advice.find(connection, "a1")
        assert saved is not None
        assert (saved.state, saved.reason) == ("snoozed", "later")
        changes = advice.history(connection, "a1")
    assert [(change.at, change.state) for change in changes] == [(T0, "new"), (T0 + 9, "snoozed")]


@pytest.mark.parametrize("state", [state for state in STATES if state != "new"])
def test_a_decision_outlives_a_renewal_and_is_not_remembered_twice(opened: Database, state: str) -> None:
    with opened.write() as connection:
        advice.save(connection, record())
        advice.set_state(connection, "a1", state, "said so", T0 + 5)
        advice.save(connection, record(title="renewed", reason="other", created_at=T0 + 9))
        saved = advice.find(connection, "a1")
        assert saved is not None
        assert (saved.state, saved.reason, saved.title, saved.created_at) == (state, "said so", "renewed", T0)
        assert [change.state for change in advice.history(connection, "a1")] == ["new", state]


def test_every_change_is_history_in_order(opened: Database) -> None:
    with opened.write() as connection:
        advice.save(connection, record())
        for at, state in enumerate(("accepted", "rejected", "accepted")):
            changed = advice.set_state(connection, "a1", state, f"reason {at}", T0 + at)
        assert (changed.state, changed.reason, changed.updated_at) == ("accepted", "reason 2", T0 + 2)
        states = [change.state for change in advice.history(connection, "a1")]
    assert states == ["new", "accepted", "rejected", "accepted"]


def test_an_unknown_advice_or_state_changes_nothing(opened: Database) -> None:
    with opened.write() as connection:
        advice.save(connection, record())
    for id, state, said in (
        ("a1", "maybe", "states are new, accepted"),
        ("zz", "accepted", "pgcoach advice"),
    ):
        with pytest.raises(StoreError, match=said), opened.write() as connection:
            advice.set_state(connection, id, state, "", T0 + 1)
    with opened.read() as connection:
        assert advice.find(connection, "a1") == record()
        assert len(advice.history(connection, "a1")) == 1
        assert advice.history(connection, "zz") == []


def test_lists_by_state_the_greatest_benefit_first_then_by_id(opened: Database) -> None:
    with opened.write() as connection:
        for id, benefit, state in (("b", 1, "new"), ("a", 1, "new"), ("c", 5, "rejected")):
            advice.save(connection, record(id, benefit_ms=float(benefit), state=state))
        assert [each.id for each in advice.listed(connection, None)] == ["c", "a", "b"]
        assert [each.id for each in advice.listed(connection, ("new",))] == ["a", "b"]
        assert advice.listed(connection, iter(())) == []


def test_rejections_are_one_databases_and_keep_their_order(opened: Database) -> None:
    with opened.write() as connection:
        advice.replace_rejections(connection, "shop", [("b", "1"), ("a", "2")])
        advice.replace_rejections(connection, "other", [("c", "3")])
        assert advice.rejections(connection) == [
            ("shop", "b", "1"),
            ("shop", "a", "2"),
            ("other", "c", "3"),
        ]
        advice.replace_rejections(connection, "shop", [])
        assert advice.rejections(connection) == [("other", "c", "3")]
