"""The panels of one piece of advice, in reading order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from textual.containers import Horizontal

from tui.app.screens.advice import AdviceScreen, sections
from tui.app.widgets.panel import Panel
from workload.store import Store

OpenApp = Callable[..., AbstractAsyncContextManager[Any]]


async def titles(open_app: OpenApp, store: Path, advice_id: str) -> list[list[str]]:
    """The boxes' titles, those beside each other together."""
    async with open_app(store, size=(120, 40)) as driver:
        driver.app.push_screen(AdviceScreen(advice_id))
        await driver.settle()
        holder = driver.app.screen.query_one("#advice-sections")
        return [
            [str(panel.border_title) for panel in box.query(Panel)]
            if isinstance(box, Horizontal)
            else [str(box.border_title)]
            for box in holder.children
        ]


async def test_an_index_has_its_plans_beside_each_other(open_app: OpenApp, store_path: Path) -> None:
    assert await titles(open_app, store_path, "ix1") == [
        ["Change"],
        ["Why"],
        ["Proof"],
        ["Plan before · cost 21,402", "Plan after · cost 104 · 205×"],
        ["What the proof does not cover"],
        ["Locks"],
        ["Way back"],
    ]


async def test_a_batch_has_both_statements_beside_each_other(open_app: OpenApp, store_path: Path) -> None:
    assert await titles(open_app, store_path, "ba1") == [
        ["Batched statement", "Instead of many of"],
        ["In SQLAlchemy"],
        ["Mind"],
        ["Proof"],
    ]


async def test_the_panels_are_built_again_only_for_another_document(
    open_app: OpenApp, store_path: Path
) -> None:
    async with open_app(store_path, size=(120, 40)) as driver:
        screen = AdviceScreen("ix1")
        driver.app.push_screen(screen)
        await driver.settle()
        first = list(screen.query_one("#advice-sections").children)
        await driver.press("a")
        assert list(screen.query_one("#advice-sections").children) == first
        assert "accepted" in driver.text
        assert screen.data is not None
        assert len(sections(screen.data.view)) == len(first)


async def test_where_an_export_went_is_noted(open_app: OpenApp, store_path: Path) -> None:
    with Store.open(store_path) as store:
        store.set_advice_state("ix1", "exported", "psql: 001_add.sql")
    async with open_app(store_path, size=(120, 40)) as driver:
        driver.app.push_screen(AdviceScreen("ix1"))
        await driver.settle()
        assert "Noted: psql: 001_add.sql" in driver.text


async def test_advice_that_is_gone_is_said(open_app: OpenApp, store_path: Path) -> None:
    async with open_app(store_path, size=(120, 40)) as driver:
        driver.app.push_screen(AdviceScreen("nosuch"))
        await driver.settle()
        assert "⚠" in driver.text
        assert "nosuch" in driver.text
