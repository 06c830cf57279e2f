from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workload.store.connection import Database, open_database


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Database]:
    """The file below the store: transactions, of which the modules beside it are the contents."""
    database = open_database(tmp_path / "s.db", create=True)
    yield database
    database.close()
