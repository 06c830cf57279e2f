"""The recorder process: takes the workers' counts and writes the store."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from tui.up.child import RecordConfig, end_with_supervisor, read_config, report
from tui.up.logs import Lines, log_to

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

PREFIX = "pgcoach: recorder"


def main() -> int:
    config = read_config(RecordConfig)
    # A hangup is the supervisor's matter.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_with_supervisor(config.pipes, lambda: shutil.rmtree(config.private, ignore_errors=True))
    lines = Lines()
    log_to(lines, PREFIX)
    try:
        return _record(config, lines)
    finally:
        lines.settle()


def _record(config: RecordConfig, lines: Lines) -> int:
    """Run until told to end; the exit status. A store that cannot be opened is reported to the supervisor."""
    from workload.store.errors import StoreError
    from workload.store.store import Store

    try:
        Store.open(config.store).close()
    except StoreError as error:
        report(config.pipes, str(error))
        return 1
    report(config.pipes)
    # Only now, because whoever started us waits for the report: structlog alone takes 50 ms to import.
    _log(lines)
    from workload.capture.recorder import RecorderConfig, run_recorder

    return asyncio.run(
        run_recorder(
            RecorderConfig(
                store=config.store, listen_fd=config.listening, upstream=config.upstream, meta=config.meta
            )
        )
    )


class _Said:
    """The logger below structlog: lines, whatever their level."""

    def __init__(self, lines: Lines) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = lines.say


def _log(lines: Lines) -> None:
    """What the recorder says, as lines among the supervisor's."""
    import structlog

    said = _Said(lines)
    structlog.configure(
        processors=[_one_line],
        logger_factory=lambda *_: said,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def _one_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """``pgcoach: recorder: what happened (key=value, …)``."""
    what = event.pop("event", "")
    facts = ", ".join(f"{key}={value}" for key, value in event.items())
    return f"{PREFIX}: {what}" + (f" ({facts})" if facts else "")


if __name__ == "__main__":
    sys.exit(main())
