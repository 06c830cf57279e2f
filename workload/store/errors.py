"""What goes wrong with a store, in words for the person who has to do something about it."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be opened, read or written. The message says which one, why, and what to do."""


class StoreBusyError(StoreError):
    """Another process holds the store, or its disk is full: the same call may succeed later."""
