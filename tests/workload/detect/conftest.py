from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.workload.detect.story import Story, make_catalog
from workload.catalog import Catalog


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def new_story() -> Callable[[], Story]:
    return Story


@pytest.fixture
def catalog() -> Catalog:
    return make_catalog()
