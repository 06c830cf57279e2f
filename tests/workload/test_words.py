"""The keyword lists are those of PostgreSQL's grammar."""

from __future__ import annotations

from pglast import keywords

from workload.words import RESERVED, TYPE_OR_FUNCTION


def test_keyword_categories() -> None:
    assert set(keywords.RESERVED_KEYWORDS) == RESERVED
    assert set(keywords.TYPE_FUNC_NAME_KEYWORDS) == TYPE_OR_FUNCTION
