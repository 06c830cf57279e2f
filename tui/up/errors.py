"""What can be wrong before the first connection. Messages are for people and say what to do."""

from __future__ import annotations


class UpError(Exception):
    """The configuration cannot work: the user can correct the command."""


class ListenError(ConnectionError):
    """The address to listen on cannot be had right now."""
