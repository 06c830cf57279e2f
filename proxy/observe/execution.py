"""What the proxy reports: executions of one session, and the protocol of whoever listens.

Plain classes with slots rather than dataclasses: they are created once per statement on the traffic
path, and plain native classes are what mypyc compiles well.

All instants are seconds of one monotonic clock (the ``now`` that the relay passes in); durations are
derived from them, never from the wall clock.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Quality(IntEnum):
    """How far the timing of an execution can be believed."""

    EXACT = 0
    """Alone in its Sync/Flush window, a single statement, nobody stalled."""
    CLIENT_BOUND = 1
    """The client was slow to read or to feed (stall, COPY IN, suspended portal): net time is known."""
    SHARED = 2
    """Several statements answered by one window: only the window has a time, the child has none."""
    PARTIAL = 3
    """Aborted, skipped or opaque: no time at all."""


class Kind(IntEnum):
    """How the statement was asked for."""

    SIMPLE = 0
    """One statement of a Query message."""
    EXTENDED = 1
    """Bind/Execute of a prepared statement; several fetches of one portal are one execution."""
    FUNCTION_CALL = 2
    """The FunctionCall message: no text, ``tag`` is ``FUNCTION <oid>``. The server's statistics ignore it."""


class Outcome(IntEnum):
    OK = 0
    ERROR = 1
    """The server answered ErrorResponse; ``sqlstate`` is set."""
    SKIPPED = 2
    """The server ignored the request because an earlier one in the same pipeline failed."""
    ABORTED = 3
    """The connection ended before the answer was complete, observation ended with the session turning
    opaque, or the transaction of a portal that was fetched in part was rolled back."""
    EMPTY = 4
    """EmptyQueryResponse: there was no statement in the text."""


class Session:
    """One client connection, as far as the wire tells. Mutable: the observer keeps it current."""

    __slots__ = (
        "application_name",
        "backend_pid",
        "client",
        "client_encoding",
        "database",
        "id",
        "opaque_reason",
        "opened",
        "replication",
        "server_version",
        "standard_conforming_strings",
        "user",
    )

    def __init__(self, id: int, client: str, opened: float) -> None:
        self.id = id
        """Unique within the worker."""
        self.client = client
        """Address of the application, for people."""
        self.opened = opened
        self.user = ""
        self.database = ""
        self.application_name = ""
        self.server_version = ""
        self.client_encoding = "UTF8"
        self.standard_conforming_strings = True
        self.backend_pid = 0
        self.replication = False
        self.opaque_reason = ""
        """Why observation stopped; empty while the session is observed."""


class Rows:
    """The DataRow messages of one result, by reference to the chunks that were forwarded anyway.

    ``chunks`` are the received chunks from the first DataRow on; the first DataRow's type byte stands at
    ``chunks[0][offset]``. Between rows other messages (notices) may stand. Read them with
    ``proxy.wire.rows``; only ``held`` rows are complete in there, later ones were over the budget.
    """

    __slots__ = ("chunks", "held", "offset", "size")

    def __init__(self, chunks: list[bytes], offset: int, held: int, size: int) -> None:
        self.chunks = chunks
        self.offset = offset
        self.held = held
        self.size = size
        """Bytes that the references keep alive."""


class Execution:
    """One statement that ran (or failed, or was skipped), complete.

    ``sql`` is the head of the statement text, at most the observer's cap; ``sql_length`` its true length
    in bytes. A Query message with several statements yields one execution a statement, all with the whole
    text: ``ordinal`` counts the statements of that text that were answered, from 0, and ``statements``
    how many the message had in the end (0 while an error cut it short and the total is unknown).

    SQL's ``EXECUTE name`` is reported with the text that was prepared, as one statement, when that is
    known. PREPARE and DEALLOCATE are executions of their own, recognised by ``tag``. ``sql`` is empty when
    a portal's or statement's name means nothing to us.
    """

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "columns",
        "kind",
        "ordinal",
        "outcome",
        "param_formats",
        "param_oids",
        "params",
        "quality",
        "result_formats",
        "row_data",
        "rows",
        "session",
        "sql",
        "sql_length",
        "sqlstate",
        "stalled",
        "statement_name",
        "statements",
        "t_done",
        "t_first",
        "t_ready",
        "t_recv",
        "t_sent",
        "t_start",
        "tag",
        "transaction",
        "window",
    )

    def __init__(self, session: Session, kind: Kind, sql: bytes, sql_length: int, t_recv: float) -> None:
        self.session = session
        self.kind = kind
        self.sql = sql
        self.sql_length = sql_length
        self.statement_name = b""
        """Name of the prepared statement; empty for the unnamed one and for the simple protocol."""
        self.ordinal = 0
        self.statements = 1
        self.params: list[bytes | None] | None = None
        """Raw Bind values, None for NULL; None when there is no Bind or it was over the cap."""
        self.param_formats: tuple[int, ...] = ()
        """As in Bind: empty (all text), one for all, or one each. 0 text, 1 binary."""
        self.param_oids: tuple[int, ...] = ()
        """Type OIDs from Parse or ParameterDescription; shorter than params or 0 where unknown."""
        self.columns: bytes | None = None
        """Body of the RowDescription (after the length word), when one was seen for this statement."""
        self.result_formats: tuple[int, ...] = ()
        """Result formats asked for in Bind, as param_formats; empty (text) for the simple protocol."""
        self.row_data: Rows | None = None
        self.rows = 0
        """DataRows that went to the client, or the tag's count for statements that return none."""
        self.tag = b""
        """CommandComplete tag, for instance ``INSERT 0 1``; empty for errors."""
        self.sqlstate = b""
        self.outcome = Outcome.OK
        self.bytes_in = 0
        self.bytes_out = 0
        self.t_recv = t_recv
        """Last byte of the Query or Execute read from the client."""
        self.t_sent = t_recv
        """Handed to the server's socket."""
        self.t_start = t_recv
        """When the server could begin: the later of t_sent and the end of the statement before."""
        self.t_first = 0.0
        """First byte of the reply; 0 when there was none."""
        self.t_done = 0.0
        """CommandComplete, EmptyQueryResponse, PortalSuspended or ErrorResponse read."""
        self.t_ready = 0.0
        """ReadyForQuery that closed the window; 0 when it never came."""
        self.stalled = 0.0
        """Seconds in which reading was paused because the other side was full, or the client fed COPY."""
        self.quality = Quality.EXACT
        self.window = 0
        """Number of the Sync window in the session: executions with the same number went out together."""
        self.transaction = 0x49
        """Transaction status of the ReadyForQuery: I (idle), T (in a transaction), E (failed one)."""

    @property
    def duration(self) -> float | None:
        """Service time in seconds without stalls, as the proxy saw it; None when it cannot be told."""
        if self.quality >= Quality.SHARED:
            return None
        return max(0.0, self.t_done - self.t_start - self.stalled)


class Observer(Protocol):
    """Whoever wants to know. Called on the traffic path: must be quick and should not raise.

    An exception is caught at the boundary: the session goes opaque, traffic goes on.
    """

    def session_opened(self, session: Session) -> None:
        """Authentication succeeded and the first ReadyForQuery arrived."""

    def executed(self, execution: Execution) -> None:
        """A statement is complete. Executions of one window are delivered in order, at its end."""

    def taken_back(self, execution: Execution) -> None:
        """A SELECT that is reported as OK (before, or at the end of this window) is no call to the server.

        Its transaction failed while its portal was open; pg_stat_statements never counts it. Only session,
        sql, ordinal and rows of ``execution`` mean something.
        """

    def session_closed(self, session: Session, now: float) -> None:
        """The session ended, for whatever reason; every pending execution was delivered before."""

    def count(self, counter: str, amount: int = 1) -> None:
        """Something worth counting happened: ``opaque.<reason>``, ``login_failed.<sqlstate>``, …"""
