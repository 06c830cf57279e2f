"""Every screen at both sizes, as text. Update with PGCOACH_UPDATE_SNAPSHOTS=1 and read the difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SIZES = ((80, 24), (160, 45))
VISITS: dict[str, tuple[str, ...]] = {
    "overview": (),
    "queries": ("2",),
    "query": ("2", "enter"),
    "findings": ("3",),
    "inbox": ("4",),
    "advice-index": ("4", "enter"),
    "advice-batch": ("4", "j", "enter"),
    "export-nothing-accepted": ("5",),
    "help": ("question_mark",),
    "reject": ("4", "r"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", VISITS)
async def test_screen(
    open_app: Any,
    store_path: Path,
    matches_snapshot: Callable[[str, str], None],
    name: str,
    size: tuple[int, int],
) -> None:
    async with open_app(store_path, size=size) as driver:
        await driver.press(*VISITS[name])
        matches_snapshot(f"{name}-{size[0]}x{size[1]}", driver.text)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_nothing_yet(
    open_app: Any, tmp_path: Path, matches_snapshot: Callable[[str, str], None], size: tuple[int, int]
) -> None:
    async with open_app(tmp_path / "none.db", size=size) as driver:
        matches_snapshot(f"no-store-{size[0]}x{size[1]}", driver.text)
        for key in "2345":
            await driver.press(key)
            assert "pgcoach up --upstream" in driver.text


async def test_no_traffic_names_the_exact_dsn(
    open_app: Any, empty_store: Path, matches_snapshot: Callable[[str, str], None]
) -> None:
    async with open_app(empty_store) as driver:
        matches_snapshot("no-traffic-80x24", driver.text)
        assert "postgresql://app@127.0.0.1:6432/shop" in driver.text
