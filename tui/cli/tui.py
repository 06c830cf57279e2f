"""``pgcoach tui``: the full-screen application."""

from __future__ import annotations

from tui.cli.options import Store, Target, store_location


def tui(*, store: Store = None, target: Target = None) -> int:
    """Look at a store in the full-screen application, while it is written or afterwards."""
    import sys

    from tui.cli.errors import CommandError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError(
            "the application needs a terminal; `pgcoach queries`, `pgcoach findings` and `pgcoach advice` "
            "print the same, with --json for programs"
        )
    from tui.app import PgcoachApp

    app = PgcoachApp(store_location(store), target=target)
    app.run()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
