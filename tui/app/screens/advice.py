"""One piece of advice: what to do, why, the proof, plans before and after, what to mind, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.advice_view import AdviceView, PlanPair, Section, cost
from tui.app.reading import AdviceDetail
from tui.app.rows import state_label
from tui.app.screens.base import DetailScreen
from tui.app.screens.deciding import DecidingScreen
from tui.app.widgets.panel import Panel
from tui.format import age, clip, speedup


class AdviceScreen(DecidingScreen[AdviceDetail], DetailScreen[AdviceDetail]):
    MODE = "advice"
    NEEDS_TRAFFIC = False
    FOCUS = "#detail"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy SQL", id="advice.copy"),
        Binding("j", "scroll('down')", "Down", show=False),
        Binding("k", "scroll('up')", "Up", show=False),
        Binding("g", "scroll('home')", "Top", show=False),
        Binding("G", "scroll('end')", "End", show=False),
    ]

    def __init__(self, advice_id: str) -> None:
        super().__init__()
        self.advice_id = advice_id
        self._built: bytes | None = None
        """The document that the widgets show: they are built again only when it changes."""

    def body(self) -> ComposeResult:
        with VerticalScroll(id="detail"):
            yield Static(id="advice-head")
            yield Vertical(id="advice-sections")

    def subjects(self) -> Sequence[str]:
        return [self.advice_id]

    def load(self) -> AdviceDetail:
        return self.reader.advice_detail(self.advice_id)

    def show(self, data: AdviceDetail) -> None:
        view = data.view
        self.query_one("#advice-head", Static).update(Content("\n".join(self._head(data))))
        if self._built != data.record.document:
            self._built = data.record.document
            holder = self.query_one("#advice-sections", Vertical)
            holder.remove_children()
            holder.mount_all(sections(view))

    def _head(self, data: AdviceDetail) -> list[str]:
        view = data.view
        lines = [view.title, f"{state_label(view.state)}   {view.kind}   {view.database}   {view.benefit}"]
        if view.remark:
            lines.append(view.remark)
        steps = [
            f"{step.state} {age(self.now - step.at)} ago" for step in data.history if step.state != "new"
        ]
        if steps:
            lines.append("history: " + ", ".join(steps))
        return lines

    def action_copy(self) -> None:
        if self.data is not None:
            self.app.copy_to_clipboard("\n".join(self.data.view.change.lines) + "\n")
            self.notify("The SQL is on the clipboard.")

    def action_scroll(self, where: str) -> None:
        detail = self.query_one("#detail", VerticalScroll)
        getattr(detail, f"scroll_{where}")(animate=False)


def sections(view: AdviceView) -> list[Panel | Horizontal]:
    """The panels in reading order."""
    change = _panel(view.change)
    return [
        change if view.instead is None else _side_by_side(change, _panel(view.instead)),
        *(_panel(section) for section in view.why),
        *(_plans(pair) for pair in view.plans),
        *(_panel(section) for section in view.care),
    ]


def _panel(section: Section) -> Panel:
    panel = Panel(section.title)
    panel.set_lines(section.lines, section.language)
    return panel


def _side_by_side(left: Panel, right: Panel) -> Horizontal:
    """Beside each other where there is room, one under the other on a narrow screen."""
    left.add_class("half")
    right.add_class("half")
    return Horizontal(left, right, classes="halves")


def _plans(pair: PlanPair) -> Horizontal:
    before = Panel(f"Plan before · cost {cost(pair.cost_before)}")
    before.set_lines(pair.before)
    gain = speedup(pair.cost_before, pair.cost_after)
    after = Panel(f"Plan after · cost {cost(pair.cost_after)} · {gain}")
    after.set_lines(pair.after)
    after.border_subtitle = Content(clip(pair.query, 60)).markup
    return _side_by_side(before, after)
