"""Exit codes, and everything that goes to stderr.

stdout is data only. Exit codes are an interface: scripts and CI branch on them.

=====  ==============================================================
0      it worked
1      findings over a gate (reserved for ``pgcoach ci``)
2      usage or configuration: the user can correct the command
3      PostgreSQL, or the port to listen on, could not be reached; trying again may help
70     a defect of pgcoach (EX_SOFTWARE of sysexits.h)
130    interrupted (128 + SIGINT)
=====  ==============================================================

Rooms raise their own exceptions and know nothing of exit codes. They are recognised here by name, so
that this module imports none of them: `pgcoach --help` must not load the parser or SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable

OK = 0
GATE = 1
USAGE = 2
CONNECTION = 3
INTERNAL = 70
INTERRUPTED = 130

ROOMS = ("proxy", "workload", "advisor", "tui")

EXPECTED = {
    "StoreError": USAGE,
    "DsnError": USAGE,
    "UpError": USAGE,
    "AdviseError": USAGE,
    "UnreachableError": CONNECTION,
    "ExportError": USAGE,
    "MigrationError": USAGE,
    "DemoError": USAGE,
    "UnreadableAdviceError": USAGE,
    "TargetError": USAGE,
    "ScratchError": CONNECTION,
}
"""Exception classes of the rooms whose message is written for people, with their exit codes."""

CONNECTION_LOST = {
    ("psycopg", "OperationalError"),
    ("psycopg.errors", "OperationalError"),
    ("asyncpg.exceptions", "PostgresConnectionError"),
    ("asyncpg.exceptions", "CannotConnectNowError"),
    ("asyncpg.exceptions", "InvalidPasswordError"),
    ("asyncpg.exceptions", "InvalidCatalogNameError"),
}


class CommandError(Exception):
    """A message for the person at the command line, and the exit code that goes with it."""

    def __init__(self, message: str, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def notice(text: str) -> None:
    """Progress and remarks: to stderr, so that stdout stays data."""
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def expected_exit_code(error: BaseException) -> int | None:
    """The exit code of an error whose message explains itself; None for what must be a defect."""
    if isinstance(error, CommandError):
        return error.exit_code
    for cls in type(error).__mro__:
        room = cls.__module__.partition(".")[0]
        if room in ROOMS and cls.__name__ in EXPECTED:
            return EXPECTED[cls.__name__]
        if (cls.__module__, cls.__name__) in CONNECTION_LOST:
            return CONNECTION
    if isinstance(error, ConnectionError | TimeoutError):
        return CONNECTION
    if isinstance(error, OSError) and error.errno is not None:
        return USAGE
    return None


def describe(error: BaseException) -> str:
    """The error's message in one line per sentence of its own, without a type name or a traceback."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return text or type(error).__name__


def run(call: Callable[[], object]) -> int:
    """Calls, and turns whatever comes out into an exit code and at most a few lines on stderr.

    ``PGCOACH_DEBUG=1`` shows tracebacks.
    """
    try:
        result = call()
    except KeyboardInterrupt:
        notice("pgcoach: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`pgcoach queries | head`). Python would complain again
        # while it flushes stdout at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else (OK if exit_.code is None else USAGE)
    except Exception as error:
        if os.environ.get("PGCOACH_DEBUG"):
            traceback.print_exc()
        code = expected_exit_code(error)
        if code is not None:
            notice(f"pgcoach: {describe(error)}")
            return code
        notice(
            f"pgcoach: internal error: {type(error).__name__} in {_where(error)}. This is a defect of "
            "pgcoach: run again with PGCOACH_DEBUG=1 and report the traceback with the output of "
            "`pgcoach --version` (see the issue tracker named in the README)."
        )
        return INTERNAL
    return result if isinstance(result, int) else OK


def _where(error: BaseException) -> str:
    """Module and line that raised. Not the message: it may quote production data."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    last = frames[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno}"
