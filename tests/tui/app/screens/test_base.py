"""Reading in a thread: what happens when it fails, and when something is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from tui.app.reading import Overview
from tui.app.screens.overview import OverviewScreen
from workload.store import StoreError

OpenApp = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_reading_that_fails_is_told_and_the_next_one_takes_it_away(
    open_app: OpenApp, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(store_path) as driver:
        screen = driver.app.screen
        with monkeypatch.context() as patch:

            def load() -> Overview:
                raise StoreError("the store [b]is locked[/b]")

            patch.setattr(screen, "load", load)
            await driver.press("ctrl+r")
            problem = screen.query_one("#problem", Static)
            assert problem.display
            assert str(problem.render()) == "⚠ the store [b]is locked[/b]"
            assert screen.data is not None  # what was read last stays
        await driver.press("ctrl+r")
        assert not problem.display


async def test_a_request_during_a_reading_reads_once_more_and_not_more_often(
    open_app: OpenApp, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(store_path) as driver:
        screen: OverviewScreen = driver.app.screen
        loads: list[int] = []
        load = screen.load

        def counted() -> Overview:
            loads.append(1)
            return load()

        monkeypatch.setattr(screen, "load", counted)
        for _ in range(5):
            screen.action_reload()
        assert screen.busy
        await driver.settle()
        assert len(loads) == 2
        assert not screen.busy
