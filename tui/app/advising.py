"""Running the advisor from the screens, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from advisor.advise import AdviseError, advise
from proxy.dsn import DsnError
from tui.app.reading import NotThereError, Reader
from tui.format import counted, one_line
from tui.target import TargetError, resolve_target
from workload.store import StoreError

if TYPE_CHECKING:
    from tui.app.application import PgcoachApp

GROUP = "advise"


def start(app: PgcoachApp) -> None:
    """Looks for advice in the background and tells how it went. One run at a time."""
    if any(worker.group == GROUP and not worker.is_finished for worker in app.workers):
        app.notify("Already looking for advice.")
        return
    app.notify("Looking for advice; it appears here when it is proved.", title="Advise")
    app.run_worker(lambda: _run(app), thread=True, group=GROUP, name="advise")


def _run(app: PgcoachApp) -> None:
    try:
        text = look(app.reader, app.target)
    except (AdviseError, TargetError, NotThereError, StoreError, DsnError) as error:
        app.call_from_thread(
            app.notify, one_line(str(error)), title="Advise", severity="error", timeout=15, markup=False
        )
    else:
        app.call_from_thread(app.notify, text, title="Advise", timeout=10, markup=False)


def look(reader: Reader, target: str | None) -> str:
    """Runs the advisor to its end; what came of it in a sentence.

    Raises AdviseError, TargetError, NotThereError, StoreError, DsnError.
    """
    store = reader.required()
    report = asyncio.run(advise(store, resolve_target(target, os.environ, store)))
    found = counted(len(report.advice), "piece of advice", "pieces of advice")
    text = f"{found} proved, {counted(len(report.rejections), 'candidate')} dropped."
    return " ".join([text, *report.notes])
