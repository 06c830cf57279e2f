"""The recorder process: takes the workers' counts and writes the store."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from tui.up.child import RecordConfig, end_with_supervisor, read_config, report

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

STOPS = (signal.SIGTERM, signal.SIGINT)
HANDLER_CHECK = 0.005
"""Seconds between looks whether the recorder has its signal handlers."""


def main() -> int:
    # A stop waits until the recorder can take it, in every thread: workers have counts to hand over.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    config = read_config(RecordConfig)
    end_with_supervisor(config.pipes, lambda: shutil.rmtree(config.private, ignore_errors=True))
    _log_to_stderr()
    from workload.store.errors import StoreError
    from workload.store.store import Store

    try:
        Store.open(config.store).close()
    except StoreError as error:
        report(config.pipes, str(error))
        return 1
    report(config.pipes)
    return asyncio.run(_record(config))


async def _record(config: RecordConfig) -> int:
    from workload.capture.recorder import RecorderConfig, run_recorder

    recording = asyncio.get_running_loop().create_task(
        run_recorder(
            RecorderConfig(
                store=config.store, listen_fd=config.listening, upstream=config.upstream, meta=config.meta
            )
        ),
        name="recorder",
    )
    while not recording.done() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # noqa: ASYNC110
        await asyncio.sleep(HANDLER_CHECK)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    return await recording


def _log_to_stderr() -> None:
    import structlog

    logging.basicConfig(format="pgcoach: recorder: %(message)s", level=logging.WARNING)
    structlog.configure(
        processors=[_one_line],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def _one_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """``pgcoach: recorder: what happened (key=value, …)``."""
    what = event.pop("event", "")
    facts = ", ".join(f"{key}={value}" for key, value in event.items())
    return f"pgcoach: recorder: {what}" + (f" ({facts})" if facts else "")


if __name__ == "__main__":
    sys.exit(main())
