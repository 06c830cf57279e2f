"""The text of each batched form, and what is refused; the proofs on real servers are in prove/."""

from __future__ import annotations

import pytest

from advisor.model import Rejection
from advisor.propose.batch import BatchPlan, propose_batch
from advisor.propose.child import ParameterType, ServerFacts
from workload.model import Column, Finding, FindingClass

INT = ParameterType(23, "integer", identity=True)
TEXT = ParameterType(25, "text", identity=True)
NUMERIC = ParameterType(1700, "numeric", identity=False)
INTS = ParameterType(1007, "integer[]", identity=False, array=True)


def finding(*calls: tuple[str | None, ...], cls: FindingClass = "n_plus_one_read") -> Finding:
    return Finding(
        id="f1",
        cls=cls,
        confidence="high",
        title="orders of a customer",
        database="shop",
        query_id=1,
        fingerprint="0" * 16,
        parent_query_id=None,
        parent_fingerprint=None,
        child=Column(),
        parent=Column(),
        first_seen=0.0,
        last_seen=0.0,
        units=1,
        calls=len(calls),
        wasted_ms=0.0,
        evidence={},
        sample_calls=calls,
        sample_oids=(),
    )


def plan_of(
    query: str,
    constants: tuple[str | None, ...] = (),
    *,
    key: ParameterType = INT,
    rest: tuple[ParameterType, ...] = (TEXT, TEXT, TEXT),
    unique: frozenset[str] = frozenset(),
) -> BatchPlan:
    facts = ServerFacts((key, *rest), frozenset({"count", "sum", "array_agg"}), unique)
    plan = propose_batch(finding(("1", *constants), ("2", *constants)), query, facts)
    assert isinstance(plan, BatchPlan), plan.reason
    return plan


def one_line(plan: BatchPlan) -> str:
    return " ".join(plan.candidate.batched.split())


@pytest.mark.parametrize(
    ("query", "constants", "shape", "batched"),
    [
        (
            "SELECT id FROM orders WHERE customer_id = $1",
            (),
            "any",
            "SELECT customer_id, id FROM orders WHERE customer_id = ANY(CAST($1 AS integer[]))",
        ),
        (
            "SELECT o.id, o.customer_id AS c FROM orders o WHERE o.customer_id IN ($1) AND o.status = $2",
            ("open",),
            "any",
            "SELECT o.id, o.customer_id AS c FROM orders AS o "
            "WHERE o.customer_id = ANY(CAST($1 AS integer[])) AND o.status = $2",
        ),
        (
            "SELECT p.id, c.id FROM p JOIN c ON c.p_id = p.id WHERE c.id = $1 ORDER BY 2, p.id",
            (),
            "any",
            "SELECT c.id AS id_key, p.id, c.id FROM p INNER JOIN c ON c.p_id = p.id "
            "WHERE c.id = ANY(CAST($1 AS integer[])) ORDER BY 3, p.id",
        ),
        (
            'SELECT COUNT(*) AS "__count" FROM orders WHERE customer_id = $1 AND key = $2',
            ("x",),
            "aggregate",
            "SELECT k.key2 AS customer_id, count(customer_id) AS __count "
            "FROM unnest(CAST($1 AS integer[])) AS k (key2) "
            "LEFT JOIN orders ON customer_id = k.key2 AND key = $2 GROUP BY k.key2",
        ),
        (
            "SELECT $2 AS a FROM orders WHERE customer_id = $1 AND status = $3 LIMIT $4",
            ("1", "open", "1"),
            "exists",
            "SELECT k.key AS customer_id, EXISTS (SELECT 1 FROM orders WHERE customer_id = k.key "
            "AND status = $2) AS found FROM unnest(CAST($1 AS integer[])) AS k (key)",
        ),
        (
            "SELECT id, total FROM orders WHERE customer_id = $1 ORDER BY total DESC NULLS LAST LIMIT $2",
            ("3",),
            "lateral",
            "SELECT k.key AS customer_id, r.* "
            "FROM unnest(CAST($1 AS integer[])) WITH ORDINALITY AS k (key, ord) "
            "CROSS JOIN LATERAL (SELECT id, total FROM orders WHERE customer_id = k.key "
            "ORDER BY total DESC NULLS LAST LIMIT $2) AS r ORDER BY k.ord, r.total DESC NULLS LAST",
        ),
    ],
)
def test_forms(query: str, constants: tuple[str, ...], shape: str, batched: str) -> None:
    plan = plan_of(query, constants)
    assert plan.candidate.shape == shape
    assert one_line(plan) == batched


def test_a_key_whose_equality_is_not_identity_is_joined() -> None:
    plan = plan_of("SELECT * FROM item WHERE price = $1", key=NUMERIC)
    assert plan.candidate.shape == "composite"
    assert plan.leading_keys == 1
    assert one_line(plan) == (
        "SELECT k.key AS price, item.* FROM item "
        "INNER JOIN unnest(CAST($1 AS numeric[])) AS k (key) ON price = k.key"
    )


def test_a_limit_of_get_goes_and_says_so() -> None:
    plan = plan_of("SELECT name FROM customer WHERE id = $1 LIMIT $2", ("21",))
    assert "LIMIT" not in plan.candidate.batched
    assert any("get()" in note for note in plan.candidate.notes)
    plan = plan_of("SELECT name FROM customer WHERE id = $1 LIMIT $2", ("1",), unique=frozenset({"id"}))
    assert "LIMIT" not in plan.candidate.batched
    assert any("unique" in note for note in plan.candidate.notes)


def test_a_limit_that_means_something_stays() -> None:
    plan = plan_of("SELECT name FROM customer WHERE city = $1 LIMIT $2", ("1",))
    assert plan.candidate.shape == "lateral"
    assert plan.limit == 1
    assert plan.scalars == (2,)


def test_a_cast_that_converts_is_kept() -> None:
    plan = plan_of("SELECT id FROM t WHERE x = $1::bigint")
    assert plan.candidate.shape == "composite"
    assert "x = CAST(k.key AS bigint)" in one_line(plan)


def test_aggregates_that_see_nulls_get_a_filter() -> None:
    text = one_line(plan_of("SELECT array_agg(x), sum(a + 1), sum(b), count(*) FROM t WHERE fk = $1"))
    assert "array_agg(x) FILTER (WHERE fk IS NOT NULL)" in text
    assert "sum(a + 1) FILTER (WHERE fk IS NOT NULL)" in text
    assert "sum(b)," in text
    assert "count(fk)" in text


def test_null_keys_are_left_out_only_where_they_find_nothing() -> None:
    assert plan_of("SELECT id FROM t WHERE x = $1").drop_null_keys
    assert not plan_of("SELECT id FROM t WHERE x IS NOT DISTINCT FROM $1").drop_null_keys
    assert not plan_of("SELECT id FROM t WHERE x = $1 OR y = $1").drop_null_keys


def test_the_call_is_renumbered_without_gaps() -> None:
    plan = plan_of("SELECT id FROM t WHERE x = $1 AND y = $3", ("a", "b"))
    assert plan.call_sql == "SELECT id FROM t WHERE x = $1 AND y = $2"
    assert plan.call_order == (1, 3)
    assert plan.scalars == (3,)


@pytest.mark.parametrize(
    ("cls", "reason"), [("n_plus_one_write", "it writes"), ("duplicate_read", "keep the first result")]
)
def test_other_findings_are_told_what_they_are(cls: FindingClass, reason: str) -> None:
    result = propose_batch(finding(("1",), ("2",), cls=cls), "SELECT 1", ServerFacts(()))
    assert isinstance(result, Rejection)
    assert reason in result.reason


@pytest.mark.parametrize(
    ("query", "calls", "types", "reason"),
    [
        ("SELECT id FROM t WHERE x = $1", (("1",), ("1",)), (INT,), "same parameters"),
        ("SELECT id FROM t WHERE x = $1", (), (INT,), "--samples full"),
        ("SELECT id FROM t WHERE x = $2", (("1",), ("2",)), (INT,), "fewer parameters"),
        ("SELECT id FROM t WHERE x = ANY($1)", (("{1}",), ("{2}",)), (INTS,), "list already"),
        ("SELECT id FROM t ORDER BY id OFFSET $1", (("1",), ("2",)), (INT,), "paging"),
        ("SELECT id FROM t WHERE x = $1 FOR SHARE", (("1",), ("2",)), (INT,), "locks"),
        ("SELECT id INTO u FROM t WHERE x = $1", (("1",), ("2",)), (INT,), "INTO"),
        ("SELECT id FROM t WHERE x = $1 LIMIT 1 + 1", (("1",), ("2",)), (INT,), "no plain number"),
        (
            "SELECT id FROM t WHERE x = $1 ORDER BY id FETCH FIRST 1 ROW WITH TIES",
            (("1",), ("2",)),
            (INT,),
            "WITH TIES",
        ),
        ("VALUES ($1)", (("1",), ("2",)), (INT,), "VALUES"),
    ],
)
def test_refusals(
    query: str, calls: tuple[tuple[str, ...], ...], types: tuple[ParameterType, ...], reason: str
) -> None:
    result = propose_batch(finding(*calls), query, ServerFacts(types))
    assert isinstance(result, Rejection)
    assert reason in result.reason
