"""``pgcoach tui``: the full-screen application."""

from __future__ import annotations

from tui.cli.options import Store, Target, store_location


def tui(*, store: Store = None, target: Target = None) -> int:
    """Look at a store in the full-screen application, while it is written or afterwards."""
    from tui.app import PgcoachApp

    app = PgcoachApp(store_location(store), target=target)
    app.run()
    return app.return_code or 0
