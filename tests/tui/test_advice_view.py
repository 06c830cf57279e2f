"""Advice arranged for reading."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tui.advice_view import UnreadableAdviceError, advice_view, cost, plain_text, read_advice
from workload.model import AdviceRecord
from workload.store import Store


@pytest.fixture
def records(store_path: Path) -> dict[str, AdviceRecord]:
    with Store.open(store_path, create=False) as store:
        return {record.id: record for record in store.advice()}


def test_an_index_says_what_why_how_proved_and_how_to_undo(records: dict[str, AdviceRecord]) -> None:
    view = advice_view(records["ix1"])
    assert view.change.lines == (
        "CREATE INDEX CONCURRENTLY products_category_id_id_idx ON public.products (category_id, id);",
    )
    assert view.change.language == "postgresql"
    assert view.instead is None
    assert [section.title for section in view.why] == ["Why", "Proof"]
    assert "Index: 21.0 MB beside a table of 125 MB, 1,000,000 rows." in view.why[-1].lines
    assert [section.title for section in view.care] == ["What the proof does not cover", "Locks", "Way back"]
    (pair,) = view.plans
    assert pair.before[0].startswith("Sort")
    assert pair.after[0].startswith("Index Scan using products_category_id_id_idx")


def test_a_batch_shows_both_statements_the_orm_call_and_both_times(records: dict[str, AdviceRecord]) -> None:
    view = advice_view(records["ba1"])
    assert "WHERE order_id = ANY($1)" in view.change.lines
    assert view.instead is not None
    assert "WHERE order_id = $1" in view.instead.lines
    titles = {section.title: section for section in view.why}
    assert titles["In SQLAlchemy"].lines == ("select(Order).options(selectinload(Order.lines))",)
    assert any("6.20 ms" in line and "700 µs" in line and "8.9×" in line for line in titles["Proof"].lines)
    assert view.plans == ()


def test_plain_text_has_everything(records: dict[str, AdviceRecord]) -> None:
    text = plain_text(advice_view(records["ix2"]))
    assert "index · rejected · shop" in text
    assert "Reason given: table is truncated nightly" in text
    assert "before, cost 21,402" in text
    assert "Way back" in text
    assert "Instead of many of" in plain_text(advice_view(records["ba1"]))


def test_a_plan_that_is_none_does_not_hide_the_rest(records: dict[str, AdviceRecord]) -> None:
    advice = read_advice(records["ix1"])
    broken = msgspec.structs.replace(
        advice, gains=(msgspec.structs.replace(advice.gains[0], plan_before={}),)
    )
    record = msgspec.structs.replace(records["ix1"], document=msgspec.json.encode(broken))
    view = advice_view(record)
    assert view.plans[0].before[0].startswith("no plan:")
    assert view.plans[0].after[0].startswith("Index Scan")


def test_texts_cannot_drive_the_terminal(records: dict[str, AdviceRecord]) -> None:
    advice = read_advice(records["ix1"])
    hostile = msgspec.structs.replace(advice, title="x\x1b[2J", ddl="SELECT '\x1b]52;c;eA==\x07'")
    record = msgspec.structs.replace(records["ix1"], document=msgspec.json.encode(hostile))
    assert "\x1b" not in plain_text(advice_view(record))


def test_another_versions_document_is_an_error_with_what_to_do(records: dict[str, AdviceRecord]) -> None:
    record = msgspec.structs.replace(records["ix1"], document=b'{"id": 1}')
    with pytest.raises(UnreadableAdviceError, match="run `pgcoach advise` again"):
        advice_view(record)


def test_costs() -> None:
    assert cost(21402.5) == "21,402"
    assert cost(8.31) == "8.31"
