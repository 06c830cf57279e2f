"""Exit codes and what is said on stderr."""

from __future__ import annotations

import errno
from collections.abc import Callable

import psycopg
import pytest

from advisor.advise import AdviseError, UnreachableError
from advisor.scratch import ScratchError
from proxy.dsn import DsnError
from tui.cli import errors
from tui.cli.errors import CommandError, run
from tui.demo.processes import DemoError
from tui.exporting import ExportError
from tui.target import TargetError
from workload.store import StoreBusyError, StoreError


def raising(error: BaseException) -> Callable[[], object]:
    def call() -> object:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("no"), errors.USAGE),
        (CommandError("down", errors.CONNECTION), errors.CONNECTION),
        (StoreError("no"), errors.USAGE),
        (StoreBusyError("no"), errors.USAGE),
        (DsnError("no"), errors.USAGE),
        (ExportError("no"), errors.USAGE),
        (DemoError("no"), errors.USAGE),
        (TargetError("no"), errors.USAGE),
        (AdviseError("no"), errors.USAGE),
        (UnreachableError("no"), errors.CONNECTION),
        (ScratchError("no"), errors.CONNECTION),
        (psycopg.OperationalError("no"), errors.CONNECTION),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), errors.CONNECTION),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), errors.USAGE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_expected_errors_are_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pgcoach: ")
    assert err.count("\n") == 1


def test_a_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(PermissionError(errno.EACCES, "Permission denied", "/x")))
    assert capsys.readouterr().err == "pgcoach: /x: Permission denied\n"


def test_a_defect_is_70_and_does_not_quote_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyError("card number 4711"))) == errors.INTERNAL
    err = capsys.readouterr().err
    assert "KeyError in test_errors.py:" in err
    assert "PGCOACH_DEBUG=1" in err
    assert "4711" not in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCOACH_DEBUG", "1")
    assert run(raising(KeyError("x"))) == errors.INTERNAL
    assert "Traceback" in capsys.readouterr().err


def test_interrupts_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyboardInterrupt())) == errors.INTERRUPTED
    assert run(raising(SystemExit(3))) == 3
    assert run(raising(SystemExit())) == errors.OK
    assert run(lambda: 7) == 7
    assert run(lambda: None) == errors.OK
    assert "interrupted" in capsys.readouterr().err
