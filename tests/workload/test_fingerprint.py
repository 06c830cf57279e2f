"""Identities of shapes: pglast's fingerprint, or one of our own for what it rejects."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import fingerprint

from workload.fingerprint import identify


@pytest.mark.parametrize(
    ("sql", "kind", "tables"),
    [
        ("SELECT a FROM t JOIN s.u ON true WHERE x IN (SELECT 1 FROM v)", "select", {"t", "s.u", "v"}),
        ("WITH c AS (SELECT 1 FROM t) SELECT a FROM c, c AS d", "select", {"t"}),
        ("INSERT INTO t (a) SELECT b FROM u", "insert", {"t", "u"}),
        ("UPDATE t SET a = $1 FROM u", "update", {"t", "u"}),
        ("DELETE FROM t USING u", "delete", {"t", "u"}),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "merge", {"t", "u"}),
        ("COPY t TO STDOUT", "copy", {"t"}),
        ("BEGIN", "utility", set()),
        ("DROP TABLE t", "utility", set()),
        ("SELECT $1", "select", set()),
    ],
)
def test_identity(sql: str, kind: str, tables: set[str]) -> None:
    identity = identify(sql)
    assert identity.fingerprint == fingerprint(sql)
    assert (identity.kind, set(identity.tables), identity.parse_error) == (kind, tables, False)


def test_what_the_parser_rejects_has_an_identity_of_its_tokens() -> None:
    first = identify("SELECT a FORM t WHERE b = $1")
    assert re.fullmatch("x[0-9a-f]{15}", first.fingerprint)
    assert (first.kind, first.parse_error) == ("select", True)
    assert identify("select  a /* c */ form t where b = $7").fingerprint == first.fingerprint
    assert identify("SELECT a FORM u WHERE b = $1").fingerprint != first.fingerprint
    assert identify("nonsense").kind == "unknown"


def test_truncated_texts_are_not_parsed() -> None:
    whole = identify("SELECT a FROM t")
    cut = identify("SELECT a FROM t", truncated=True)
    assert cut.parse_error
    assert cut.fingerprint != whole.fingerprint


@given(st.text(max_size=60) | st.sampled_from(["", ";", "(" * 20_000, "SELECT " + "(" * 9000, "\ud800"]))
def test_identify_never_raises(text: str) -> None:
    assert len(identify(text).fingerprint) == 16
