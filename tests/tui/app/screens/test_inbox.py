"""What the empty inbox says."""

from __future__ import annotations

import pytest

from tui.app.reading import AdviceList
from tui.app.screens.inbox import nothing_yet
from tui.app.status import Health, Source, Status


def listed(findings: int, upstream: str = "postgresql://app@db:5432/shop") -> AdviceList:
    status = Status(
        source=Source.LIVE, location="x.db", age=1.0, health=Health(0, 0, ()), listen="", upstream=upstream
    )
    return AdviceList(status, (), findings)


@pytest.mark.parametrize(
    ("findings", "told"),
    [(0, "No advice yet. Press A"), (1, "1 finding waits for it. Press A"), (2, "2 findings wait for it.")],
)
def test_findings_that_wait_are_counted(findings: int, told: str) -> None:
    assert told in nothing_yet(listed(findings))


def test_the_command_to_run_is_complete() -> None:
    assert "pgcoach advise --store x.db\n" in nothing_yet(listed(0))
    assert "pgcoach advise --store x.db --target URL\n" in nothing_yet(listed(0, upstream=""))
