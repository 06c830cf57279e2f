"""Where the store lives when nobody says so."""

from __future__ import annotations

from pathlib import Path


def default_store() -> str:
    """The embedded store in the user's state directory (``$XDG_STATE_HOME`` or ``~/.local/state``)."""
    from platformdirs import user_state_path

    return str(user_state_path("pgcoach") / "pgcoach.db")


def display(location: str) -> str:
    """The location with the home directory written ``~``, for people."""
    home = str(Path.home())
    return "~" + location[len(home) :] if home != "/" and location.startswith(home + "/") else location
