"""The keyword lists are those of PostgreSQL's grammar."""

from __future__ import annotations

from pglast import keywords

from workload.words import (
    BLANKED_UTILITIES,
    KNOWN_UTILITIES,
    NAMED_AFTER,
    NOT_A_TYPE,
    PARAMETER_VERBS,
    RESERVED,
    TYPE_OR_FUNCTION,
    TYPES_WITH_MODIFIER,
)


def test_keyword_categories() -> None:
    assert set(keywords.RESERVED_KEYWORDS) == RESERVED
    assert set(keywords.TYPE_FUNC_NAME_KEYWORDS) == TYPE_OR_FUNCTION


def test_a_first_word_is_of_one_sort_only() -> None:
    assert not KNOWN_UTILITIES & PARAMETER_VERBS
    assert set(NAMED_AFTER) <= KNOWN_UTILITIES | PARAMETER_VERBS


def test_blanked_utilities_are_known_ones() -> None:
    assert {word if isinstance(word, str) else word[0] for word in BLANKED_UTILITIES} <= KNOWN_UTILITIES


def test_names_of_types_are_not_among_the_words_that_are_none() -> None:
    assert not TYPES_WITH_MODIFIER & NOT_A_TYPE
    assert not {"date", "time", "timestamp", "interval", "json", "uuid", "point"} & NOT_A_TYPE


def test_every_word_is_one_of_the_grammar() -> None:
    known = (
        set(keywords.RESERVED_KEYWORDS)
        | set(keywords.TYPE_FUNC_NAME_KEYWORDS)
        | set(keywords.COL_NAME_KEYWORDS)
        | set(keywords.UNRESERVED_KEYWORDS)
    )
    assert known >= KNOWN_UTILITIES | PARAMETER_VERBS
    assert known >= set(NAMED_AFTER)
