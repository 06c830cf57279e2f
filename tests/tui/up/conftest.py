"""Pipes and descriptors as a supervisor has them, without one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def lifeline() -> Iterator[int]:
    """The children's end; whoever started them lives until the test is over."""
    read, write = os.pipe()
    yield read
    os.close(write)
    os.close(read)
