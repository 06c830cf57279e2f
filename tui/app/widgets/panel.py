"""Boxes with a title that hold text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual import events
from textual.content import Content
from textual.highlight import highlight
from textual.widgets import Static

BLOCKS = "[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉]+"
STYLES = ((BLOCKS, "$primary"), ("⚠[^\n]*", "$text-warning"), ("✓", "$text-success"))
"""What is coloured wherever it stands. Each is a sign already: colour only helps to find it."""


class Panel(Static):
    """Text in a titled box. The text is data, never markup."""

    def __init__(self, title: str, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes)
        self.border_title = Content(title).markup
        self._shown: str | None = None

    def set_text(self, text: str, language: str = "") -> None:
        """Replaces the text, coloured as code of that language; an unchanged one costs nothing."""
        if text == self._shown:
            return
        self._shown = text
        if language:
            self.update(highlight(text, language=language))
            return
        content = Content(text)
        for pattern, style in STYLES:
            content = content.highlight_regex(pattern, style=style)
        self.update(content)

    def set_lines(self, lines: Iterable[str], language: str = "") -> None:
        self.set_text("\n".join(lines), language)


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
