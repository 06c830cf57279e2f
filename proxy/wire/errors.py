"""ErrorResponse messages that the proxy itself says to a client."""

from __future__ import annotations

from struct import pack


def error_response(
    sqlstate: str, message: str, *, severity: str = "FATAL", detail: str = "", hint: str = ""
) -> bytes:
    """A well-formed ErrorResponse with the fields S, V, C, M and, where given, D and H.

    ``sqlstate`` is five characters of PostgreSQL's ``errcodes.txt`` (08001 when the server cannot be
    reached, 08006 when it went away, 53300 for too many connections). Raises ValueError otherwise.
    """
    if len(sqlstate) != 5 or not (sqlstate.isascii() and sqlstate.isalnum()):
        raise ValueError(f"SQLSTATE must be five letters or digits, not {sqlstate!r}")
    fields = [("S", severity), ("V", severity), ("C", sqlstate), ("M", message), ("D", detail), ("H", hint)]
    body = b"".join(
        code.encode() + text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        for code, text in fields
        if text or code == "M"
    )
    return b"E" + pack("!I", len(body) + 5) + body + b"\0"
