"""The queue on its own, and that its table speaks of messages that exist."""

from __future__ import annotations

import pytest

from proxy.observe import expectations as kinds
from proxy.observe.expectations import Expectations, Expected
from proxy.observe.replies import ASYNCHRONOUS, KNOWN
from proxy.wire.framing import ProtocolError


def expected(kind: int) -> Expected:
    return Expected(kind, b"", None, None, None)


def queue(*entries: Expected) -> Expectations:
    expectations = Expectations()
    expectations.queue.extend(entries)
    return expectations


def kinds_of(expectations: Expectations) -> list[int]:
    return [entry.kind for entry in expectations.queue]


def test_the_table_names_only_messages_of_the_server() -> None:
    answers = set(b"".join(kinds.ANSWERS))
    assert answers <= set(KNOWN)
    assert not answers & set(ASYNCHRONOUS)
    # What is left greets a session or is asynchronous.
    assert bytes(sorted(set(KNOWN) - answers)) == b"AKNRSv"


@pytest.mark.parametrize("kind", range(len(kinds.ANSWERS)))
def test_an_answer_is_allowed_exactly_where_the_table_says_so(kind: int) -> None:
    for answer in KNOWN:
        expectations = queue(expected(kind))
        if answer in kinds.ANSWERS[kind]:
            assert expectations.first(answer).kind == kind
        else:
            with pytest.raises(ProtocolError):
                expectations.first(answer)


def test_marks_of_copy_are_passed_over() -> None:
    assert queue(kinds.COPY_DONE, expected(kinds.SYNC)).first(ord("Z")).kind == kinds.SYNC
    assert not queue(kinds.COPY_DONE, kinds.COPY_FAIL).waiting()


def test_skipping_stops_before_the_sync() -> None:
    expectations = queue(
        expected(kinds.PARSE), expected(kinds.QUERY), kinds.SYNC_BEFORE_DATA, expected(kinds.BIND)
    )
    assert [entry.kind for entry in expectations.skip_to_sync()] == [kinds.PARSE, kinds.QUERY]
    assert kinds_of(expectations) == [kinds.SYNC, kinds.BIND]
    assert not expectations.skipping


def test_skipping_goes_on_when_the_sync_was_not_sent() -> None:
    expectations = queue(expected(kinds.PARSE), expected(kinds.BIND))
    expectations.skip_to_sync()
    assert expectations.skipping
    assert not expectations.waiting()


def test_a_copy_that_succeeds_swallows_every_sync_up_to_its_end() -> None:
    expectations = queue(
        expected(kinds.EXECUTE),
        kinds.SYNC_BEFORE_DATA,
        kinds.SYNC_AFTER_DATA,
        kinds.COPY_DONE,
        kinds.SYNC_AFTER_DATA,
    )
    expectations.end_copy(succeeded=True)
    assert kinds_of(expectations) == [kinds.EXECUTE, kinds.SYNC]


def test_a_copy_that_fails_swallows_only_what_came_before_its_data() -> None:
    expectations = queue(
        expected(kinds.EXECUTE),
        kinds.SYNC_BEFORE_DATA,
        kinds.SYNC_AFTER_DATA,
        kinds.COPY_DONE,
        expected(kinds.QUERY),
    )
    expectations.end_copy(succeeded=False)
    assert kinds_of(expectations) == [kinds.EXECUTE, kinds.SYNC, kinds.QUERY]
