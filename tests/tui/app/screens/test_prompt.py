"""The question in the middle of the screen."""

from __future__ import annotations

from textual.app import App
from textual.widgets import Input, Static

from tui.app.screens.prompt import Prompt


class Asking(App[None]):
    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt
        self.answers: list[str | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.prompt, self.answers.append)


async def test_the_answer_comes_without_the_space_around_it() -> None:
    app = Asking(Prompt("Why [b]this[/b]?", "kept"))
    async with app.run_test() as pilot:
        await pilot.press("space", "n", "o", "space", "enter")
        await pilot.pause()
    assert app.answers == ["no"]


async def test_what_is_required_is_asked_for_again_and_escape_gives_up() -> None:
    app = Asking(Prompt("Why?", "kept", required=True))
    async with app.run_test() as pilot:
        await pilot.press("space", "enter")
        await pilot.pause()
        assert app.answers == []
        assert "An answer is needed" in str(app.prompt.query_one("#prompt-hint", Static).render())
        await pilot.press("escape")
        await pilot.pause()
    assert app.answers == [None]


async def test_a_value_stands_there_to_be_confirmed() -> None:
    app = Asking(Prompt("Folder", "made", value="migrations", required=True))
    async with app.run_test() as pilot:
        assert app.prompt.query_one(Input).value == "migrations"
        await pilot.press("enter")
        await pilot.pause()
    assert app.answers == ["migrations"]
