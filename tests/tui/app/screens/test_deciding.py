"""A decision that the store does not take is told, and nothing changes on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from workload.store import Store, StoreError

OpenApp = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_refused_decision(
    open_app: OpenApp, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(store_path, size=(120, 40)) as driver:
        await driver.press("4")

        def decide(ids: Iterable[str], state: str, reason: str) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(driver.app.reader, "decide", decide)
        await driver.press("space", "a")
        assert [each.message for each in driver.app._notifications] == ["not saved: the disk is full"]
        assert driver.app.screen.marked == {"ix1"}
    with Store.open(store_path) as store:
        assert {record.state for record in store.advice()} == {"new", "rejected"}


async def test_without_advice_the_keys_do_nothing(open_app: OpenApp, empty_store: Path) -> None:
    async with open_app(empty_store) as driver:
        await driver.press("4", "a", "r", "z")
        assert driver.app.screen.subjects() == []
        assert len(driver.app.screen_stack) == 1
