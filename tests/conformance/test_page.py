"""The conformance page says what the tests say, and the check would notice if it did not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conformance import page
from tests.conformance.checklist import ITEMS, SECTIONS


def test_page_is_current_and_every_item_has_a_test_or_a_reason() -> None:
    command = [sys.executable, "-m", "tests.conformance.page", "--check"]
    done = subprocess.run(command, cwd=page.ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_checklist_is_whole() -> None:
    counts = {letter: sum(item[0] == letter for item in ITEMS) for letter in SECTIONS}
    assert counts == {"S": 21, "C": 8, "F": 7, "Q": 6, "X": 12, "K": 6, "A": 14}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_k1_sync_is_swallowed", ("K1",)),
        ("test_s7_s9_s10_any_version", ("S7", "S9", "S10")),
        ("test_parse", ()),
        ("test_x_and_y", ()),
    ],
)
def test_items_of_a_name(name: str, expected: tuple[str, ...]) -> None:
    assert page.items_of(f"tests/test_any.py::{name}") == expected


def test_problems_are_told() -> None:
    proofs: page.Proofs = {item: {f"tests/t.py::test_{item.lower()}_holds": set()} for item in ITEMS}
    del proofs["K1"]
    proofs["S99"] = {"tests/t.py::test_s99_is_none": {16}}
    found = page.problems(proofs)
    assert "K1 has no test and no reason" in found
    assert any(problem.startswith("S99 is no item") for problem in found)


def test_generated_part_is_exchanged_and_the_rest_is_left_alone() -> None:
    part = page.written({"K1": {"tests/t.py::test_k1_holds": {15, 18}}})
    assert "[tests/t.py](../tests/t.py): `test_k1_holds` | 15, 18 |" in part
    old = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    assert page.replaced(old, part) == f"before\n{part}\nafter\n"
    assert page.replaced(page.replaced(old, part), part) == page.replaced(old, part)
