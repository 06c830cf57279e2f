"""Verdicts over results: order, ties, duplicates, NULLs, floats."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.model import BatchCandidate
from advisor.propose.batch import BatchPlan
from advisor.propose.child import SortKey
from advisor.prove.compare import Call, Result, Row, Verdict, compare

PLAN = BatchPlan(
    candidate=BatchCandidate(finding_id="f", original="", batched="", shape="any", key_column="k"),
    call_sql="",
    call_order=(1,),
    arrays=(1,),
    scalars=(),
    leading_keys=1,
    key_result="",
    drop_null_keys=True,
    presence=False,
    sort=(),
    limit=None,
)
NAMES, OIDS = ("a", "b"), (25, 25)


def call(key: bytes | None, *rows: Row) -> Call:
    return Call((key,), Result(NAMES, OIDS, rows))


def batch(*rows: Row) -> Result:
    return Result(("k", *NAMES), (23, *OIDS), rows)


def test_a_multiset_without_order() -> None:
    calls = [call(b"1", (b"x", b"y"), (b"x", b"y"), (None, b"z")), call(b"2")]
    same = batch((b"1", None, b"z"), (b"1", b"x", b"y"), (b"1", b"x", b"y"))
    assert compare(calls, same, PLAN) == Verdict("", 2, 3)
    other = batch((b"1", None, b"z"), (b"1", None, b"z"), (b"1", b"x", b"y"))
    assert "1 of its 3 rows differ" in compare(calls, other, PLAN).difference


def test_null_is_not_the_empty_text() -> None:
    assert compare([call(b"1", (None, b""))], batch((b"1", b"", b"")), PLAN).difference


def test_order_is_held_to_and_ties_are_free() -> None:
    plan = replace(PLAN, sort=(SortKey(0, "a"),))
    calls = [call(b"1", (b"1", b"p"), (b"1", b"q"), (b"2", b"r"))]
    assert not compare(
        calls, batch((b"1", b"1", b"q"), (b"1", b"1", b"p"), (b"1", b"2", b"r")), plan
    ).difference
    turned = batch((b"1", b"2", b"r"), (b"1", b"1", b"q"), (b"1", b"1", b"p"))
    assert "order" in compare(calls, turned, plan).difference


def test_the_order_of_a_key_outside_of_the_result_must_be_the_same() -> None:
    plan = replace(PLAN, sort=(SortKey(None, ""),))
    calls = [call(b"1", (b"1", b"p"), (b"2", b"q"))]
    assert not compare(calls, batch((b"1", b"1", b"p"), (b"1", b"2", b"q")), plan).difference
    assert "tell ties" in compare(calls, batch((b"1", b"2", b"q"), (b"1", b"1", b"p")), plan).difference


def test_ties_at_the_cut_may_be_others() -> None:
    plan = replace(PLAN, sort=(SortKey(0, "a"),), limit=3)
    calls = [call(b"1", (b"1", b"p"), (b"2", b"q"), (b"2", b"r"))]
    verdict = compare(calls, batch((b"1", b"1", b"p"), (b"1", b"2", b"s"), (b"1", b"2", b"q")), plan)
    assert not verdict.difference
    assert any("cut" in limit for limit in verdict.limits)
    above = compare(calls, batch((b"1", b"1", b"other"), (b"1", b"2", b"s"), (b"1", b"2", b"q")), plan)
    assert "differ" in above.difference


def test_a_cut_through_one_single_tie_can_still_be_right_or_wrong() -> None:
    plan = replace(PLAN, sort=(SortKey(0, "a"),), limit=2)
    calls = [call(b"1", (b"1", b"p"), (b"1", b"q"))]
    verdict = compare(calls, batch((b"1", b"1", b"p"), (b"1", b"1", b"z")), plan)
    assert not verdict.difference
    assert any("cut" in limit for limit in verdict.limits)


def test_a_limit_without_order_cannot_be_compared() -> None:
    plan = replace(PLAN, limit=1)
    calls = [call(b"1", (b"1", b"p"))]
    assert not compare(calls, batch((b"1", b"1", b"p")), plan).difference
    assert "any rows" in compare(calls, batch((b"1", b"1", b"q")), plan).difference


def test_keys_that_nobody_asked_for() -> None:
    assert "1 rows for keys" in compare([call(b"1")], batch((b"2", b"x", b"y")), PLAN).difference


def test_null_keys() -> None:
    verdict = compare([call(b"1", (b"x", b"y")), call(None)], batch((b"1", b"x", b"y")), PLAN)
    assert verdict.calls == 1
    assert any("NULL" in limit for limit in verdict.limits)
    assert "NULL key" in compare([call(None, (b"x", b"y"))], batch(), PLAN).difference
    assert "nothing to compare" in compare([call(None)], batch(), PLAN).difference


def test_another_type_or_width_is_a_difference() -> None:
    calls = [call(b"1", (b"1", b"2"))]
    assert "another type" in compare(calls, replace(batch(), oids=(23, 25, 20)), PLAN).difference
    narrow = Result(("k", "a"), (23, 25), ())
    assert "columns" in compare(calls, narrow, PLAN).difference


def test_the_key_inside_of_the_row_must_be_told_apart() -> None:
    plan = replace(PLAN, leading_keys=0, key_result="a")
    calls = [call(b"1", (b"1", b"x")), call(b"2", (b"2", b"x"))]
    result = Result(NAMES, OIDS, ((b"2", b"x"), (b"1", b"x")))
    assert not compare(calls, result, plan).difference
    twice = replace(result, names=("a", "a"))
    assert "told apart" in compare(calls, twice, plan).difference


def test_presence() -> None:
    plan = replace(PLAN, presence=True)
    calls = [call(b"1", (b"1", b"1")), call(b"2")]
    result = Result(("k", "found"), (23, 16), ((b"1", b"t"), (b"2", b"f")))
    assert not compare(calls, result, plan).difference
    assert compare(calls, replace(result, rows=((b"1", b"t"), (b"2", b"t"))), plan).difference
    assert compare(calls, replace(result, rows=((b"1", b"t"),)), plan).difference


@pytest.mark.parametrize(("shape", "equal"), [("aggregate", True), ("any", False)])
def test_sums_of_floats_do_not_depend_on_the_order(shape: str, equal: bool) -> None:
    plan = replace(
        PLAN,
        candidate=BatchCandidate(finding_id="f", original="", batched="", shape=shape, key_column="k"),
    )
    one = Call((b"1",), Result(("sum",), (701,), ((b"0.30000000000000004",),)))
    result = Result(("k", "sum"), (23, 701), ((b"1", b"0.3"),))
    assert (compare([one], result, plan).difference == "") is equal


_ROWS = st.lists(
    st.tuples(st.sampled_from([None, b"", b"a", b"b"]), st.sampled_from([b"x", b"y"])), max_size=6
)


@given(st.lists(_ROWS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_order_of_the_batched_rows_is_equal_and_any_missing_row_is_not(
    groups: list[list[tuple[bytes | None, bytes]]], shuffle: random.Random
) -> None:
    calls = [call(str(number).encode(), *rows) for number, rows in enumerate(groups)]
    rows: list[Row] = [(str(number).encode(), *row) for number, group in enumerate(groups) for row in group]
    shuffle.shuffle(rows)
    assert compare(calls, batch(*rows), PLAN).difference == ""
    if rows:
        assert compare(calls, batch(*rows[1:]), PLAN).difference
        assert compare(calls, batch(*rows, rows[0]), PLAN).difference
