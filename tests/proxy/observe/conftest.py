from __future__ import annotations

import pytest

from tests.proxy.wirekit import Script


@pytest.fixture(params=[0, 1, 7], ids=["whole", "bytewise", "by7"])
def script(request: pytest.FixtureRequest) -> Script:
    """A greeted session; every test runs fed whole and fed in pieces."""
    script = Script(greet=False)
    script.piece = request.param
    return script.greet()
