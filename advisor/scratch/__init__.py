"""Private throw-away PostgreSQL servers, started on demand from the binaries on this machine."""

from advisor.scratch.binaries import Binaries, available_binaries, find_binaries
from advisor.scratch.errors import ScratchError
from advisor.scratch.server import ScratchServer

__all__ = ["Binaries", "ScratchError", "ScratchServer", "available_binaries", "find_binaries"]
