"""How much one session's observation may keep. Everything beyond a limit is counted, never kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TapLimits:
    """Bounds of one session's memory. Sizes are bytes."""

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
    """Outstanding requests from which on Bind values are not kept (``bypass.params``)."""
    window: int = 256
    """Complete executions that wait for their ReadyForQuery; beyond it they are delivered without."""
    names: int = 8_192
    """Prepared statements, and as many portals, whose meaning is remembered (``bypass.names``)."""
    names_bytes: int = 8 * 1024 * 1024
    """Texts of all prepared statements together (``bypass.names``)."""
