"""What all screens share: they read the store in a thread each second and show what came.

A screen implements two methods: ``load`` runs in a worker thread and returns data; ``show`` runs in the
event loop and places it. Between the two lies one message, so that no thread ever touches a widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from tui.advice_view import UnreadableAdviceError
from tui.app.reading import NotThereError, Reader
from tui.app.status import Status, next_step
from tui.app.widgets.nav import NavBar
from workload.store import StoreError

if TYPE_CHECKING:
    from tui.app.application import PgcoachApp

Data = TypeVar("Data")


class StoreScreen(Screen[None], Generic[Data]):
    """A screen that shows one reading of the store."""

    MODE: ClassVar[str] = ""
    """The mode that the navigation bar marks."""
    NEEDS_TRAFFIC: ClassVar[bool] = True
    """Whether to show what to do next instead of the body while nothing was recorded."""
    FOCUS: ClassVar[str] = "ListTable"
    """Selector of the widget that the keys go to. It loses the focus while it is hidden (an empty list, a
    store without traffic) and gets it back with the first data."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "reload", "Reload", show=False, id="reload"),
    ]

    @dataclass
    class Loaded(Message):
        """``load`` is through."""

        data: object

    @dataclass
    class Failed(Message):
        """``load`` raised what a store raises."""

        error: str

    @dataclass
    class Refused(Message):
        """Something that the person asked for was not done."""

        error: str

    def __init__(self) -> None:
        super().__init__()
        self._loading = False
        self._outdated = False
        """Something was written since the reading under way began: read once more after it."""
        self.data: Data | None = None
        """What is shown."""

    @property
    def pgcoach(self) -> PgcoachApp:
        return cast("PgcoachApp", self.app)

    @property
    def busy(self) -> bool:
        """Whether a reading is under way, or came and is not shown yet."""
        return self._loading

    @property
    def reader(self) -> Reader:
        return self.pgcoach.reader

    @property
    def now(self) -> float:
        return self.pgcoach.now()

    def load(self) -> Data:
        """Read the store. In a thread. Raises StoreError."""
        raise NotImplementedError

    def show(self, data: Data) -> None:
        """Place what was read."""
        raise NotImplementedError

    def status_of(self, data: Data) -> Status | None:
        """The status inside the data; None where it has none."""
        return getattr(data, "status", None)

    def body(self) -> ComposeResult:
        """The widgets between navigation and footer."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield NavBar(self.MODE)
        yield Static(id="problem")
        yield Static(id="next-step")
        with Container(id="body"):
            yield from self.body()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#body").loading = True
        if self.pgcoach.refresh_seconds is not None:
            self.set_interval(self.pgcoach.refresh_seconds, self._tick)

    def on_screen_resume(self) -> None:
        self.action_reload()

    def _tick(self) -> None:
        if self.is_current and not self._loading:
            self.action_reload()

    def action_reload(self) -> None:
        """Read again; where a reading is under way, once more after it."""
        self._outdated = self._loading
        if not self._loading:
            self._loading = True
            self._load()

    def _finished(self) -> None:
        self._loading = False
        if self._outdated:
            self.action_reload()

    @work(thread=True, group="load")
    def _load(self) -> None:
        try:
            data = self.load()
        except (StoreError, NotThereError, UnreadableAdviceError, OSError) as error:
            self.post_message(self.Failed(str(error)))
        else:
            self.post_message(self.Loaded(data))

    @on(Loaded)
    def _show_loaded(self, message: Loaded) -> None:
        message.stop()
        self._finished()
        self.data = data = cast("Data", message.data)
        status = self.status_of(data)
        step = None
        if status is not None:
            self.pgcoach.status = status
            step = next_step(status) if self.NEEDS_TRAFFIC else None
        self.query_one("#problem").display = False
        self._place(step)
        if step is None:
            self.show(data)
            if self.focused is None:
                self.query_one(self.FOCUS).focus()

    @on(Failed)
    def _show_failed(self, message: Failed) -> None:
        message.stop()
        self._finished()
        self.query_one("#body").loading = False
        problem = self.query_one("#problem", Static)
        problem.update(Content(f"⚠ {message.error}"))
        problem.display = True

    @on(Refused)
    def _show_refused(self, message: Refused) -> None:
        message.stop()
        self.notify(message.error, severity="error", timeout=15, markup=False)

    def _place(self, step: str | None) -> None:
        body = self.query_one("#body")
        body.loading = False
        body.display = step is None
        shown = self.query_one("#next-step", Static)
        shown.display = step is not None
        if step is not None:
            shown.update(Content(step))


class DetailScreen(StoreScreen[Data]):
    """A screen on top of a list: escape goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.pop_screen", "Back", id="back"),
    ]
