"""What the keys do, and what the signs mean."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.app.rows import FLAG_LEGEND, STATE_MARKS

KEYS = (
    (
        "Everywhere",
        (
            ("1 … 5", "overview, queries, findings, advice, export"),
            ("j k g G", "down, up, first, last; ctrl+d and ctrl+u by page; arrows work too"),
            ("enter, esc", "open, back"),
            ("q", "back; quits on the first level (ctrl+q quits at once)"),
            ("A", "look for advice now"),
            ("t", "dark or light"),
            ("ctrl+p", "command palette: all commands, all themes"),
            ("ctrl+r", "read the store now"),
            ("?", "this page"),
        ),
    ),
    (
        "Queries",
        (
            ("/", "filter; enter keeps it, esc clears it"),
            ("s S", "sort by the next column, reverse; or click on a heading"),
        ),
    ),
    ("Findings", (("y", "copy the repeated statement"),)),
    ("One query", (("p", "laid out or as recorded"), ("y Y", "copy the statement, a runnable sample"))),
    (
        "Advice",
        (
            ("a r z u", "accept, reject with a reason, snooze, open again"),
            ("space", "mark; the keys then apply to all that is marked"),
            ("y", "copy the SQL"),
            ("w", "export what is accepted"),
        ),
    ),
    ("Export", (("f", "next format"), ("o", "folder"), ("w", "write the files"))),
)

FILTERS = (
    "words        found in the statement",
    "p95>50ms     also mean p50 p99 max total; units us ms s",
    "calls>1k     also errors, rows",
    "load>5%      share of the total time",
    "table:orders also op: db: app:",
    "is:n+1       also is:advice is:slow is:error",
    "!word        not; all parts must hold",
)


def help_text() -> str:
    lines = []
    for heading, keys in KEYS:
        lines.append(heading)
        lines += [f"  {key:<12}{meaning}" for key, meaning in keys]
        lines.append("")
    lines += ["Filter", *("  " + line for line in FILTERS), ""]
    lines += ["Flags", f"  {FLAG_LEGEND}", ""]
    lines += ["States", "  " + "  ".join(f"{mark} {state}" for state, mark in STATE_MARKS.items())]
    return "\n".join(lines)


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "Close"),
        Binding("j", "scroll('down')", "Down", show=False),
        Binding("k", "scroll('up')", "Up", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "Help"
            box.border_subtitle = "esc closes"
            yield Static(Content(help_text()))

    def on_mount(self) -> None:
        self.query_one("#help").focus()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#help"), f"scroll_{where}")(animate=False)
