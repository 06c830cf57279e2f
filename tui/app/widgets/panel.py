"""Boxes with a title that hold text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events
from textual.content import Content
from textual.widgets import Static


class Panel(Static):
    """Text in a titled box. The text is data, never markup."""

    def __init__(self, title: str, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes)
        self.border_title = Content(title).markup
        self._shown: str | None = None

    def set_text(self, text: str) -> None:
        """Replaces the text; an unchanged one costs nothing."""
        if text != self._shown:
            self._shown = text
            self.update(Content(text))

    def set_lines(self, lines: Iterable[str]) -> None:
        self.set_text("\n".join(lines))


class Chart(Panel):
    """A panel whose text depends on its size: drawn again when either changes."""

    def __init__(self, title: str, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(title, id=id, classes=classes)
        self._drawing: Callable[[int, int], Sequence[str]] | None = None

    def draw(self, drawing: Callable[[int, int], Sequence[str]]) -> None:
        """``drawing`` is given width and height in cells, and answers with lines."""
        self._drawing = drawing
        self._redraw()

    def on_resize(self, _event: events.Resize) -> None:
        self._redraw()

    def _redraw(self) -> None:
        width, height = self.content_size
        if self._drawing is not None and width:
            self.set_lines(self._drawing(width, height))
