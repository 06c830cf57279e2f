"""The application: modes, themes, the reader, and what every screen may ask of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.worker import WorkerFailed

from tui.app.reading import Reader
from tui.app.screens.export import ExportScreen
from tui.app.screens.findings import FindingsScreen
from tui.app.screens.help import HelpScreen
from tui.app.screens.inbox import InboxScreen
from tui.app.screens.overview import OverviewScreen
from tui.app.screens.queries import QueriesScreen
from tui.app.status import Status
from tui.app.widgets.nav import MODE_TITLES

OTHER_THEME = {
    "textual-dark": "textual-light",
    "textual-light": "textual-dark",
    "ansi-dark": "ansi-light",
    "ansi-light": "ansi-dark",
    "solarized-dark": "solarized-light",
    "solarized-light": "solarized-dark",
}
"""What `t` switches to; from any other theme it goes to the default one of the opposite brightness."""

REFRESH_SECONDS = 1.0


class PgcoachApp(App[None]):
    """Looks at one store: live while the proxy writes it, or afterwards."""

    TITLE = "pgcoach"
    CSS_PATH = "style.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": OverviewScreen,
        "queries": QueriesScreen,
        "findings": FindingsScreen,
        "advice": InboxScreen,
        "export": ExportScreen,
    }
    DEFAULT_MODE = "overview"
    # Not annotated as ClassVar: Textual declares them so that mypy takes them for instance variables.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"switch_mode('{mode}')", title, show=False, id=f"mode.{mode}")
            for number, (mode, title) in enumerate(MODE_TITLES.items(), 1)
        ),
        Binding("A", "advise", "Run advise", show=False, id="advise"),
        Binding("t", "toggle_theme", "Dark/light", show=False, id="theme"),
        Binding("question_mark,f1", "help", "Help", key_display="?", id="help"),
        Binding("q", "back_or_quit", "Quit", id="quit"),
    ]

    status: reactive[Status | None] = reactive(None)
    """Where the data comes from and how fresh it is; the navigation bar shows it."""

    def __init__(
        self,
        store_location: str,
        *,
        target: str | None = None,
        now: Callable[[], float] = time.time,
        refresh_seconds: float | None = REFRESH_SECONDS,
    ) -> None:
        """``target`` is the database that `A` proves advice on; ``refresh_seconds`` None reads only when
        asked to, which tests and pictures want. ``now`` gives epoch seconds."""
        super().__init__()
        self.now = now
        self.target = target
        self.refresh_seconds = refresh_seconds
        self.reader = Reader(store_location, now)

    def on_unmount(self) -> None:
        self.reader.close()

    @property
    def failure(self) -> Exception | None:
        """The defect that ended the application; None when it ended as it should."""
        error = self._exception
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            return error.error
        return error

    def _fatal_error(self) -> None:
        """Ends without Textual's own report: it prints local variables, which hold production data.

        Whoever runs the application reports ``failure``; PGCOACH_DEBUG=1 brings the full report back.
        """
        if os.environ.get("PGCOACH_DEBUG"):
            super()._fatal_error()
        else:
            self._close_messages_no_wait()

    def action_back_or_quit(self) -> None:
        """`q` leaves a detail screen; on the first level it ends the application."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit()

    def action_toggle_theme(self) -> None:
        fallback = "textual-light" if self.current_theme.dark else "textual-dark"
        self.theme = OTHER_THEME.get(self.theme, fallback)

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_advise(self) -> None:
        from tui.app.advising import start

        start(self)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        yield from super().get_system_commands(screen)
        for mode, title in MODE_TITLES.items():
            yield SystemCommand(f"Go to {title}", f"Switch to the {title.lower()} screen", self._mode(mode))
        yield SystemCommand("Run advise", "Look for indexes and batched statements now", self.action_advise)

    def _mode(self, mode: str) -> Callable[[], object]:
        return lambda: self.switch_mode(mode)
