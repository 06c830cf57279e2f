"""Which answer belongs to which request: the expectation table, and the queue that runs on it.

PostgreSQL answers requests strictly in order, and each kind of request has few possible answers. So the
observer keeps one queue: a request appends an expectation, an answer is held against the *first* one.

Rule 1: What is asynchronous (NoticeResponse, NotificationResponse, ParameterStatus) never touches the queue.

Rule 2: An answer that the table does not allow for the first expectation means that the observer is wrong
about the stream. It must stop; it must not guess.

Rule 3: After an ErrorResponse to an extended request the server ignores everything up to the next Sync,
*including* simple Query and FunctionCall messages. Their expectations vanish with the others. If that Sync
was not sent yet, what the client sends until then is skipped as well (``skipping``). An ErrorResponse to
Query or FunctionCall skips nothing; one for which Sync stands first is a failed commit, and the
ReadyForQuery of that Sync still comes.

Rule 4: Every Sync owns exactly one ReadyForQuery, even back to back. The exception is COPY FROM STDIN: while
the server reads copy data it swallows Sync and Flush. Clients that do not know that their statement is a
COPY (libpq's PQsendQueryParams) have sent that Sync long before CopyInResponse. So when the COPY ends, the
Syncs between it and the CopyDone or CopyFail owe nothing; if an error ended it, only those that were sent
before any copy data surely met the COPY, and a later one stands.

Rule 5: CopyData, CopyDone and CopyFail are never answered. CopyDone and CopyFail leave a mark in the queue
that only rule 4 looks at; late ones, after a COPY failed, are nothing at all.

Sources: https://www.postgresql.org/docs/current/protocol-flow.html, ``src/backend/tcop/postgres.c``
(PostgresMain, ignore_till_sync), ``src/backend/commands/copyfromparse.c`` (CopyGetData); every rule was
seen on a real server.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from proxy.observe.execution import Execution
from proxy.observe.names import UNNAMED, Namespace, Portal, Statement
from proxy.wire.framing import ProtocolError

PARSE: Final = 0
BIND: Final = 1
DESCRIBE_STATEMENT: Final = 2
DESCRIBE_PORTAL: Final = 3
EXECUTE: Final = 4
CLOSE_STATEMENT: Final = 5
CLOSE_PORTAL: Final = 6
SYNC: Final = 7
QUERY: Final = 8
FUNCTION_CALL: Final = 9
COPY_END: Final = 10

ANSWERS: Final[tuple[bytes, ...]] = (
    b"1E",  # PARSE: ParseComplete
    b"2E",  # BIND: BindComplete
    b"tTnE",  # DESCRIBE_STATEMENT: ParameterDescription, then RowDescription or NoData
    b"TnE",  # DESCRIBE_PORTAL
    b"DCsIGHWdcE",  # EXECUTE: rows, then CommandComplete, PortalSuspended or EmptyQueryResponse; or a COPY
    b"3E",  # CLOSE_STATEMENT
    b"3E",  # CLOSE_PORTAL
    b"ZE",  # SYNC
    b"TDCIGHWdcEZ",  # QUERY: any number of results, then ReadyForQuery
    b"VEZ",  # FUNCTION_CALL
    b"",  # COPY_END
)
"""Kind of request to the types of its possible answers; the table of the protocol."""


class Expected:
    """A request that waits for its answer."""

    __slots__ = ("execution", "kind", "name", "portal", "statement")

    def __init__(
        self,
        kind: int,
        name: bytes,
        statement: Statement | None,
        portal: Portal | None,
        execution: Execution | None,
    ) -> None:
        self.kind = kind
        self.name = name
        """What PARSE, BIND and CLOSE define or remove; the name in a QUERY that begins with EXECUTE."""
        self.statement = statement
        self.portal = portal
        self.execution = execution
        """EXECUTE: the execution. QUERY, FUNCTION_CALL: the statement being answered, None between two."""

    def propose(self, statements: Namespace[Statement], portals: Namespace[Portal]) -> None:
        """Tell the namespaces what this request, which is on its way, makes of a name."""
        kind = self.kind
        if kind == PARSE:
            statements.propose(self.name, self.statement)
        elif kind == BIND:
            portals.propose(self.name, self.portal)
        elif kind == CLOSE_STATEMENT:
            statements.propose(self.name, None)
        elif kind == CLOSE_PORTAL:
            portals.propose(self.name, None)


class Batch(Expected):
    """QUERY or FUNCTION_CALL: statements one after the other, and then a ReadyForQuery of its own."""

    __slots__ = ("children", "drops_unnamed", "failed", "template", "text_at")

    def __init__(self, kind: int, name: bytes, execution: Execution) -> None:
        super().__init__(kind, name, None, None, execution)
        self.template = execution
        """The message as sent, from which each of its statements is made."""
        self.children = 0
        """Statements answered so far."""
        self.text_at = 0
        """Where the text of the next statement begins."""
        self.drops_unnamed = False
        """There was an unnamed statement or portal, which it replaces."""
        self.failed = False
        """ErrorResponse was read."""

    def propose(self, statements: Namespace[Statement], portals: Namespace[Portal]) -> None:
        if self.drops_unnamed:
            statements.propose(UNNAMED, None)
            portals.propose(UNNAMED, None)


# These carry no name and no execution, so every one of a sort is the same entry.
SYNC_BEFORE_DATA: Final = Expected(SYNC, UNNAMED, None, None, None)
"""If a COPY stands before it, it was sent before any of its data."""
SYNC_AFTER_DATA: Final = Expected(SYNC, UNNAMED, None, None, None)
COPY_DONE: Final = Expected(COPY_END, UNNAMED, None, None, None)
COPY_FAIL: Final = Expected(COPY_END, UNNAMED, None, None, None)


class Expectations:
    """The queue. Raises ``ProtocolError`` where rule 2 applies."""

    __slots__ = ("copying", "queue", "skipping")

    def __init__(self) -> None:
        self.queue: deque[Expected] = deque()
        self.skipping = False
        """An error is being skipped to a Sync that the client has not sent yet."""
        self.copying = False
        """The first expectation is in COPY FROM STDIN."""

    def first(self, answer: int) -> Expected:
        """The expectation that an answer of this type belongs to."""
        queue = self.queue
        while queue:
            entry = queue[0]
            if entry.kind != COPY_END:
                if answer in ANSWERS[entry.kind]:
                    return entry
                raise ProtocolError("unexpected_answer")
            queue.popleft()
        raise ProtocolError("answer_without_request")

    def waiting(self) -> bool:
        """Is anything unanswered?"""
        queue = self.queue
        while queue and queue[0].kind == COPY_END:
            queue.popleft()
        return bool(queue)

    def end_copy(self, succeeded: bool) -> None:
        """Rule 4: the COPY FROM STDIN that stands first is over; settle which Syncs it swallowed."""
        self.copying = False
        kept: list[Expected] = []
        queue = self.queue
        first = queue.popleft()
        while queue:
            entry = queue.popleft()
            if entry.kind == SYNC and (succeeded or entry is SYNC_BEFORE_DATA):
                continue
            if entry.kind == COPY_END:
                break
            kept.append(entry)
        queue.extendleft(reversed(kept))
        queue.appendleft(first)

    def skip_to_sync(self) -> list[Expected]:
        """Rule 3, for an error of the first expectation: everything up to the next Sync, that first one
        included, leaves the queue and is returned.
        """
        queue = self.queue
        skipped: list[Expected] = []
        while queue:
            if queue[0].kind == SYNC:
                return skipped
            skipped.append(queue.popleft())
        self.skipping = True
        return skipped
