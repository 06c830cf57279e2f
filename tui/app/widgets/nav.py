"""The line at the top: where one can go, and how fresh the data is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from tui.app.application import PgcoachApp

MODE_TITLES = {
    "overview": "Overview",
    "queries": "Queries",
    "findings": "Findings",
    "advice": "Advice",
    "export": "Export",
}
"""Modes in the order of their number keys."""


class NavBar(Horizontal):
    """Screens by number (clickable), and the state of the store on the right."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="nav")
        self.mode = mode

    def compose(self) -> ComposeResult:
        for number, (mode, title) in enumerate(MODE_TITLES.items(), 1):
            here = mode == self.mode
            markup = f"[@click=app.switch_mode('{mode}')][b]{number}[/b] {title}[/]"
            yield Static(Content.from_markup(markup), classes="nav-item -here" if here else "nav-item")
        yield Static(id="nav-status")

    def on_mount(self) -> None:
        self.watch(self.app, "status", self._show_status)

    def _show_status(self) -> None:
        status = cast("PgcoachApp", self.app).status
        shown = self.query_one("#nav-status", Static)
        if status is None:
            shown.update("")
            return
        shown.update(Content(status.line))
        shown.set_class(status.warning, "-warning")
