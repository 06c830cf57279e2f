"""The help page keeps up with the keys."""

from __future__ import annotations

import re

import pytest
from textual.binding import Binding

from tui.app.application import PgcoachApp
from tui.app.rows import STATE_MARKS
from tui.app.screens.advice import AdviceScreen
from tui.app.screens.base import StoreScreen
from tui.app.screens.export import ExportScreen
from tui.app.screens.findings import FindingsScreen
from tui.app.screens.help import FILTERS, KEYS, help_text
from tui.app.screens.inbox import InboxScreen
from tui.app.screens.queries import QueriesScreen
from tui.app.screens.query import QueryScreen

SCREENS = (
    PgcoachApp,
    StoreScreen,
    QueriesScreen,
    QueryScreen,
    FindingsScreen,
    InboxScreen,
    AdviceScreen,
    ExportScreen,
)
SPELLED = {"question_mark": "?", "f1": "?", "slash": "/", "escape": "esc"}


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.__name__)
def test_every_key_is_explained(screen: type[PgcoachApp | StoreScreen[object]]) -> None:
    named = set(re.findall(r"[^\s,]+", " ".join(key for _, keys in KEYS for key, _ in keys)))
    named |= {"2", "3", "4"}  # between 1 and 5
    named |= {"esc"} if "esc clears" in help_text() else set()
    for binding in screen.BINDINGS:
        assert isinstance(binding, Binding)
        for key in binding.key.split(","):
            assert SPELLED.get(key, key) in named, f"{key} of {screen.__name__} is not in the help"


def test_states_and_filters_are_there() -> None:
    text = help_text()
    for state, mark in STATE_MARKS.items():
        assert f"{mark} {state}" in text
    for line in FILTERS:
        assert line in text
    assert max(map(len, text.splitlines())) <= 112
