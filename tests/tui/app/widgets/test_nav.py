"""The bar with the screens and the state of the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from textual.widgets import Static

from tui.app.status import Source, Status
from tui.app.widgets.nav import MODE_TITLES, NavBar

OpenApp = Callable[..., AbstractAsyncContextManager[Any]]


async def test_it_marks_its_mode_and_leads_to_the_others(open_app: OpenApp, store_path: Path) -> None:
    async with open_app(store_path, size=(120, 24)) as driver:
        items = list(driver.app.screen.query(".nav-item").results(Static))
        assert [str(item.render()) for item in items] == [
            f"{number} {title}" for number, title in enumerate(MODE_TITLES.values(), 1)
        ]
        assert [item.has_class("-here") for item in items] == [True, False, False, False, False]
        await driver.pilot.click(items[2], offset=(1, 0))
        await driver.settle()
        assert driver.app.current_mode == "findings"


async def test_it_follows_the_status(open_app: OpenApp, store_path: Path) -> None:
    async with open_app(store_path, size=(120, 24)) as driver:
        shown = driver.app.screen.query_one(NavBar).query_one("#nav-status", Static)
        assert str(shown.render()) == "● live"
        driver.app.status = Status(source=Source.STALE, location="[b]x.db", age=90.0)
        await driver.settle()
        assert str(shown.render()) == "⚠ 90 s old"
        assert shown.has_class("-warning")
        driver.app.status = None
        await driver.settle()
        assert str(shown.render()) == ""
