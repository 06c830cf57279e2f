"""Where the store is, and what is said where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.cli.errors import USAGE, CommandError
from tui.cli.options import AT_LEAST_ONE, existing_store, store_location
from tui.location import default_store


def test_the_given_location_wins_over_the_default(tmp_path: Path) -> None:
    assert store_location("x.db") == "x.db"
    assert store_location(None) == store_location("") == default_store()


def test_a_store_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a b.db"
    path.touch()
    assert existing_store(str(path)) == str(path)


def test_neither_nothing_nor_a_directory_is_a_store(tmp_path: Path) -> None:
    for path in (tmp_path / "none.db", tmp_path):
        with pytest.raises(CommandError, match="--store") as told:
            existing_store(str(path))
        assert told.value.exit_code == USAGE


def test_how_many_is_at_least_one() -> None:
    AT_LEAST_ONE(int, 1)
    with pytest.raises(ValueError, match=">= 1"):
        AT_LEAST_ONE(int, 0)
