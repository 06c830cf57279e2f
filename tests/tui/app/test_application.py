"""What the application itself decides: its end, its theme, its one failure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual.worker import WorkerFailed

from tui.app import PgcoachApp
from tui.app.widgets.nav import MODE_TITLES

OpenApp = Callable[..., AbstractAsyncContextManager[Any]]


DEFECT = ZeroDivisionError("defect")


@pytest.mark.parametrize(
    ("ended_with", "failure"),
    [(None, None), (DEFECT, DEFECT), (WorkerFailed(DEFECT), DEFECT)],
    ids=["nothing", "an error", "a worker's error"],
)
def test_a_workers_failure_is_what_it_failed_of(
    tmp_path: Path, ended_with: Exception | None, failure: Exception | None
) -> None:
    app = PgcoachApp(str(tmp_path / "none.db"))
    app._exception = ended_with
    assert app.failure is failure


def test_the_screens_and_the_navigation_name_the_same_modes() -> None:
    assert list(PgcoachApp.MODES) == list(MODE_TITLES)


async def test_a_theme_without_a_partner_goes_to_the_other_brightness(
    open_app: OpenApp, empty_store: Path
) -> None:
    async with open_app(empty_store) as driver:
        driver.app.theme = "dracula"
        driver.app.action_toggle_theme()
        assert driver.app.theme == "textual-light"
        driver.app.action_toggle_theme()
        assert driver.app.theme == "textual-dark"


async def test_help_is_opened_once(open_app: OpenApp, empty_store: Path) -> None:
    async with open_app(empty_store) as driver:
        driver.app.action_help()
        await driver.settle()
        driver.app.action_help()
        await driver.settle()
        assert len(driver.app.screen_stack) == 2
        driver.app.action_back_or_quit()
        await driver.settle()
        assert len(driver.app.screen_stack) == 1


async def test_the_reader_is_closed_at_the_end(
    open_app: OpenApp, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(empty_store) as driver:
        closed: list[bool] = []
        close = driver.app.reader.close

        def closing() -> None:
            closed.append(True)
            close()

        monkeypatch.setattr(driver.app.reader, "close", closing)
    assert closed == [True]
