"""Messages that say what to do."""

from __future__ import annotations

import pytest

from advisor.scratch.errors import explained


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        ("could not write to file: No space left on device", "free some space"),
        ("initdb: error while loading shared libraries: libz.so.1", "install the named library"),
        (
            "could not extend file: wrote only 1 of 8192 bytes\nHINT:  Check free disk space.",
            "free some space",
        ),
        ("initdb: error: could not look up effective user ID 12: user does not exist", "/etc/passwd"),
        ('FATAL:  could not access file "pg_stat_statements": No such file', "not part of these"),
    ],
)
def test_known_trouble_gets_its_advice(log: str, advice: str) -> None:
    message = explained("initdb failed", "/tmp/x", log)
    assert message.startswith("initdb failed (in /tmp/x)\n")
    assert log.splitlines()[0] in message
    assert advice in message.split("What to do: ")[1]


def test_a_long_log_is_cut_to_its_end_and_unknown_trouble_gets_no_advice() -> None:
    message = explained("it broke", "here", "\n".join(f"line {number}" for number in range(1000)))
    assert "line 999" in message
    assert "line 900" not in message
    assert "What to do" not in message
