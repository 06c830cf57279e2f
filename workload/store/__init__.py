"""The store: one SQLite file of mode 0600, read and written by several processes at the same time."""

from workload.store.errors import StoreBusyError, StoreError
from workload.store.queries import Point
from workload.store.store import Store, default_location

__all__ = ["Point", "Store", "StoreBusyError", "StoreError", "default_location"]
