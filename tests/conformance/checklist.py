"""The protocol's checklist: what a transparent observing proxy has to hold, item by item.

A test proves an item by its name, ``test_k1_…`` or ``test_s7_s9_…``, or by standing in ``ALSO``. What
stands in ``WITHOUT_TEST`` is held by no test, and says why.
"""

from __future__ import annotations

SECTIONS = {
    "S": "Start-up and encryption",
    "C": "Cancel",
    "F": "Framing and size",
    "Q": "Simple protocol",
    "X": "Extended protocol",
    "K": "COPY, replication, function call",
    "A": "Asynchrony, failure, flow control",
}

ITEMS = {
    "S1": "A first byte 0x16 is direct TLS; it is looked at, never consumed",
    "S2": "SSLRequest gets exactly one byte; bytes sent behind a refused one are no start-up packet",
    "S3": "GSSENCRequest is declined, and may come once, before or after SSLRequest",
    "S4": "A client that leaves after a declined request is no error",
    "S5": "Health probes and empty connections only count",
    "S6": "Start-up packets of 8 to 10,000 bytes, bounded before anything is allocated",
    "S7": "Start-up bytes go on verbatim, unknown settings and options included",
    "S8": "NegotiateProtocolVersion is relayed and recorded, never made up",
    "S9": "Grease (3.9999 and `_pq_.` options) reaches the server",
    "S10": "Other protocol majors are the server's to refuse",
    "S11": "Authentication is opaque in any number of rounds, and its bodies are kept nowhere",
    "S12": "The SASL mechanism list is the one rewrite, on request",
    "S13": "An error during authentication is a failed login, not a statement",
    "S14": "Replication sessions are relayed and not measured",
    "S15": "BackendKeyData may be absent",
    "S16": "No upstream: a well-formed FATAL, and 53300 for the proxy's own cap",
    "S17": "TLS required and declined by the server: FATAL, never plaintext",
    "S18": "On a unix socket SSLRequest is declined",
    "S19": "PROXY protocol from trusted networks",
    "S20": "HTTP and noise are dropped quietly",
    "S21": "A deadline for the handshake, no idle limit after it",
    "C1": "CancelRequest before authentication, in plaintext, after SSLRequest, in TLS",
    "C2": "Keys of 4 to 256 bytes",
    "C3": "A cancel goes to the server that issued its key",
    "C4": "No answer; the client is held until the server closes, within a limit",
    "C5": "The cancel uses the session's TLS mode upstream",
    "C6": "Cancels have a cap of their own",
    "C7": "Keys are never logged",
    "C8": "Cancels leave the expectations in step: pipelines, portals, a hundred at once",
    "F1": "However the bytes are cut, the same events",
    "F2": "What is no message makes the session opaque, for a counted reason, and is relayed",
    "F3": "Bodies are skipped by counting; of heads no more than a cap is kept",
    "F4": "300 MB in one message, either way, in flat memory",
    "F5": "The bytes that were received are the bytes that go on",
    "F6": "Memory and queue have limits, each with a counted bypass",
    "F7": "Broken ErrorResponses raise nothing",
    "Q1": "One Query, many results, one ReadyForQuery; times are shared",
    "Q2": "Query destroys the unnamed statement and portal",
    "Q3": "The transaction's state comes from ReadyForQuery and tags",
    "Q4": "Row counts come from tags",
    "Q5": "Texts are bytes in client_encoding",
    "Q6": "standard_conforming_strings is tracked",
    "X1": "Every request has its answers",
    "X2": "After an error everything up to Sync is skipped, Query and FunctionCall included",
    "X3": "Every Sync owns one ReadyForQuery",
    "X4": "Names hold from the server's acknowledgement on",
    "X5": "A portal keeps the text that it was bound to",
    "X6": "Portals end with their transaction",
    "X7": "PREPARE, EXECUTE, DEALLOCATE, DISCARD and CLOSE in SQL are followed",
    "X8": "The fetches of one portal are one call; the client's thinking is no service time",
    "X9": "Flush goes on at once",
    "X10": "Bind's values: formats, types, NULLs, within caps",
    "X11": "The executions of a pipeline carry their window",
    "X12": "Parse and Describe alone are no calls",
    "K1": "Syncs before the end of COPY's data get no answer",
    "K2": "Late COPY messages after a failure expect nothing",
    "K3": "COPY that the client failed is told from a cancelled one",
    "K4": "COPY in and out: rows from the tag, bytes counted",
    "K5": "CopyBoth turns the session opaque until its end",
    "K6": "FunctionCall, by the function's OID",
    "A1": "Notices, notifications and parameters may arrive at any moment",
    "A2": "An error out of the blue is the session's end, not a query's",
    "A3": "The server vanishes in the middle of a statement",
    "A4": "The client vanishes in the middle of a statement",
    "A5": "FIN travels as a half-close",
    "A6": "RST travels as an abort, after the last words",
    "A7": "Back-pressure both ways, in flat memory",
    "A8": "Observation never holds up traffic; what it drops it counts",
    "A9": "TCP_NODELAY and keepalive on both sides",
    "A10": "TLS that ends without close_notify is a normal end",
    "A11": "Terminate ends a session cleanly",
    "A12": "Drain: 57P01 when idle, a deadline for the rest",
    "A13": "An observer that raises makes its session opaque and disturbs nothing",
    "A14": "Process ids may repeat and clocks may step",
}

ALSO = {
    "tests/e2e/test_relay.py::test_the_same_bytes_come_back_as_without_the_proxy": ("F5",),
    "tests/e2e/test_exactness.py::test_calls_equal_pg_stat_statements": ("X1", "X7", "Q1", "K4"),
    "tests/conformance/test_counts.py::test_eight_sessions_are_counted_exactly": ("X1", "X8", "Q1", "K4"),
}
"""Tests of more than an item's name can say."""

WITHOUT_TEST: dict[str, str] = {}
"""Item to the reason."""
