"""Where the store lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui import location
from workload.store import default_location


def test_the_command_line_and_the_store_agree_on_the_default() -> None:
    assert location.default_store() == str(default_location())


def test_home_is_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert location.display("/home/ada/x.db") == "~/x.db"
    assert location.display("/home/adam/x.db") == "/home/adam/x.db"
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert location.display("/x.db") == "/x.db"
