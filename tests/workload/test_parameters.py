"""Which parameter of one spelling is which of another."""

from __future__ import annotations

import pytest

from workload.parameters import permutation


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        ("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = $1", (0,)),
        ("SELECT a FROM t WHERE b = $1 AND c = $2", "select a from t where b=$2 and c=$1", (1, 0)),
        ("SELECT a FROM t WHERE b = $2 AND c = $1", "select a from t where b=$1 and c=$2", (1, 0)),
        ("SELECT $1, $2, $1", "select $2, $1, $2", (1, 0)),
        ("SELECT $1, $2, $1", "select $1, $2, $3", None),
        ("SELECT $1, $2", "select $1, $1", (0, 0)),
        ("SELECT $1", "select NULL", None),
        ("SELECT '$9', $1", "select '$8', $1", (0,)),
        ("SELECT a", "select a", ()),
    ],
)
def test_permutation(text: str, shape: str, expected: tuple[int, ...] | None) -> None:
    assert permutation(text, shape) == expected
