"""How the application is opened, and how its end becomes the command's."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import tui.app
from tui.cli.errors import CommandError
from tui.cli.tui import tui as command


class Opened:
    """Stands in for the application."""

    failure: Exception | None = None
    return_code: int | None = None

    def __init__(self, location: str, *, target: str | None) -> None:
        made.append((location, target))

    def run(self) -> None:
        return


made: list[tuple[str, str | None]] = []


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> type[Opened]:
    made.clear()
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(tui.app, "PgcoachApp", Opened)
    return Opened


def test_location_and_target_reach_the_application(terminal: Any) -> None:
    assert command(store="x.db", target="dbname=shop") == 0
    assert made == [("x.db", "dbname=shop")]


def test_the_applications_end_is_the_commands(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "return_code", 4)
    assert command(store="x.db") == 4
    monkeypatch.setattr(terminal, "failure", ZeroDivisionError("defect"))
    with pytest.raises(ZeroDivisionError):
        command(store="x.db")


def test_a_pipe_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with pytest.raises(CommandError, match="needs a terminal"):
        command(store="x.db")
    assert made == []
