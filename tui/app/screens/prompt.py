"""Small questions in the middle of the screen."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Prompt(ModalScreen[str | None]):
    """Asks for a line of text; None when the person went back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, title: str, hint: str, *, value: str = "", required: bool = False) -> None:
        super().__init__()
        self._title = title
        self._hint = hint
        self._value = value
        self._required = required

    def compose(self) -> ComposeResult:
        with Vertical(id="prompt") as box:
            box.border_title = "Your answer"
            yield Static(Content(self._title), id="prompt-title")
            yield Input(self._value, id="prompt-input")
            yield Static(Content(f"{self._hint} · enter confirms, esc goes back"), id="prompt-hint")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submit(self, message: Input.Submitted) -> None:
        message.stop()
        answer = message.value.strip()
        if self._required and not answer:
            self.query_one("#prompt-hint", Static).update("An answer is needed · esc goes back")
            return
        self.dismiss(answer)

    def action_cancel(self) -> None:
        self.dismiss(None)
