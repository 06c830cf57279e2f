"""One child of the supervisor: started, heard, and started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from tui.up.child import GENTLY, Pipes, RecordConfig, RelayConfig, Report, decode_report, encode

Configure = Callable[[Pipes], RelayConfig | RecordConfig]

FIRST_DELAY, MAX_DELAY = 0.1, 5.0
"""Seconds before a dead child is started again; doubled while it dies within ``STEADY`` seconds."""
STEADY = 10.0
"""Seconds after which a child that dies was healthy."""


class Child:
    """A process running ``module``, configured anew at each start.

    ``inherited`` are the descriptors that its configuration names, besides its own pipes.
    """

    def __init__(
        self,
        name: str,
        module: str,
        configure: Configure,
        inherited: Iterable[int],
        notice: Callable[[str], None],
    ) -> None:
        self.name = name
        self._module = module
        self._configure = configure
        self._inherited = tuple(inherited)
        self._notice = notice
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def died(self) -> bool:
        """It was started, and nobody stopped it, and it is gone."""
        return self._process is not None and self._process.returncode is not None

    async def start(self, lifeline: int) -> Report:
        """Start it and wait until it reports. A child that dies without a word reports that.

        Raises:
            OSError: the system has no process, descriptor or memory for it.
        """
        status_read, status_write = os.pipe()
        config_read, config_write = os.pipe()
        try:
            config = encode(self._configure(Pipes(status=status_write, lifeline=lifeline)))
            os.set_blocking(config_write, False)
            # A pipe takes 64 KiB at once, more than any configuration.
            os.write(config_write, config)
            os.close(config_write)
            config_write = -1
            # A process group of its own: Ctrl-C in the terminal reaches the supervisor alone, which ends
            # the others in order. -P: the working directory is not searched for packages of our names.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", self._module, str(config_read)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(config_read, status_write, lifeline, *self._inherited),
                process_group=0,
            )
        except BaseException:
            os.close(status_read)
            raise
        finally:
            for fd in (status_write, config_read, config_write):
                if fd >= 0:
                    os.close(fd)
        line = await _read_line(status_read)
        said = decode_report(line)
        if said is None:
            return Report(f"the {self.name} ended at its start ({await self.wait()})")
        return said

    async def keep_running(self, lifeline: int) -> None:
        """Wait for it to die and start it again, until cancelled. It has been started."""
        delay = FIRST_DELAY
        started = time.monotonic()
        while True:
            how = await self.wait()
            delay = FIRST_DELAY if time.monotonic() - started > STEADY else min(delay * 2, MAX_DELAY)
            self._notice(f"the {self.name} died ({how}); starting it again")
            await asyncio.sleep(delay)
            started = time.monotonic()
            try:
                report = await self.start(lifeline)
            except OSError as error:
                # No process or descriptor to be had: the next round tries again.
                report = Report(error.strerror or str(error))
            if report.error:
                self._notice(f"the {self.name} does not start: {report.error}")

    def stop(self, number: signal.Signals = GENTLY) -> None:
        """Ask it to end (``GENTLY``, ``AT_ONCE``), or with SIGKILL make it. Cancel ``keep_running`` first."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def ended(self, within: float) -> None:
        """Wait for its end, and make it end after so many seconds."""
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            self._notice(f"the {self.name} did not end in time and was killed")
            self.stop(signal.SIGKILL)
            await self._process.wait()

    async def wait(self) -> str:
        """Wait for its end; how it ended, for people."""
        assert self._process is not None
        code = await self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit status {code}"


async def _read_line(fd: int) -> bytes:
    """Up to the first newline, or to the end; closes the descriptor."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0)
    )
    try:
        return await reader.readline()
    finally:
        transport.close()
