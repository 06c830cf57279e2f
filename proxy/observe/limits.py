"""How much observation may keep, of one session and of all; what is beyond is counted and not kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TapLimits:
    """Bounds of memory, each for one session unless it says otherwise. Sizes are bytes."""

    sql_bytes: int = 64 * 1024
    """Head of a statement's text; what is longer is cut there (counted as ``bypass.sql``)."""
    param_bytes: int = 8 * 1024
    """Formats and values of one Bind; longer ones are not kept at all (``bypass.params``). 0 keeps none."""
    result_bytes: int = 64 * 1024
    """Result chunks kept alive by one execution; later rows are not held (``bypass.rows``). 0 keeps none."""
    window_result_bytes: int = 1024 * 1024
    """The same for all executions that wait for one ReadyForQuery."""
    columns_bytes: int = 64 * 1024
    """A RowDescription; a longer one is not kept (``bypass.columns``)."""
    outstanding: int = 262_144
    """Requests without an answer. Sockets fill up long before; beyond it the session goes opaque."""
    detailed: int = 4_096
    """Outstanding requests from which on Bind values are not kept (``bypass.params``), and of a session that
    gets no more memory the most there may be: beyond that it goes opaque."""
    window: int = 256
    """Complete executions that wait for their ReadyForQuery; beyond it they are delivered without."""
    window_sql_bytes: int = 1024 * 1024
    """Texts of those; beyond it they are delivered without, too."""
    names: int = 8_192
    """Prepared statements, and as many portals, whose meaning is remembered (``bypass.names``)."""
    names_bytes: int = 8 * 1024 * 1024
    """Texts and columns of all prepared statements together (``bypass.names``, ``bypass.columns``)."""
    session_bytes: int = 16 * 1024 * 1024
    """Those, and texts and values of requests without an answer (``bypass.sql``, ``bypass.params``)."""
    process_bytes: int = 128 * 1024 * 1024
    """What all sessions of a process may keep together beyond a little each (``proxy.observe.memory``)."""
