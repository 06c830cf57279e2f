"""A store that appears, grows, ages and breaks while the application looks at it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.worker import WorkerFailed

from tui.app.screens.advice import AdviceScreen
from tui.app.screens.queries import QueriesScreen
from tui.app.screens.query import QueryScreen
from tui.app.widgets.table import ListTable
from workload.store import Store
from workload.store.writing import Batch, Increment, NewQuery


async def test_a_store_that_appears_later_is_found(open_app: Any, store_path: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.db"
    async with open_app(later) as driver:
        assert "There is no store" in driver.text
        shutil.copy(store_path, later)
        await driver.press("ctrl+r")
        assert "SELECT id, name, price" in driver.text
        assert "● live" in driver.text
        await driver.press("enter")
        assert isinstance(driver.app.screen, QueryScreen)


async def test_a_store_that_is_replaced_is_opened_again(
    open_app: Any, empty_store: Path, filled_store: Path, tmp_path: Path
) -> None:
    async with open_app(empty_store) as driver:
        assert "no statement has come" in driver.text
        empty_store.unlink()  # noqa: ASYNC240
        await driver.press("ctrl+r")
        assert "There is no store" in driver.text
        shutil.copy(filled_store, empty_store)
        await driver.press("ctrl+r")
        assert "SELECT id, name, price" in driver.text


async def test_advice_that_appears_in_the_empty_inbox_takes_the_keys(
    open_app: Any, empty_store: Path, filled_store: Path
) -> None:
    with Store.open(filled_store) as full:
        records = full.advice()
    with Store.open(empty_store) as store:
        (query,) = store.define_queries(
            [
                NewQuery(
                    database="shop",
                    fingerprint="1" * 16,
                    text="SELECT 1",
                    kind="select",
                    tables=(),
                    parse_error=False,
                    seen_at=1_799_999_990.0,
                )
            ]
        )
        batch = Batch(at=1_799_999_990.0)
        batch.add(Increment(query_id=query, at=1_799_999_990.0, calls=1))
        store.write(batch)
    async with open_app(empty_store) as driver:
        await driver.press("4")
        assert "Press A" in driver.text
        with Store.open(empty_store) as store:
            for record in records:
                store.save_advice(record)
        await driver.press("ctrl+r", "enter")
        assert isinstance(driver.app.screen, AdviceScreen)


async def test_old_data_is_a_warning(open_app: Any, store_path: Path) -> None:
    with Store.open(store_path) as store:
        store.set_meta("last_write", repr(1_800_000_000.0 - 300))
    async with open_app(store_path) as driver:
        assert "⚠ 5 min old" in driver.text
        assert driver.app.screen.query_one("#nav-status").has_class("-warning")


async def test_a_store_that_breaks_is_told_and_the_application_goes_on(open_app: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_text("these are not the bytes of a database" * 40)
    async with open_app(broken) as driver:
        assert "not a pgcoach store" in driver.text
        await driver.press("2", "1")
        assert "not a pgcoach store" in driver.text
        assert driver.app.is_running


async def test_advice_of_another_version_is_told(open_app: Any, store_path: Path) -> None:
    import sqlite3

    raw = sqlite3.connect(store_path)
    raw.execute("UPDATE advice SET document = '{}' WHERE id = 'ix1'")
    raw.commit()
    raw.close()
    async with open_app(store_path) as driver:
        await driver.press("4", "enter")
        assert "another version of pgcoach" in driver.text
        assert driver.app.is_running


async def test_a_refresh_without_news_changes_no_cell(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2")
        table = driver.app.screen.query_one(ListTable)
        changed: list[object] = []
        original = table.update_cell_at

        def counted(*arguments: Any, **more: Any) -> None:
            changed.append(arguments)
            original(*arguments, **more)

        table.update_cell_at = counted
        await driver.press("ctrl+r")
        assert changed == []


async def test_a_decision_that_cannot_be_written_is_told(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4")
        with Store.open(store_path) as store, store._database.write() as connection:
            connection.exec_driver_sql("DELETE FROM advice_transition")
            connection.exec_driver_sql("DELETE FROM advice")
        await driver.press("a")
        assert any("not saved: There is no advice" in note.message for note in driver.app._notifications)
        assert driver.app.is_running


@pytest.mark.parametrize("where", ["load", "show"])
async def test_a_defect_ends_it_without_showing_data(
    open_app: Any, store_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        card_number = "4711"
        raise ValueError(card_number)

    monkeypatch.delenv("PGCOACH_DEBUG", raising=False)
    monkeypatch.setattr(QueriesScreen, where, broken)
    driver = None
    with pytest.raises((ValueError, WorkerFailed)):
        async with open_app(store_path) as driver:
            await driver.press("2")
    assert driver is not None
    assert isinstance(driver.app.failure, ValueError)
    assert driver.app._exit_renderables == []


async def test_texts_from_the_wire_are_no_markup(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2", "slash")
        await driver.type("stock")
        await driver.press("enter", "enter")
        assert "WHERE (tags)[$2] = $3" in driver.text


async def test_it_refreshes_by_itself(store_path: Path) -> None:
    from tui.app import PgcoachApp

    app = PgcoachApp(str(store_path), now=lambda: 1_800_000_000.0, refresh_seconds=0.05)
    async with app.run_test() as pilot:
        seen = 0
        while seen < 3:
            await app.workers.wait_for_complete()
            await pilot.pause(0.05)
            seen += app.status is not None
        with Store.open(store_path) as store:
            store.set_meta("last_write", repr(1_800_000_000.0 - 300))
        for _ in range(200):
            await pilot.pause(0.05)
            if app.status is not None and app.status.warning:
                break
        assert app.status is not None
        assert app.status.warning
