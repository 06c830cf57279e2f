"""Names and comments that go into files."""

from __future__ import annotations

import pytest

from advisor.migrations import render
from advisor.model import IndexCandidate, IndexKey


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\r\n", "two lines"),
        ("\u2028para\u2029\x85next\x0b\x1b[31m", "para next [31m"),
        ("tro\u202ejan", "tro jan"),
        ("größe  'ok'", "größe 'ok'"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert render.one_line(text) == line


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("add ix_Orders_Café", "add_ix_orders_cafe"),
        ("a/../b; rm -rf", "a_b_rm_rf"),
        ("漢字", ""),
        ("x" * 90, "x" * 60),
    ],
)
def test_slug(text: str, slug: str) -> None:
    assert render.slug(text) == slug


def test_dollar_quotes_are_chosen_apart_from_names() -> None:
    candidate = IndexCandidate(
        schema="s", table="$check$", keys=(IndexKey(column="$check2$"),), name="i$check2$"
    )
    block = render.verify_valid(candidate)
    assert block.startswith("DO $check3$\n")
    assert block.endswith("$check3$")
    assert block.count("$check3$") == 2
