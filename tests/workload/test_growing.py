"""Lists that grow with the data: cut where nothing but their length varies, left alone otherwise."""

from __future__ import annotations

import pytest

from workload.growing import Piece, Slot, without_growing_lists
from workload.tokens import SQUASHED

L = Slot(0, False, True)


def pieces(*what: str | Slot | int) -> list[Piece]:
    return [(True, each) for each in what]


def cut(*what: str | Slot | int) -> tuple[list[str | Slot | int], int]:
    kept, longest = without_growing_lists(pieces(*what))
    return [each for _spaced, each in kept], longest


@pytest.mark.parametrize("members", [2, 3, 1000])
def test_an_in_list_keeps_its_first_member_and_tells_its_length(members: int) -> None:
    rest: list[str | Slot] = [",", L] * (members - 1)
    assert cut("a", "IN", "(", L, *rest, ")", "AND") == (["a", "IN", "(", L, SQUASHED, ")", "AND"], members)


def test_a_list_of_one_stays_as_it_is() -> None:
    assert cut("a", "in", "(", 1, ")") == (["a", "in", "(", 1, ")"], 1)


def test_what_is_cut_already_stays_so() -> None:
    once: list[str | Slot] = ["a", "in", "(", L, SQUASHED, ")"]
    assert cut(*once) == (once, 2)
    assert cut("values", "(", L, ")", SQUASHED) == (["values", "(", L, ")", SQUASHED], 0)


def test_constants_parameters_and_casts_are_members() -> None:
    assert cut("in", "(", "NULL", ",", 2, ",", L, "::", "int", ")") == (["in", "(", "NULL", SQUASHED, ")"], 3)
    assert cut("in", "(", L, "::", "int", ",", L, "::", "int", ")")[0] == [
        *("in", "(", L, "::", "int", SQUASHED, ")"),
    ]


@pytest.mark.parametrize(
    "members",
    [
        (L, ",", "c"),
        ("select", L),
        ("f", "(", L, ")"),
        (L, "+", L),
        (L, "::", "numeric", "(", L, ")", ",", L),
        (L, ",", "(", L, ")"),
    ],
)
def test_a_list_of_anything_else_is_left_alone(members: tuple[str | Slot, ...]) -> None:
    whole = ("in", "(", *members, ")")
    assert cut(*whole) == (list(whole), 0)


@pytest.mark.parametrize(
    "open_end", [("in",), ("in", "("), ("in", "(", L), ("in", "(", L, ","), ("values", "(")]
)
def test_texts_that_are_cut_off_are_left_alone(open_end: tuple[str | Slot, ...]) -> None:
    assert cut(*open_end) == (list(open_end), 0)


def test_the_longest_of_several_lists_counts() -> None:
    first = ("in", "(", L, ",", L, ")")
    second = ("in", "(", L, ",", L, ",", L, ")")
    assert cut(*first, "or", *second)[1] == 3
    assert cut(*second, "or", *first)[1] == 3


def test_rows_written_alike_keep_the_first_and_tell_no_length() -> None:
    row = ("(", L, ",", "null", ",", "now", "(", ")", ")")
    assert cut("values", *row, ",", *row, ",", *row, "on") == (["values", *row, SQUASHED, "on"], 0)


def test_a_constant_in_place_of_a_literal_is_written_alike() -> None:
    assert cut("values", "(", L, ")", ",", "(", "true", ")")[0] == ["values", "(", L, ")", SQUASHED]


def test_one_row_that_differs_leaves_all_of_them() -> None:
    whole = ("values", "(", L, ")", ",", "(", L, ")", ",", "(", "f", "(", L, ")", ")")
    assert cut(*whole) == (list(whole), 0)


def test_a_single_row_stays() -> None:
    assert cut("values", "(", L, ",", 1, ")")[0] == ["values", "(", L, ",", 1, ")"]
