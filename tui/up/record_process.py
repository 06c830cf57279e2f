"""The recorder process: takes the workers' counts and writes the store."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from typing import TYPE_CHECKING

from tui.up.child import RecordConfig, end_with_supervisor, read_config, report

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


def main() -> int:
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
    from workload.capture.recorder import RecorderConfig, run_recorder

    return asyncio.run(
        run_recorder(
            RecorderConfig(
                store=config.store, listen_fd=config.listening, upstream=config.upstream, meta=config.meta
            )
        )
    )


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
