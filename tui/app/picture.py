"""``python -m tui.app.picture``: a picture of a screen, taken from the real application on a real store.

It is how the picture in the README is made: nothing in it is drawn by hand.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from textual.pilot import Pilot

from tui.app.application import PgcoachApp
from tui.app.screens.base import StoreScreen
from tui.cli import errors
from tui.cli.options import Store, existing_store
from workload.store import Store as OpenStore

command = App(name="picture", help="Save a picture (SVG) of a screen of the application.")


@command.default
def picture(
    *,
    out: Annotated[Path, Parameter(help="The SVG file.")],
    store: Store = None,
    keys: Annotated[str, Parameter(help="Keys to press first, with spaces between: '4 enter'.")] = "",
    width: int = 120,
    height: int = 34,
    theme: Annotated[str, Parameter(help="A theme of Textual.")] = "textual-dark",
) -> None:
    """Save a picture of the application, as it looked when the store was last written."""
    location = existing_store(store)
    with OpenStore.open(location, create=False) as opened:
        written = opened.last_write() or time.time()
    svg = asyncio.run(take(location, keys.split(), width, height, theme, written))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(svg, encoding="utf-8")
    print(out)


async def take(location: str, keys: list[str], width: int, height: int, theme: str, now: float) -> str:
    """The SVG after these keys; ``now`` is the instant (epoch seconds) that the screen shows."""
    app = PgcoachApp(location, now=lambda: now, refresh_seconds=None)
    async with app.run_test(size=(width, height)) as pilot:
        app.theme = theme
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        return app.export_screenshot(title="pgcoach")


async def settle(pilot: Pilot[None]) -> None:
    """Returns when no worker runs and what they brought is on the screen, or when the application failed."""
    app = pilot.app
    while app._exception is None:
        await app.workers.wait_for_complete()
        await pilot.pause()
        busy = isinstance(app.screen, StoreScreen) and app.screen.busy
        if not busy and all(worker.is_finished for worker in app.workers):
            # Once more, so that what was just placed is laid out and painted.
            await pilot.pause()
            return


if __name__ == "__main__":
    raise SystemExit(errors.run(lambda: command(result_action="return_value")))
