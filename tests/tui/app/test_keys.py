"""What the keys do, on a store that others write at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tui.app.screens.export import ExportScreen
from tui.app.screens.help import HelpScreen
from tui.app.screens.inbox import InboxScreen
from tui.app.screens.overview import OverviewScreen
from tui.app.screens.prompt import Prompt
from tui.app.screens.queries import QueriesScreen
from tui.app.screens.query import QueryScreen
from tui.app.widgets.table import ListTable
from workload.store import Store
from workload.store.writing import Batch, Increment

if TYPE_CHECKING:
    from tests.tui.conftest import Driver


def states(path: Path) -> dict[str, tuple[str, str]]:
    with Store.open(path, create=False) as store:
        return {record.id: (record.state, record.reason) for record in store.advice()}


def opened(driver: Driver) -> int:
    """The query whose detail is on the screen."""
    screen = driver.app.screen
    assert isinstance(screen, QueryScreen)
    return screen.query_id


async def test_numbers_switch_screens_and_q_ends(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        assert isinstance(driver.app.screen, OverviewScreen)
        for key, mode in (
            ("2", "queries"),
            ("3", "findings"),
            ("4", "advice"),
            ("5", "export"),
            ("1", "overview"),
        ):
            await driver.press(key)
            assert driver.app.current_mode == mode
        await driver.pilot.press("q")
        await driver.pilot.pause()
        assert driver.app.return_code == 0


async def test_enter_opens_and_escape_or_q_goes_back(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        for back in ("escape", "q"):
            await driver.press("2", "j", "enter")
            assert opened(driver) == 3
            await driver.press(back)
            assert isinstance(driver.app.screen, QueriesScreen)
            await driver.press("k")
        await driver.press("1", "enter")
        assert opened(driver) == 1
        await driver.press("escape", "3", "enter")
        assert opened(driver) == 2


async def test_vim_keys_move(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2")
        table = driver.app.screen.query_one(ListTable)
        await driver.press("j", "j", "k")
        assert table.cursor_row == 1
        await driver.press("G")
        assert table.cursor_row == 6
        await driver.press("g")
        assert table.cursor_row == 0


async def test_sorting_by_key_and_by_heading(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2")
        screen = driver.app.screen
        table = screen.query_one(ListTable)
        assert table.keys[0] == "1"
        await driver.press("s")
        assert "calls▼" in driver.text
        assert table.keys[0] == "2"
        await driver.press("S")
        assert "calls▲" in driver.text
        assert table.keys[-1] == "2"
        await driver.pilot.click(ListTable, offset=(22, 1))
        await driver.settle()
        assert "mean▼" in driver.text
        assert table.keys[0] == "3"


async def test_the_cursor_follows_its_query_when_the_order_changes(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2", "j", "j")
        table = driver.app.screen.query_one(ListTable)
        assert table.selected == "2"
        with Store.open(store_path) as store:
            batch = Batch(at=1_800_000_000.0)
            batch.add(
                Increment(
                    query_id=2,
                    at=1_800_000_000.0,
                    calls=1,
                    timed_calls=1,
                    total_us=900_000_000,
                    max_us=900_000_000,
                )
            )
            store.write(batch)
        await driver.press("ctrl+r")
        assert table.keys[0] == "2"
        assert table.selected == "2"
        assert table.cursor_row == 0


async def test_filter(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2", "slash")
        await driver.type("is:n+1")
        table = driver.app.screen.query_one(ListTable)
        assert table.keys == ("1", "2")
        assert "2 of 7 queries" in driver.text
        await driver.press("enter", "j")
        assert table.has_focus
        assert table.selected == "2"
        await driver.press("slash")
        assert "is:n+1" in driver.text
        await driver.type(" calls>zz")
        assert "is not a number" in driver.text
        await driver.press("escape")
        assert len(table.keys) == 7


async def test_a_filter_that_matches_nothing_says_how_to_get_out(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2", "slash")
        await driver.type("zebra")
        await driver.press("enter")
        assert "0 of 7 queries" in driver.text
        assert "filter: zebra · esc clears" in driver.text
        await driver.press("enter", "escape")
        assert "7 queries" in driver.text


async def test_accept_reject_snooze_and_undo_are_written(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4", "a")
        assert states(store_path)["ix1"] == ("accepted", "")
        await driver.press("g", "r")
        assert isinstance(driver.app.screen, Prompt)
        await driver.press("enter")
        assert isinstance(driver.app.screen, Prompt)
        assert "An answer is needed" in driver.text
        await driver.type("slow")
        await driver.press("enter")
        assert isinstance(driver.app.screen, InboxScreen)
        assert states(store_path)["ba1"] == ("rejected", "slow")
        await driver.press("g", "z")
        assert states(store_path)["ix1"] == ("snoozed", "")
        await driver.press("u")
        assert states(store_path)["ix1"] == ("new", "")


async def test_going_back_from_the_question_decides_nothing(open_app: Any, store_path: Path) -> None:
    before = states(store_path)
    async with open_app(store_path) as driver:
        await driver.press("4", "r")
        await driver.type("x")
        await driver.press("escape")
        assert isinstance(driver.app.screen, InboxScreen)
    assert states(store_path) == before


async def test_marks_apply_a_decision_to_many(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4", "space", "space")
        assert "2 marked" in driver.text
        await driver.press("a")
        assert states(store_path)["ix1"][0] == states(store_path)["ba1"][0] == "accepted"
        assert "marked" not in driver.text
        await driver.press("space", "escape")
        assert "marked" not in driver.text


async def test_deciding_on_the_detail_screen(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4", "enter", "r")
        await driver.type("no")
        await driver.press("enter")
        assert "Reason given: no" in driver.text
        assert "✗ rejected" in driver.text
        assert states(store_path)["ix1"] == ("rejected", "no")


async def test_copy_reaches_the_clipboard(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4", "enter", "y")
        assert driver.app.clipboard.startswith("CREATE INDEX CONCURRENTLY")
        await driver.press("q", "2", "enter", "Y")
        wanted = "SELECT id, name, price FROM products WHERE category_id = 7 ORDER BY id;"
        assert driver.app.clipboard == wanted
        await driver.press("y")
        assert "category_id = $1" in driver.app.clipboard


async def test_pretty_and_raw(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("2", "enter")
        assert "     , name" in driver.text
        await driver.press("p")
        assert "SELECT id, name, price FROM products" in driver.text


async def test_export_writes_the_files_and_empties_the_basket(
    open_app: Any, store_path: Path, tmp_path: Path
) -> None:
    async with open_app(store_path, size=(160, 45)) as driver:
        await driver.press("4", "space", "space", "a", "w")
        assert isinstance(driver.app.screen, ExportScreen)
        assert "2 accepted" in driver.text
        assert "CREATE INDEX CONCURRENTLY" in driver.text
        assert "~/migrations" in driver.text
        assert not (tmp_path / "migrations").exists()
        await driver.press("w")
        assert "Nothing is accepted" in driver.text
    assert sorted(path.suffix for path in (tmp_path / "migrations").rglob("*.*")) == [".md", ".sql", ".sql"]
    assert states(store_path)["ix1"][0] == states(store_path)["ba1"][0] == "exported"


async def test_export_says_what_is_in_the_way_and_takes_another_folder(
    open_app: Any, store_path: Path, tmp_path: Path
) -> None:
    async with open_app(store_path) as driver:
        await driver.press("4", "a", "5", "f")
        assert "no Alembic project" in driver.text
        await driver.press("w")
        assert states(store_path)["ix1"][0] == "accepted"
        await driver.press("f", "o", "ctrl+u")
        await driver.type("elsewhere")
        await driver.press("enter")
        assert "~/elsewhere" in driver.text
        await driver.press("w")
    assert list((tmp_path / "elsewhere").glob("001_*.sql"))


async def test_help_opens_and_closes(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        await driver.press("question_mark")
        assert isinstance(driver.app.screen, HelpScreen)
        await driver.press("escape")
        assert isinstance(driver.app.screen, OverviewScreen)


@pytest.mark.parametrize(
    ("theme", "other"),
    [("textual-dark", "textual-light"), ("ansi-light", "ansi-dark"), ("nord", "textual-light")],
)
async def test_t_switches_between_dark_and_light(
    open_app: Any, store_path: Path, theme: str, other: str
) -> None:
    async with open_app(store_path) as driver:
        driver.app.theme = theme
        await driver.press("t")
        assert driver.app.theme == other


async def test_the_palette_knows_the_screens(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path) as driver:
        titles = [command.title for command in driver.app.get_system_commands(driver.app.screen)]
    assert "Go to Advice" in titles
    assert "Run advise" in titles


async def test_advise_without_a_target_is_told_not_thrown(open_app: Any, store_path: Path) -> None:
    with Store.open(store_path) as store:
        store.set_meta("upstream", "")
    async with open_app(store_path) as driver:
        await driver.press("A")
        assert any("--target URL" in note.message for note in driver.app._notifications)
        assert driver.app.is_running


async def test_resizing_keeps_the_essentials(open_app: Any, store_path: Path) -> None:
    async with open_app(store_path, size=(160, 45)) as driver:
        await driver.press("2")
        assert "p99" in driver.text
        await driver.pilot.resize_terminal(80, 24)
        await driver.settle()
        assert "p99" not in driver.text
        for title in ("load▼", "calls", "mean", "p95", "rows", "flag", "query"):
            assert title in driver.text
