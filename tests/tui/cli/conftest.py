"""Commands run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tui.cli import main

Pgcoach = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pgcoach(capsys: pytest.CaptureFixture[str]) -> Pgcoach:
    """Runs a command; its exit code, stdout and stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, out, err

    return call
