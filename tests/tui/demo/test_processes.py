"""The demo's processes say clearly what went wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.demo.processes import DemoError, application, proxy


def test_the_applications_own_words_are_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"failed at `load`: pgcoach_demo: .*connection"):
        application(["load", "--dsn", f"postgresql:///shop?host={tmp_path}"])


def test_a_proxy_that_cannot_start_says_why(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    store.write_bytes(b"not a database, and longer than a header" * 100)
    with (
        pytest.raises(DemoError, match=r"the proxy did not start: .*store"),
        proxy("postgresql:///shop?host=/nowhere", tmp_path, store, tmp_path / "log"),
    ):
        pytest.fail("it started")
