"""The command passes on what it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tui.demo.run

Pgcoach = Callable[..., tuple[int, str, str]]


def test_the_folder_and_the_exit_code_pass_through(
    pgcoach: Pgcoach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path | None] = []

    def run_demo(output: Path | None) -> int:
        asked.append(output)
        return 7

    monkeypatch.setattr(tui.demo.run, "run_demo", run_demo)
    assert pgcoach("demo", "-o", tmp_path / "here")[0] == 7
    assert pgcoach("demo")[0] == 7
    assert asked == [tmp_path / "here", None]


def test_a_folder_in_use_is_usage(pgcoach: Pgcoach, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    code, out, err = pgcoach("demo", "--output", tmp_path)
    assert (code, out) == (2, "")
    assert "not empty" in err
