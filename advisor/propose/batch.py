"""From the N calls of an N+1 to the one statement that does their work.

The rows of the catalogue, in the order in which they are tried:

``exists``     ``SELECT 1 … WHERE k = $1 LIMIT 1`` asks whether there is a row: one EXISTS a key.
``aggregate``  ``SELECT count(*) … WHERE k = $1``: the keys left-joined to the rows, grouped by key, so that
               a key without rows keeps its zero.
``any``        independent rows by one key: ``k = ANY($1::type[])``, the key added to the result.
``composite``  independent rows by several keys, or by a key whose equality is not identity of text
               (numeric, citext): joined to ``unnest($1::a[], $2::b[])``, which hands the key back as given.
``lateral``    all else (ORDER BY … LIMIT n a key, DISTINCT, windows, set operations): the statement as it
               is, run for each key inside of one. Always right; saves the round trips only.

Parameters that do not vary stay scalars behind the arrays. The result is a plan: the candidate that people
see, and what the judge needs to compare it with the calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pglast import enums

from advisor.model import BatchCandidate, Rejection
from advisor.propose import sqltree
from advisor.propose.batch_forms import (
    aggregate_form,
    any_form,
    below_from,
    can_group,
    can_use_any,
    constant_targets,
    exists_form,
    join_form,
    lateral_form,
)
from advisor.propose.batch_keys import Built, Keys, key_names
from advisor.propose.child import Child, ServerFacts, SortKey, read_calls, read_child
from advisor.propose.sqltree import UnsupportedStatementError
from workload.model import Finding

DJANGO_GET_LIMIT = 21
"""Django's ``get()`` asks for 21 rows, to tell how many too many there are (MAX_GET_RESULTS in
django/db/models/query.py)."""

_READS = frozenset(
    {
        "n_plus_one_read",
        "n_plus_one_with_repeats",
        "count_or_exists_per_row",
        "top_k_per_row",
        "repeated_query",
    }
)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """A candidate and how to run and read it."""

    candidate: BatchCandidate
    call_sql: str
    """The repeated statement as it is replayed: its parameters are ``call_order``, renumbered from 1."""
    call_order: tuple[int, ...]
    arrays: tuple[int, ...]
    """Original numbers of the parameters that the batched statement takes as arrays, from its $1 on."""
    scalars: tuple[int, ...]
    """Original numbers of the parameters that follow them."""
    leading_keys: int
    """Result columns in front that are the keys and not part of the child's row."""
    key_result: str
    """Where ``leading_keys`` is 0: the result column of the child that is the key."""
    drop_null_keys: bool
    presence: bool
    """The batched statement tells true or false for each key, the child a row or none."""
    sort: tuple[SortKey, ...]
    limit: int | None
    """Rows a key at most, where the batched statement keeps that limit."""


def propose_batch(
    finding: Finding, query: str, facts: ServerFacts, *, orm: str = "", orm_fix: str = ""
) -> BatchPlan | Rejection:
    """The batched statement for a finding, or why there is none.

    ``query`` is the finding's normalised statement; its captured calls tell which parameters vary.
    """
    what = f"one statement for: {finding.title}"
    if finding.cls not in _READS:
        reason = {
            "n_plus_one_write": "it writes; only reads are batched and proved so far",
            "duplicate_read": "the same row is read again and again: keep the first result, or cache it",
        }.get(finding.cls, f"nothing is known about batching a {finding.cls}")
        return Rejection(what=what, reason=reason, database=finding.database)
    if not finding.sample_calls:
        return Rejection(what=what, reason=NO_SAMPLES, database=finding.database)
    try:
        return _plan(finding, query, facts, orm, orm_fix)
    except UnsupportedStatementError as error:
        return Rejection(what=what, reason=str(error), database=finding.database)


NO_SAMPLES = (
    "no parameters of the repeated calls were kept, so nothing can be compared: "
    "run `pgcoach up` with --samples full and let the application repeat them"
)


def _plan(finding: Finding, query: str, facts: ServerFacts, orm: str, orm_fix: str) -> BatchPlan:
    child = read_child(query, finding.sample_calls, facts)
    replayed, _, _ = read_calls(query, finding.sample_calls)
    call_order = tuple(sorted(set(sqltree.parameters(replayed))))
    sqltree.renumber(replayed, call_order)
    call_sql = sqltree.deparse(replayed)

    built = _build(child, facts)
    used = set(sqltree.parameters(built.select))
    scalars = tuple(number for number in call_order if number not in child.varying and number in used)
    sqltree.renumber(built.select, (*child.varying, *scalars))
    drop_nulls = child.strict and not built.null_keys
    notes = list(built.notes)
    if drop_nulls:
        notes.append("Leave NULL keys out: the statement finds nothing for them, as before.")
    if built.shape != "any":
        notes.append("Pass each key once: a key given twice comes back twice.")
    candidate = BatchCandidate(
        finding_id=finding.id,
        original=query,
        batched=sqltree.deparse(built.select, pretty=True),
        shape=built.shape,
        key_column=", ".join(key_names(child)),
        orm=orm,
        orm_fix=orm_fix,
        notes=tuple(notes),
    )
    return BatchPlan(
        candidate=candidate,
        call_sql=call_sql,
        call_order=call_order,
        arrays=child.varying,
        scalars=scalars,
        leading_keys=built.leading_keys,
        key_result=built.key_result,
        drop_null_keys=drop_nulls,
        presence=built.presence,
        sort=child.sort,
        limit=child.limit if built.keeps_limit else None,
    )


def _build(child: Child, facts: ServerFacts) -> Built:
    keys = Keys(child, facts)
    notes: tuple[str, ...] = ()
    if child.plain and child.limit == 1 and constant_targets(child):
        return exists_form(child, keys)
    dropped = _needless_limit(child, facts)
    if dropped:
        notes = (dropped,)
        child = _without_limit(child)
    if child.aggregate and can_group(child, keys):
        return aggregate_form(child, keys, facts)
    if child.plain and child.limit is None and not below_from(child):
        if can_use_any(child, keys):
            return any_form(child, keys, notes)
        return join_form(child, keys, notes)
    return lateral_form(child, keys, notes)


def _needless_limit(child: Child, facts: ServerFacts) -> str:
    """Why the child's LIMIT can go; empty when there is none or it means something."""
    if not child.limit or not child.plain:
        return ""
    if len(child.predicates) == 1 and child.predicates[0].name in facts.unique_columns:
        return f"LIMIT {child.limit} is left out: {child.predicates[0].name} is unique."
    if child.limit == DJANGO_GET_LIMIT and not child.sort:
        return (
            f"LIMIT {DJANGO_GET_LIMIT} is left out: Django adds it to get(), which raises when there is more "
            "than one row. If you rely on that, look for keys that have several rows."
        )
    return ""


def _without_limit(child: Child) -> Child:
    child.select.limitCount = None
    child.select.limitOption = enums.LimitOption.LIMIT_OPTION_DEFAULT
    return replace(child, limit=None)
