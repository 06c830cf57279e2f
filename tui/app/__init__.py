"""The full-screen application. The only part of pgcoach that imports Textual.

What is shown is computed by pure functions (``rows``, ``health``, ``charts``, ``filtering``, ``sql_text``
and ``tui.advice_view``) from what ``reading`` fetched in a thread; screens only place it.
"""

from __future__ import annotations

from tui.app.application import PgcoachApp

__all__ = ["PgcoachApp"]
