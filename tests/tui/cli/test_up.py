"""The command line of ``pgcoach up``: every option reaches the supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

import tui.up
from tui.cli import main
from tui.up import ListenError, UpError, UpOptions
from workload.store import default_location


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[UpOptions]:
    """What ``up`` was called with; nothing is really started."""
    calls: list[UpOptions] = []

    def run(options: UpOptions) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr(tui.up, "run", run)
    monkeypatch.delenv("PGCOACH_STORE", raising=False)
    monkeypatch.delenv("PGCOACH_UPSTREAM", raising=False)
    return calls


def call(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        main(["up", *arguments])
    return exit_.value.code


def test_the_defaults_are_the_supervisors(started: list[UpOptions]) -> None:
    assert call() == 0
    assert started == [UpOptions(store=str(default_location()))]


def test_every_option_arrives(started: list[UpOptions], tmp_path: Path) -> None:
    assert (
        call(
            *("--upstream", "postgresql://db/shop", "--listen", "[::1]:0", "--store", str(tmp_path / "s.db")),
            *("--samples", "masked", "--workers", "2", "--max-connections", "50", "--drain", "1.5", "--json"),
        )
        == 0
    )
    assert started == [
        UpOptions(
            upstream="postgresql://db/shop",
            listen="[::1]:0",
            store=str(tmp_path / "s.db"),
            samples="masked",
            workers=2,
            max_connections=50,
            drain=1.5,
            json=True,
        )
    ]


def test_the_upstream_can_come_from_the_environment(
    started: list[UpOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCOACH_UPSTREAM", "postgresql://db/shop")
    call()
    assert started[0].upstream == "postgresql://db/shop"


@pytest.mark.parametrize(
    "arguments", [("--samples", "some"), ("--workers", "0"), ("--drain", "-1"), ("--max-connections", "x")]
)
def test_bad_options_are_usage(
    started: list[UpOptions], arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    assert started == []
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(UpError("no"), 2), (ListenError("port 6432 is taken"), 3)])
def test_what_it_raises_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def run(_options: UpOptions) -> int:
        raise error

    monkeypatch.setattr(tui.up, "run", run)
    assert call() == code
    assert capsys.readouterr().err == f"pgcoach: {error}\n"
