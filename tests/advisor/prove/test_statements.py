"""Captured values put back into normalised statements, as literals that cannot be anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pglast import ast, parse_sql

from advisor.prove.statements import (
    MAX_SAMPLES,
    StatementError,
    choose_samples,
    make_explainable,
    substitute,
)
from workload.model import Sample

TYPES = {23: ("pg_catalog", "int4"), 1007: ("pg_catalog", "_int4"), 90001: ("shop", "Mood")}


def sample(*params: str | None, at: float = 0.0, ms: float | None = 1.0, masked: bool = False) -> Sample:
    return Sample(
        query_id=1,
        params=params,
        param_oids=(0,) * len(params),
        duration_ms=ms,
        rows=1,
        taken_at=at,
        masked=masked,
    )


@pytest.mark.parametrize(
    ("text", "params", "oids", "expected"),
    [
        ("SELECT * FROM t WHERE a = $1", ["42"], [0], "SELECT * FROM t WHERE a = '42'"),
        ("SELECT * FROM t WHERE a = $1", ["42"], [23], "SELECT * FROM t WHERE a = CAST('42' AS integer)"),
        (
            "SELECT * FROM t WHERE a = $1",
            ["x"],
            [90001],
            "SELECT * FROM t WHERE a = CAST('x' AS shop.\"Mood\")",
        ),
        ("SELECT * FROM t WHERE a = $1", ["42"], [555], "SELECT * FROM t WHERE a = '42'"),
        ("SELECT * FROM t WHERE a = $1", ["42"], [705], "SELECT * FROM t WHERE a = '42'"),
        ("SELECT * FROM t WHERE a = $1", [None], [23], "SELECT * FROM t WHERE a = CAST(NULL AS integer)"),
        ("SELECT * FROM t WHERE a IN ($1, $2)", ["1", "2"], [0, 0], "SELECT * FROM t WHERE a IN ('1', '2')"),
        ("SELECT * FROM t ORDER BY $1 LIMIT $2", ["2", "3"], [0, 0], "SELECT * FROM t ORDER BY 2 LIMIT '3'"),
        ("SELECT a FROM t GROUP BY $1", ["1"], [0], "SELECT a FROM t GROUP BY 1"),
        ("SELECT now() - interval $1", ["1 day"], [0], "SELECT now() - CAST('1 day' AS interval)"),
        (
            "DELETE FROM t WHERE a = $2 AND b = $1",
            ["b", "a"],
            [0, 0],
            "DELETE FROM t WHERE a = 'a' AND b = 'b'",
        ),
    ],
)
def test_substitution(text: str, params: list[str | None], oids: list[int], expected: str) -> None:
    assert substitute(text, params, oids, TYPES) == expected


def test_untyped_numbers_can_be_written_as_numbers() -> None:
    text = "SELECT * FROM t WHERE a = $1 AND b = $2 AND c = $3 AND d = $4"
    assert substitute(text, ["-42", "1.5e3", "x", "99999999999"], [0] * 4, {}, numbers=True) == (
        "SELECT * FROM t WHERE a = -42 AND b = 1.5e3 AND c = 'x' AND d = 99999999999"
    )


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_value_stays_one_value_whatever_it_holds(value: str) -> None:
    parsed = parse_sql(substitute("SELECT $1 FROM t WHERE b = 5", [value], [0], {}))
    [statement] = parsed
    select = statement.stmt
    assert isinstance(select, ast.SelectStmt)
    assert select.targetList is not None
    constant = select.targetList[0].val
    assert isinstance(constant, ast.A_Const)
    assert isinstance(constant.val, ast.String)
    assert constant.val.sval == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("VACUUM t", "only SELECT"),
        ("EXPLAIN ANALYZE DELETE FROM t", "only SELECT"),
        ("CREATE TABLE x AS SELECT 1", "only SELECT"),
        ("SELECT 1; DROP TABLE t", "2 statements"),
        ("SELECT * INTO x FROM t", "SELECT INTO"),
        ("SELEC", "parser rejects"),
        ("COPY t TO STDOUT", "only SELECT"),
    ],
)
def test_what_is_not_explained(text: str, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        make_explainable(1, text, [], {})


def test_a_missing_value_is_said() -> None:
    with pytest.raises(StatementError, match=r"\$2"):
        substitute("SELECT $1, $2", ["1"], [0], {})


def test_nul_never_reaches_the_server() -> None:
    with pytest.raises(StatementError, match="NUL"):
        substitute("SELECT $1", ["a\0"], [0], {})


def test_samples_are_the_slowest_then_the_newest_and_all_different() -> None:
    kept = [
        sample("a", at=1, ms=900),
        sample("b", at=9),
        sample("b", at=8, ms=None),
        sample("c", at=7),
        sample("d", at=6),
        sample("m", at=99, masked=True),
        sample(at=98),
    ]
    chosen = choose_samples(kept, 1)
    assert [s.params for s in chosen] == [("a",), ("b",), ("c",)]
    assert choose_samples(list(reversed(kept)), 1) == chosen
    assert len(chosen) == MAX_SAMPLES


def test_without_a_replayable_sample_there_are_no_replays() -> None:
    query = make_explainable(7, "SELECT * FROM t WHERE a = $1 LIMIT $3", [sample("x", masked=True)], {})
    assert (query.query_id, query.parameters, query.replays) == (7, 3, ())


def test_a_statement_without_parameters_is_its_own_replay() -> None:
    query = make_explainable(7, "select count(*) from t", [], {})
    assert [replay.text for replay in query.replays] == ["SELECT count(*) FROM t"]
