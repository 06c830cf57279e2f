"""``pgcoach up``: a supervisor, its workers and the recorder, put together.

``UpOptions`` says what is wanted, ``run`` does it until it is stopped. Imports nothing heavy: neither the
parser nor the screens are needed to relay.
"""

from __future__ import annotations

from tui.up.errors import ListenError, UpError
from tui.up.options import UpOptions

__all__ = ["ListenError", "UpError", "UpOptions", "run"]


def run(options: UpOptions) -> int:
    """Relay until SIGTERM, SIGINT or SIGHUP; a second SIGTERM or SIGINT ends at once. Returns the exit code.

    Raises:
        DsnError: the upstream's connection string is wrong.
        UpError: the configuration cannot work, the store for instance.
        ListenError: the address to listen on is not free.
    """
    from tui.up.start import supervise

    return supervise(options)
