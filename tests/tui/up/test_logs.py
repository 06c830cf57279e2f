"""Lines for stderr: never waited for, whatever the other end does."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.kit.relay_thread import eventually
from tui.up.logs import WAITING_LINES, Lines, LinesHandler


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_lines_come_in_order(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1])
    lines.say("first")
    lines.say("zweite \udcff ü")
    lines.settle()
    assert os.read(pipe[0], 1000) == b"first\nzweite \\udcff \xc3\xbc\n"


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_dropped_is_told(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(read, False)
    lines = Lines(write)
    for _ in range(3 * WAITING_LINES):
        lines.say("x" * 200)
    lines.settle(within=0)
    seen = bytearray()

    def drained() -> bool:
        with contextlib.suppress(BlockingIOError):
            seen.extend(os.read(read, 1 << 20))
        lines.settle(within=0.01)
        lines.say("probe")
        return b"lines before it were dropped" in seen

    eventually(drained, "the drop is told")


def test_a_reader_that_is_gone_loses_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.close(read)
    lines = Lines(write)
    for _ in range(10):
        lines.say("nobody hears")
    lines.settle()
    assert lines._waiting.unfinished_tasks == 0


def test_warnings_carry_the_name_of_their_process_and_info_stays_out(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1])
    logger = logging.Logger("test")
    logger.addHandler(LinesHandler(lines, "pgcoach: worker 1"))
    logger.info("not for people")
    logger.warning("upstream unreachable: %s", "db:5432")
    lines.settle()
    assert os.read(pipe[0], 1000) == b"pgcoach: worker 1: upstream unreachable: db:5432\n"


OPENED = """
import json, os, sys
from tui.up.logs import open_standard_descriptors
open_standard_descriptors()
first = os.open(os.devnull, os.O_RDONLY)
said = json.dumps([first > 2] + [os.get_inheritable(n) for n in (0, 1, 2)])
os.write(int(sys.argv[1]), said.encode())
"""


@pytest.mark.parametrize("closed", ["", "<&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_are_given_something(closed: str, pipe: tuple[int, int]) -> None:
    read, write = pipe
    subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, OPENED, str(write)],
        pass_fds=(write,),
        check=True,
        timeout=20,
    )
    assert json.loads(os.read(read, 1000)) == [True] * 4
