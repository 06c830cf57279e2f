"""The README's picture comes from the real application."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_picture_of_a_screen(store_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "images" / "advice.svg"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tui.app.picture", "--store", str(store_path), "--out", str(out)),
            *("--keys", "4 enter", "--width", "100", "--height", "30"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(out)
    svg = out.read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "CONCURRENTLY" in svg
    assert "live" in svg


def test_without_a_store_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tui.app.picture", "--store", str(tmp_path / "none.db")),
            *("--out", str(tmp_path / "x.svg")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no store at" in done.stderr
