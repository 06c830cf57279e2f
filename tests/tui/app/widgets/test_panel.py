"""Boxes of text: data is never markup, and what did not change is not drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult

from tui.app.widgets.panel import Chart, Panel


class Boxes(App[None]):
    def compose(self) -> ComposeResult:
        yield Panel("[b]not bold[/b]", id="panel")
        yield Chart("Chart", id="chart")


async def test_text_and_title_are_shown_as_they_are() -> None:
    async with Boxes().run_test(size=(40, 10)) as pilot:
        panel = pilot.app.query_one("#panel", Panel)
        panel.set_lines(["a[1]", "⚠ [red]lost[/red]"])
        assert str(panel.render()) == "a[1]\n⚠ [red]lost[/red]"
        panel.set_text("SELECT a[1]", "postgresql")
        assert str(panel.render()).rstrip() == "SELECT a[1]"
        assert panel.border_title is not None
        assert "not bold" in panel.border_title
        assert panel.border_title.startswith("\\[b]")


async def test_an_unchanged_text_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Boxes().run_test(size=(40, 10)) as pilot:
        panel = pilot.app.query_one("#panel", Panel)
        panel.set_text("one")
        updates: list[object] = []
        monkeypatch.setattr(panel, "update", updates.append)
        panel.set_text("one")
        assert updates == []
        panel.set_text("two")
        assert len(updates) == 1


async def test_a_chart_is_drawn_for_its_size_and_again_for_another() -> None:
    sizes: list[int] = []

    def drawing(width: int, height: int) -> Sequence[str]:
        sizes.append(width)
        return [f"{width} wide"]

    async with Boxes().run_test(size=(40, 10)) as pilot:
        chart = pilot.app.query_one(Chart)
        chart.draw(drawing)
        assert str(chart.render()) == f"{chart.content_size.width} wide"
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert str(chart.render()) == f"{chart.content_size.width} wide"
    assert len(set(sizes)) == 2
