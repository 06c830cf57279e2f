"""Lines for people on stderr, which nobody can hold up by not reading it.

Whoever starts a proxy with ``stderr=PIPE`` and never reads the pipe makes every write to it wait once it is
full, and a worker that waits there relays nothing. So lines are handed to a thread that does the waiting;
what does not fit into its queue is dropped, and counted in the next line that fits. A stderr that is gone
(a closed terminal, ``| head``) loses the lines and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time

STDERR = 2
WAITING_LINES = 1_000
"""Lines that wait for stderr at most; a line takes some hundred bytes."""
SETTLE = 1.0
"""Seconds that the end of a process waits for its lines to be read."""


class Lines:
    """Writes lines to a descriptor in the order in which they were said, in a thread of its own."""

    def __init__(self, descriptor: int = STDERR) -> None:
        self._descriptor = descriptor
        self._waiting: queue.Queue[str] = queue.Queue(WAITING_LINES)
        self._dropped = 0
        threading.Thread(target=self._write_forever, name="lines for stderr", daemon=True).start()

    def say(self, line: str) -> None:
        """Returns at once, and never raises."""
        if self._dropped:
            line = f"{line} ({self._dropped} lines before it were dropped: nobody read them)"
        try:
            self._waiting.put_nowait(line)
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def settle(self, within: float = SETTLE) -> None:
        """Wait until everything was written, but no longer than so many seconds."""
        deadline = time.monotonic() + within
        while self._waiting.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.005)

    def _write_forever(self) -> None:
        while True:
            line = self._waiting.get()
            # Not through sys.stderr: its lock, held here for as long as nobody reads, would hold up others.
            with contextlib.suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode(errors="backslashreplace"))
            self._waiting.task_done()


class LinesHandler(logging.Handler):
    """Brings what is logged to ``Lines``, behind a prefix that says which process speaks."""

    def __init__(self, lines: Lines, prefix: str) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter(f"{prefix}: %(message)s"))
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.say(self.format(record))
        except Exception:  # as every handler of the standard library
            self.handleError(record)


def log_to(lines: Lines, prefix: str) -> None:
    """Warnings and errors of every library go to these lines from now on."""
    logging.basicConfig(handlers=[LinesHandler(lines, prefix)], level=logging.WARNING)


def open_standard_descriptors() -> None:
    """Give descriptors 0 to 2 something to stand for where whoever started us closed them (``2>&-``).

    Otherwise the next pipe or socket gets such a number, and what is meant for stderr goes there; and a
    child, whose stdin and stdout are replaced, loses it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: this one.
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
