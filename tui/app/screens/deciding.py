"""Accept, reject and snooze: the same keys in the inbox and in the detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.app.reading import NotThereError
from tui.app.screens.base import StoreScreen
from tui.app.screens.prompt import Prompt
from workload.store import StoreError

Data = TypeVar("Data")


class DecidingScreen(StoreScreen[Data], Generic[Data]):
    """A screen on which advice can be decided. Implements the keys; asks the screen what they are about."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "decide('accepted')", "Accept", id="advice.accept"),
        Binding("r", "reject", "Reject…", id="advice.reject"),
        Binding("z", "decide('snoozed')", "Snooze", id="advice.snooze"),
        Binding("u", "decide('new')", "Undecide", show=False, id="advice.undo"),
    ]

    @dataclass
    class Decided(Message):
        """The store took the decision."""

        ids: Sequence[str]
        state: str

    def subjects(self) -> Sequence[str]:
        """Ids of the advice that a key is about now."""
        raise NotImplementedError

    def decided(self) -> None:
        """Called after a decision was written."""

    def action_decide(self, state: str, reason: str = "") -> None:
        ids = tuple(self.subjects())
        if ids:
            self._write(ids, state, reason)

    def action_reject(self) -> None:
        ids = tuple(self.subjects())
        if not ids:
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                self._write(ids, "rejected", reason)

        what = "this advice" if len(ids) == 1 else f"{len(ids)} pieces of advice"
        self.app.push_screen(Prompt(f"Why reject {what}?", "kept with the decision", required=True), answered)

    @work(thread=True, group="decide")
    def _write(self, ids: Sequence[str], state: str, reason: str) -> None:
        try:
            self.reader.decide(ids, state, reason)
        except (StoreError, NotThereError) as error:
            self.post_message(self.Refused(f"not saved: {error}"))
        else:
            self.post_message(self.Decided(ids, state))

    @on(Decided)
    def _show_decided(self, message: Decided) -> None:
        message.stop()
        word = "open again" if message.state == "new" else message.state
        number = len(message.ids)
        self.notify(f"{number} pieces of advice {word}." if number > 1 else f"Advice {word}.")
        self.decided()
        self.action_reload()
