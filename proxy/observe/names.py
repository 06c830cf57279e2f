"""What statement and portal names stand for.

A client may use a name in the same breath in which it defines it, long before the server agreed. So a
name has two meanings: the one *as sent*, which later requests of the client refer to, and the one *in
force*, which the server acknowledged. A definition is proposed when it is sent, confirmed by its
acknowledgement, and forgotten when the server refuses or skips it.

Protocol-level names and those of SQL's PREPARE and DECLARE share one namespace in the server
(``src/backend/commands/prepare.c``, ``src/backend/utils/mmgr/portalmem.c``), hence here too.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from proxy.observe.execution import Execution
from proxy.wire.messages import Bind

UNNAMED = b""
NOT_IN_FORCE = -1


class Statement:
    """A prepared statement as one Parse (or PREPARE) defined it. A new Parse of the name makes a new one."""

    __slots__ = ("columns", "executes", "held", "name", "oids", "sql", "sql_length")

    def __init__(self, name: bytes, sql: bytes, sql_length: int, oids: tuple[int, ...]) -> None:
        self.name = name
        self.sql = sql
        self.sql_length = sql_length
        self.oids = oids
        self.columns: bytes | None = None
        """Body of the RowDescription that Describe brought."""
        self.executes = UNNAMED
        """Name in SQL's ``EXECUTE name``, if that is what the text does."""
        self.held = NOT_IN_FORCE
        """Bytes that the session's books hold for it."""

    @property
    def size(self) -> int:
        """Bytes of text and columns."""
        return len(self.sql) + (len(self.columns) if self.columns is not None else 0)


class Portal:
    """A bound statement. It keeps its statement even if the name comes to mean another one."""

    __slots__ = ("bytes_in", "finished", "head", "net", "open_rows", "statement", "suspended")

    def __init__(self, statement: Statement | None, head: Bind, bytes_in: int) -> None:
        self.statement = statement
        """None when the name meant nothing to us: defined before we could see, or beyond a limit."""
        self.head = head
        """The Bind message: values and formats."""
        self.bytes_in = bytes_in
        """Size of the Bind message, until an execution took it over."""
        self.suspended: Execution | None = None
        """The execution whose rows were fetched in part (PortalSuspended)."""
        self.net = 0.0
        """Seconds of service in the fetches so far."""
        self.finished = False
        """It ran to its end: executing it again is no new call."""
        self.open_rows = -1
        """Rows of a SELECT that ran to its end, which the server's statistics count when the portal is
        dropped; -1 when there is none."""


T = TypeVar("T")


class Namespace(Generic[T]):
    """Names of one kind. Proposals and confirmations pair up in the order of the requests."""

    __slots__ = ("_pending", "_sent", "live")

    def __init__(self) -> None:
        self.live: dict[bytes, T] = {}
        """In force at the server."""
        self._sent: dict[bytes, T | None] = {}
        """Latest proposal of each name; None where it closes the name."""
        self._pending = 0

    def get(self, name: bytes) -> T | None:
        """What the name means to the next request that the client sends."""
        if self._pending and name in self._sent:
            return self._sent[name]
        return self.live.get(name)

    def propose(self, name: bytes, meaning: T | None) -> None:
        self._sent[name] = meaning
        self._pending += 1

    def confirm(self, name: bytes, meaning: T | None) -> T | None:
        """The oldest proposal took effect; returns what the name meant until now."""
        self._pending -= 1
        if self._pending == 0:
            self._sent.clear()
        before = self.live.pop(name, None)
        if meaning is not None:
            self.live[name] = meaning
        return before

    def forget_proposals(self) -> None:
        """After an error: the caller proposes again what is still on its way."""
        self._sent.clear()
        self._pending = 0
