"""The observer of one session: chunks and instants go in, executions come out.

``SessionTap`` is the boundary between traffic and observation. Nothing that happens behind it can disturb
the relay: it never raises, never waits, and what it keeps is bounded by its limits. When it does not
understand the traffic, or fails itself, the session turns *opaque*: the reason is counted, what was
pending is delivered, memory is let go, and every further call returns at once.

Counters, through ``Observer.count``:

- ``opaque.<reason>``: unknown_message, bad_length, unexpected_answer, answer_without_request,
  incomplete_result, copy_both, outstanding, or internal (an error of ours or of the observer);
  ``sessions.replication`` for sessions that are opaque on purpose
- ``bypass.<what>``: sql, params, rows, columns, names: beyond a limit, so not kept
- ``login_failed.<sqlstate>``, ``session_notice.<sqlstate>`` (why the server ends an idle session),
  ``commit_failed.<sqlstate>`` (after its statements had succeeded), ``unattributed_error.<sqlstate>``
  (no statement is known that failed)
- ``copy_failed_by_client``, ``protocol_negotiated``, ``unknown_name`` (a portal we know nothing of),
  ``uncounted_by_server`` (see ``Lifetimes.fail_portal``)
"""

from __future__ import annotations

from enum import IntEnum

from proxy.observe.conversation import IDLE, Conversation
from proxy.observe.execution import Observer, Session
from proxy.observe.limits import TapLimits
from proxy.observe.memory import Budget
from proxy.observe.replies import REPLICATION, Replies
from proxy.observe.requests import Requests
from proxy.wire.framing import Framer, ProtocolError

__all__ = ["Budget", "SessionTap", "Side", "TapLimits"]

_REPLICATION_OFF = frozenset(("", "false", "off", "no", "0", "f", "n"))


class Side(IntEnum):
    """A side of the relay that it reads from."""

    CLIENT = 0
    SERVER = 1


class SessionTap:
    """Observes one session. All instants are of the clock that ``Execution`` speaks of."""

    __slots__ = (
        "_client",
        "_client_read",
        "_closed",
        "_observer",
        "_opaque",
        "_replies",
        "_requests",
        "_server",
        "_state",
        "_stopped",
    )

    def __init__(
        self, session: Session, observer: Observer, limits: TapLimits, budget: Budget | None = None
    ) -> None:
        """``budget`` is shared by the sessions of a process."""
        self._observer = observer
        self._state = Conversation(session, observer, limits, budget)
        self._requests = Requests(self._state)
        self._replies = Replies(self._state)
        self._client = Framer(self._requests.messages)
        self._server = Framer(self._replies.messages)
        self._opaque = False
        self._stopped = False
        """Opaque or closed."""
        self._closed = False
        self._client_read = 0.0

    @property
    def opaque(self) -> bool:
        """Observation stopped: feeding is of no use any more (and costs nothing)."""
        return self._opaque

    @property
    def authenticated(self) -> bool:
        """The first ReadyForQuery was seen."""
        return self._state.authenticated

    @property
    def idle(self) -> bool:
        """Nothing is under way: everything sent was answered, and no transaction is open.

        Always False for an opaque session, of which nobody knows, and for a closed one.
        """
        state = self._state
        return (
            not self._stopped
            and state.authenticated
            and state.status == IDLE
            and not state.expectations.waiting()
            and not state.expectations.skipping
            and not self._client.pending
            and not self._server.pending
        )

    def started(self, raw_startup: bytes, parameters: dict[str, str], now: float) -> None:
        """The client's StartupMessage, which is not to be fed; everything after it is."""
        if self._stopped:
            return
        session = self._state.session
        session.user = parameters.get("user", "")
        session.database = parameters.get("database", "") or session.user
        session.application_name = parameters.get("application_name", "")
        session.client_encoding = parameters.get("client_encoding", session.client_encoding)
        session.replication = parameters.get("replication", "").lower() not in _REPLICATION_OFF

    def feed_client(self, chunk: bytes, now: float) -> None:
        """Bytes that the client sent, read at ``now`` and handed on to the server at once."""
        if self._stopped or self._requests.terminated:
            return
        self._state.now = now
        self._client_read = now
        try:
            self._client.feed(chunk)
        except Exception as error:
            self._fail(error)

    def feed_server(self, chunk: bytes, now: float) -> None:
        """Bytes that the server sent, read at ``now``."""
        if self._stopped:
            return
        state = self._state
        state.now = now
        try:
            if state.results.active:
                state.results.more(chunk)
            framer = self._server
            framer.feed(chunk)
            if framer.begun_at >= 0:
                self._replies.message_begins(framer.pending, chunk, framer.begun_at)
        except Exception as error:
            self._fail(error)

    def paused(self, side: Side, now: float) -> None:
        """The relay stopped reading from ``side``, because the other side takes no more."""
        if self._stopped:
            return
        if side == Side.SERVER:
            self._state.timing.pause_server(now)
        else:
            self._state.timing.pause_client(now)

    def resumed(self, side: Side, now: float) -> None:
        """The relay reads from ``side`` again."""
        if self._stopped:
            return
        if side == Side.SERVER:
            self._state.timing.resume_server(now)
            return
        self._state.timing.resume_client(now)
        # What was read last has reached the server only now.
        for entry in reversed(self._state.expectations.queue):
            execution = entry.execution
            if execution is not None:
                if execution.t_recv < self._client_read:
                    break
                execution.t_sent = now

    def closed(self, now: float) -> None:
        """The session is over; everything pending is delivered. Later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        state = self._state
        if not self._stopped:
            state.now = now
            self._let_go()
        if state.authenticated:
            try:
                self._observer.session_closed(state.session, now)
            except Exception:
                # Its last call: there is nothing left to stop, and nobody left to tell.
                return

    def _fail(self, error: Exception) -> None:
        """Turn opaque."""
        self._opaque = True
        session = self._state.session
        if isinstance(error, ProtocolError):
            reason = error.reason
            session.opaque_reason = reason
        else:
            reason = "internal"
            # Only the kind of the error: its text may hold what the client sent.
            session.opaque_reason = f"internal: {type(error).__name__}"
        try:
            self._observer.count("sessions.replication" if reason == REPLICATION else "opaque." + reason)
        except Exception:
            session.opaque_reason += " (not counted)"
        self._let_go()

    def _let_go(self) -> None:
        """Deliver what is pending and forget everything."""
        self._stopped = True
        state = self._state
        pending = state.in_flight()
        for execution in pending:
            execution.t_done = state.now
        state.delivery.give_up(pending)
        state.forget()
        # The handlers know the framers' tables, which know the handlers.
        self._requests.messages.handlers.clear()
        self._replies.messages.handlers.clear()
