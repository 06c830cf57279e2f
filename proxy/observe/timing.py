"""When a statement ran, from the outside.

The server answers one request after the other, so a statement can have begun no earlier than it was sent
and no earlier than the one before it was done:

    t_start = max(t_sent, t_done of the statement before, or its ReadyForQuery)

Acknowledgements of Parse and Bind do not move that line: the server flushes its 8 KiB buffer when it is
full, so their arrival says nothing about when they happened.

Stalls are kept as one running total. What of it falls into ``t_start … t_done`` is subtracted:
time in which the relay did not read the server because the client was full, and in COPY FROM STDIN time
in which the server waited for the client's data.
"""

from __future__ import annotations

from proxy.observe.execution import Execution, Quality


class Timing:
    """The running clockwork of one session. Instants come from the caller."""

    __slots__ = (
        "_copy_from",
        "_paused_at",
        "_total",
        "_upstream_at",
        "_upstream_total",
        "done",
        "done_total",
    )

    def __init__(self) -> None:
        self.done = 0.0
        """When the server finished the last statement or window."""
        self.done_total = 0.0
        """Stall total at that instant."""
        self._total = 0.0
        self._paused_at = -1.0
        self._upstream_total = 0.0
        self._upstream_at = -1.0
        self._copy_from = -1.0

    def stalled_until(self, now: float) -> float:
        """Seconds of stall since the session began."""
        if self._paused_at >= 0.0:
            return self._total + now - self._paused_at
        return self._total

    def finish(self, execution: Execution, now: float) -> None:
        """The statement's completion was read: fill in t_start, t_done, stalled and a first quality."""
        before = self.done
        start = execution.t_sent
        if before > start:
            start = before
            if before == now and execution.quality < Quality.SHARED:
                # Its answer was read together with the one before: they have one time between them.
                execution.quality = Quality.SHARED
        execution.t_start = start
        execution.t_done = now
        if execution.t_first == 0.0:
            execution.t_first = now
        total = self.stalled_until(now) if self._paused_at >= 0.0 else self._total
        # Until now ``stalled`` held the total at the time of sending.
        base = self.done_total if self.done_total > execution.stalled else execution.stalled
        stalled = total - base
        execution.stalled = stalled
        if stalled > 0.0 and execution.quality == Quality.EXACT:
            execution.quality = Quality.CLIENT_BOUND
        self.done = now
        self.done_total = total

    def ready(self, now: float) -> None:
        """ReadyForQuery was read."""
        self.done = now
        self.done_total = self.stalled_until(now)

    def pause_server(self, now: float) -> None:
        """The relay stopped reading the server: the client takes no more."""
        if self._paused_at < 0.0:
            self._paused_at = now

    def resume_server(self, now: float) -> None:
        if self._paused_at >= 0.0:
            self._total += now - self._paused_at
            self._paused_at = -1.0

    def pause_client(self, now: float) -> None:
        """The relay stopped reading the client: the server takes no more."""
        if self._upstream_at < 0.0:
            self._upstream_at = now

    def resume_client(self, now: float) -> None:
        if self._upstream_at >= 0.0:
            self._upstream_total += now - self._upstream_at
            self._upstream_at = -1.0

    def _upstream_until(self, now: float) -> float:
        if self._upstream_at >= 0.0:
            return self._upstream_total + now - self._upstream_at
        return self._upstream_total

    def copy_begins(self, now: float) -> None:
        """CopyInResponse was read: from here the server waits for data."""
        self._copy_from = now - self._upstream_until(now)

    def copy_data_ended(self, now: float) -> None:
        """CopyDone or CopyFail was sent, or an error ended the COPY: feeding, as far as the server took it
        at once, was stall.
        """
        if self._copy_from >= 0.0:
            self._total += max(0.0, now - self._upstream_until(now) - self._copy_from)
            self._copy_from = -1.0
