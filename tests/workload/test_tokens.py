"""Cutting texts: nothing is lost, nothing is slow, values come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload.tokens import SQUASHED, split, tokens, value

texts = st.lists(
    st.sampled_from(
        [
            "'",
            '"',
            "$",
            "$a$",
            "--",
            "/",
            "*",
            "\n",
            "\\",
            "1",
            ".",
            "e",
            "E'",
            "u&'",
            "x",
            " ",
            "é",
            "-",
            "_",
        ]
    )
    | st.text(max_size=3),
    max_size=40,
).map("".join)


@given(texts.filter(lambda text: "/*" not in text), st.booleans())
def test_pieces_are_the_text(text: str, standard: bool) -> None:
    assert "".join(plain + piece for plain, piece, _tag in split(text, standard)) == text


@given(texts)
def test_words_and_literals_have_no_white_space_around(text: str) -> None:
    for token in tokens(split(text)):
        assert token.source
        if token.kind in "wp":
            assert not any(character in " \t\n" for character in token.source)


HOSTILE = [
    *("'" * 50_001, "$" * 50_000, "$a$" * 20_001, '"' * 50_001, "E'" + "\\" * 50_001, "'\n" * 20_000),
    *("/*" * 20_000, "/*" * 20_000 + "*/" * 20_000, "/*/**/*/" * 15_000, "/*" + "/**/" * 30_000),
    *("1." * 30_000, "1e" * 30_000, "a" * 100_000, "-" * 50_001, "(" * 50_000, "u&'" * 20_000),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:8]!r}")
def test_no_text_takes_more_than_linear_work(text: str) -> None:
    # Backtracking on these would not end while the test suite runs.
    tokens(split(text))
    tokens(split(text, standard_conforming_strings=False))


def test_comments_are_left_out_except_the_mark_of_a_cut_list() -> None:
    found = tokens(split(f"a /* x /* y */ z */ b -- c\n {SQUASHED} d /* open"))
    assert [token.source for token in found] == ["a", "b", SQUASHED, "d"]


def test_operators_end_as_in_the_server() -> None:
    assert [token.source for token in tokens(split("a=-b @- c <> - + ->> ::x"))] == [
        "a",
        "=",
        "-",
        "b",
        "@-",
        "c",
        "<>",
        "-",
        "+",
        "->>",
        "::",
        "x",
    ]


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("''", ""),
        ("'a''b'", "a'b"),
        (r"E'\\\'\t\x41\101\u00e4\U0001F600\q'", "\\'\tAAä😀q"),
        (r"E'\ud800'", "\ufffd"),
        ("U&'\\+01F600'", "😀"),
        ("$x$it's$x$", "it's"),
        ("x'FF'", "XFF"),
        ("1_000.5", "1000.5"),
        ("'cut", "cut"),
        ("E'cut\\", "cut\\"),
    ],
)
def test_values(literal: str, expected: str) -> None:
    assert value(literal) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [("$1", "p"), ("$65535", "p"), ("$2147483647", "p"), ("$0", "o"), ("$00", "o"), ("$" + "1" * 5000, "o")],
)
def test_numbers_that_no_parameter_has_are_none(text: str, kind: str) -> None:
    (token,) = tokens(split(text))
    assert (token.kind, token.text) == (kind, text)
