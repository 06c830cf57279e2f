"""The service file and the password file, line by line."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from proxy.conninfo import DsnError
from proxy.pgfiles import home_directory, password_from_file, read_service


def test_home_is_the_variable_or_what_the_system_says() -> None:
    assert home_directory({"HOME": "/somewhere"}) == Path("/somewhere")
    assert home_directory({}) == Path(pwd.getpwuid(os.geteuid()).pw_dir)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "etc").mkdir()
    return {"HOME": str(tmp_path), "PGSYSCONFDIR": str(tmp_path / "etc")}


def services(environ: dict[str, str], text: str) -> None:
    (Path(environ["HOME"]) / ".pg_service.conf").write_text(text)


def test_a_section_ends_at_the_next_and_the_first_value_counts(environ: dict[str, str]) -> None:
    services(environ, "host=none\n[shop]\n# why\n\n  host=a\nhost=b\npassword=x=y\n[more]\nport=1\n")
    assert read_service("shop", "", environ) == {"host": "a", "password": "x=y"}


def test_the_users_file_is_before_the_systems(environ: dict[str, str]) -> None:
    (Path(environ["PGSYSCONFDIR"]) / "pg_service.conf").write_text("[shop]\nhost=sys\n[other]\nhost=sys\n")
    services(environ, "[shop]\nhost=user\n")
    assert read_service("shop", "", environ) == {"host": "user"}
    assert read_service("other", "", environ) == {"host": "sys"}


def test_a_file_that_is_named_replaces_the_users(environ: dict[str, str], tmp_path: Path) -> None:
    services(environ, "[shop]\nhost=user\n")
    (tmp_path / "mine").write_text("[shop]\nhost=mine\n")
    (tmp_path / "variable").write_text("[shop]\nhost=variable\n")
    assert read_service("shop", "", environ | {"PGSERVICEFILE": str(tmp_path / "variable")})["host"] == (
        "variable"
    )
    both = environ | {"PGSERVICEFILE": str(tmp_path / "variable")}
    assert read_service("shop", str(tmp_path / "mine"), both) == {"host": "mine"}


@pytest.mark.parametrize("line", ["service=other", "servicefile=/x", "hush", "colour=hush", " = "])
def test_what_is_no_option_is_named_by_its_line(environ: dict[str, str], line: str) -> None:
    services(environ, f"[shop]\nhost=a\n{line}\n")
    with pytest.raises(DsnError, match="line 3: not a connection option") as caught:
        read_service("shop", "", environ)
    assert "hush" not in str(caught.value)


def test_files_that_cannot_be_read_say_which_and_why(environ: dict[str, str]) -> None:
    home = Path(environ["HOME"])
    (home / ".pg_service.conf").write_bytes(b"[shop]\nhost=\xff\n")
    with pytest.raises(DsnError, match=r"\.pg_service\.conf: it is not UTF-8"):
        read_service("shop", "", environ)
    with pytest.raises(DsnError, match=r"service file .*: Is a directory"):
        read_service("shop", str(home), environ)


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    return file


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("db:5432:shop:ann:pw", "pw"),
        ("*:*:*:*:pw", "pw"),
        (r"db:5432:shop:ann:p\:w\\", "p:w\\"),
        ("db:5432:shop:ann:pw:note", "pw"),
        ("db:5432:shop:ann:", None),
        ("db:5432:shop:ann", None),
        ("db:5433:shop:ann:pw", None),
        ("db:5432:shop:bob:pw", None),
        ("#db:5432:shop:ann:pw", None),
        ("", None),
    ],
)
def test_a_line_of_the_password_file(passwords: Path, line: str, password: str | None) -> None:
    passwords.write_text(line + "\n")
    assert password_from_file(passwords, "db", 5432, "shop", "ann") == password


def test_the_first_line_that_matches_counts(passwords: Path) -> None:
    passwords.write_text("other:*:*:*:no\ndb:*:*:*:first\n*:*:*:*:second\n")
    assert password_from_file(passwords, "db", 5432, "shop", "ann") == "first"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_a_password_file_that_others_may_touch_is_ignored(passwords: Path, mode: int) -> None:
    passwords.write_text("*:*:*:*:pw\n")
    passwords.chmod(mode)
    assert password_from_file(passwords, "db", 5432, "shop", "ann") is None


def test_no_file_a_folder_and_noise_are_no_password(passwords: Path, tmp_path: Path) -> None:
    passwords.write_bytes(b"\xff\n")
    for file in (passwords, tmp_path, tmp_path / "missing"):
        assert password_from_file(file, "db", 5432, "shop", "ann") is None
