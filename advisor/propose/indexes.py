"""Index candidates from how the workload's statements reach their tables. Pure: no database, no clock.

For each table reference of each statement (``advisor.propose.access``) the classical shapes are proposed:
equality columns, equality columns then one range, equality columns then the ORDER BY, the columns of each
join (with and without the constants), an order on its own. Columns compared for equality may stand in any
order; they are put so that statements share prefixes, then by the number of distinct values. Equal shapes
from several statements merge into one candidate.

Dropped here, each with a reason: what an existing index covers, tables too small to matter, relations that
cannot have a plain index. Whether a survivor is of any use is for the judge to say.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pglast import parse_sql

from advisor.catalog import Catalog, ExistingIndex, Relation
from advisor.model import IndexCandidate, IndexKey
from advisor.propose.access import Access, MissingRelationError, read_accesses
from advisor.sql import index_name

MAX_KEYS = 4
"""Key columns of a proposal. Wider ones rarely beat their prefix and cost more on every write."""

MAX_EQUALITY = 3
"""Equality columns taken, the most useful ones, so that a range or an order still has room."""

MIN_ROWS = 1_000
MIN_PAGES = 16
"""Smaller tables are not worth an index: reading 16 cached pages (128 kB) whole takes about 0.1 to 0.3 ms,
which is what the round trip of the query takes anyway."""


_LABEL_WIDTH = 70


@dataclass(frozen=True, slots=True)
class WorkloadStatement:
    """What a proposer needs to know of a query."""

    query_id: int
    text: str
    total_ms: float


@dataclass(frozen=True, slots=True)
class ProposedIndex:
    candidate: IndexCandidate
    free: int
    """Leading keys that may stand in any order: compared for equality only."""
    proposed_by: tuple[int, ...]
    """Ids of the queries whose shape asked for it."""
    weight_ms: float
    """Total time of those queries."""
    bundle: str = ""
    """Indexes with one bundle help only together: the arms of an OR."""

    @property
    def label(self) -> str:
        return describe(self.candidate)


@dataclass(frozen=True, slots=True)
class IndexProposals:
    candidates: tuple[ProposedIndex, ...]
    """Ordered by the weight of their queries, the heaviest first."""
    rejections: tuple[tuple[str, str], ...]
    """What was not proposed, and why."""
    tables: dict[int, frozenset[tuple[str, str]]] = field(hash=False)
    """Query id to the (schema, name) of the tables that it reaches."""


@dataclass(frozen=True, slots=True)
class _Shape:
    keys: tuple[IndexKey, ...]
    free: int
    why: str
    bundle: str = ""


def describe(candidate: IndexCandidate) -> str:
    """``index on schema.table (a, b DESC)``: for people and for rejections, not SQL."""
    keys = ", ".join(key.column + (" DESC" if key.descending else "") for key in candidate.keys)
    return f"index on {candidate.schema}.{candidate.table} ({keys})"


def query_label(query_id: int, text: str) -> str:
    """``query 12: SELECT * FROM …``: its number and the head of its normalised text, for people."""
    return f"query {query_id}: {textwrap.shorten(text, _LABEL_WIDTH, placeholder=' …')}"


def propose_indexes(statements: Sequence[WorkloadStatement], catalog: Catalog) -> IndexProposals:
    """All candidates for the workload. A statement that cannot be read becomes a rejection, not an error."""
    rejections: dict[tuple[str, str], None] = {}
    accesses: list[tuple[WorkloadStatement, Access]] = []
    tables: dict[int, frozenset[tuple[str, str]]] = {}
    for statement in statements:
        what = query_label(statement.query_id, statement.text)
        try:
            found = _read(statement.text, catalog)
        except MissingRelationError as error:
            rejections[what, str(error)] = None
            continue
        except Exception as error:
            # pglast's trees have hundreds of node types: one surprising statement must not end the run.
            rejections[what, f"the statement could not be read: {error}"] = None
            continue
        tables[statement.query_id] = frozenset((a.relation.schema, a.relation.name) for a in found)
        accesses += [(statement, access) for access in found]
    return _propose(accesses, catalog, rejections, tables)


def covering_index(relation: Relation, keys: Sequence[IndexKey], free: int) -> ExistingIndex | None:
    """An existing index that does already what an index on ``keys`` would do; None if there is none.

    That is a valid, non-partial btree whose leading keys are the same, where the first ``free`` may be
    permuted and the rest may run backwards as a whole.
    """
    for index in relation.indexes:
        if not index.valid or index.predicate or index.method != "btree" or len(index.keys) < len(keys):
            continue
        have = index.keys[: len(keys)]
        if {key.column for key in have[:free]} != {key.column for key in keys[:free]}:
            continue
        pairs = list(zip(have[free:], keys[free:], strict=True))
        if any(one.column != other.column for one, other in pairs):
            continue
        flipped = {
            (one.descending != other.descending, one.nulls_first != _nulls_first(other))
            for one, other in pairs
        }
        if flipped <= {(False, False)} or flipped <= {(True, True)}:
            return index
    return None


def _nulls_first(key: IndexKey) -> bool:
    return key.descending if key.nulls_first is None else key.nulls_first


def _read(text: str, catalog: Catalog) -> list[Access]:
    parsed = parse_sql(text)
    if len(parsed) != 1:
        raise ValueError(f"{len(parsed)} statements in one text")
    return read_accesses(parsed[0].stmt, catalog)


def _propose(
    accesses: list[tuple[WorkloadStatement, Access]],
    catalog: Catalog,
    rejections: dict[tuple[str, str], None],
    tables: dict[int, frozenset[tuple[str, str]]],
) -> IndexProposals:
    useful = _Usefulness(accesses)
    merged: dict[tuple[object, ...], ProposedIndex] = {}
    for statement, access in accesses:
        relation = access.relation
        reason = unsuitable(relation)
        if reason:
            if access.equality or access.ranges or access.joins or access.order:
                rejections[f"index on {relation.label}", reason] = None
            continue
        for shape in _shapes(access, useful):
            bundle = f"{statement.query_id}:{relation.label}" if shape.bundle else ""
            candidate = IndexCandidate(
                schema=relation.schema, table=relation.name, keys=shape.keys, why=shape.why
            )
            reason = _unneeded(relation, shape)
            if reason:
                # The other arms of an OR still want theirs: with this one they are served already.
                rejections[describe(candidate), reason] = None
                continue
            key = (relation.schema, relation.name, shape.keys)
            known = merged.get(key)
            if known is None:
                merged[key] = ProposedIndex(
                    candidate=candidate,
                    free=shape.free,
                    proposed_by=(statement.query_id,),
                    weight_ms=statement.total_ms,
                    bundle=bundle,
                )
            else:
                new = statement.query_id not in known.proposed_by
                merged[key] = replace(
                    known,
                    free=min(known.free, shape.free),
                    proposed_by=(*known.proposed_by, statement.query_id) if new else known.proposed_by,
                    weight_ms=known.weight_ms + (statement.total_ms if new else 0.0),
                    bundle=known.bundle or bundle,
                )
    ordered = sorted(merged.values(), key=lambda p: (-p.weight_ms, len(p.candidate.keys), p.label))
    return IndexProposals(tuple(_named(ordered, catalog)), tuple(sorted(rejections)), tables)


def _named(proposals: Iterable[ProposedIndex], catalog: Catalog) -> Iterator[ProposedIndex]:
    taken: dict[str, set[str]] = {}
    for (schema, name), relation in catalog.relations.items():
        names = taken.setdefault(schema, set())
        names.add(name)
        # An INVALID index is a left-over of CREATE INDEX CONCURRENTLY: exports drop it and take its name.
        names.update(index.name for index in relation.indexes if index.valid)
    for proposal in proposals:
        candidate = proposal.candidate
        names = taken.setdefault(candidate.schema, set())
        name = index_name(candidate.table, candidate.keys, candidate.include, names)
        names.add(name)
        yield replace(
            proposal,
            candidate=IndexCandidate(
                schema=candidate.schema,
                table=candidate.table,
                keys=candidate.keys,
                include=candidate.include,
                method=candidate.method,
                name=name,
                why=candidate.why,
            ),
        )


_KINDS = {
    "f": "a foreign table: it cannot have indexes here",
    "p": "partitioned: CREATE INDEX CONCURRENTLY does not work on the parent, each partition needs its own",
}


def unsuitable(relation: Relation) -> str:
    """Why no index is proposed on this relation at all; empty when it may be."""
    if relation.kind in _KINDS:
        return _KINDS[relation.kind]
    pages = max(relation.pages, relation.bytes // 8192)
    if pages < MIN_PAGES:
        size = "1 page" if pages == 1 else f"{pages} pages"
        return f"the table is too small to matter: {size}, {MIN_PAGES} is the least"
    if 0 <= relation.rows < MIN_ROWS and relation.pages > 0:
        return f"the table is too small to matter: {relation.rows:.0f} rows, {MIN_ROWS} is the least"
    return ""


def _unneeded(relation: Relation, shape: _Shape) -> str:
    for key in shape.keys:
        column = relation.columns.get(key.column)
        if column is None:
            return f"{key.column} is a system column"
        if not column.default_btree:
            return f"type {column.type_name} of {key.column} has no btree order"
    existing = covering_index(relation, shape.keys, shape.free)
    if existing is not None:
        return f"already covered by {existing.name}"
    equal = {key.column for key in shape.keys[: shape.free]}
    for index in relation.indexes:
        if index.unique and index.valid and not index.predicate and index.keys:
            columns = {key.column for key in index.keys}
            if "" not in columns and columns <= equal:
                return f"{index.name} is unique and finds the row already"
    return ""


class _Usefulness:
    """Which equality column should stand first: the one that more statements share, then more distinct."""

    def __init__(self, accesses: Iterable[tuple[WorkloadStatement, Access]]) -> None:
        users: dict[tuple[int, str], set[int]] = {}
        for statement, access in accesses:
            columns = {*access.equality, *(column for group in access.joins for column in group)}
            for column in columns:
                users.setdefault((access.relation.oid, column), set()).add(statement.query_id)
        self._shared = {key: len(ids) for key, ids in users.items()}

    def order(self, relation: Relation, columns: Iterable[str]) -> list[str]:
        return sorted(
            set(columns), key=lambda c: (-self._shared.get((relation.oid, c), 0), *_rank(relation, c))
        )

    @staticmethod
    def most_distinct(relation: Relation, columns: Iterable[str]) -> list[str]:
        return sorted(set(columns), key=lambda column: _rank(relation, column))


def _rank(relation: Relation, name: str) -> tuple[float, str]:
    column = relation.columns.get(name)
    distinct = column.distinct(max(relation.rows, 0.0)) if column is not None else None
    return (-(distinct or 0.0), name)


def _plain(columns: Iterable[str]) -> tuple[IndexKey, ...]:
    return tuple(IndexKey(column=column) for column in columns)


def _ascending(order: Sequence[IndexKey]) -> tuple[IndexKey, ...]:
    """The same order or its exact reverse, whichever starts ascending: an index is read both ways."""
    if not order or not order[0].descending:
        return tuple(order)
    return tuple(
        IndexKey(
            column=key.column,
            descending=not key.descending,
            nulls_first=None if key.nulls_first is None else not key.nulls_first,
        )
        for key in order
    )


def _shapes(access: Access, useful: _Usefulness) -> Iterator[_Shape]:
    """The indexes that one table reference asks for; may repeat a shape."""
    relation = access.relation
    # The few most selective columns, but ordered so that statements share prefixes.
    chosen = useful.most_distinct(relation, access.equality)[:MAX_EQUALITY]
    equal = useful.order(relation, chosen)
    named = ", ".join(equal)
    if equal:
        yield _Shape(_plain(equal), len(equal), f"compared for equality: {named}")
    if len(equal) > 1:
        best = chosen[0]
        yield _Shape(_plain([best]), 1, f"the most selective of the equality columns: {best}")
    for column in access.ranges:
        why = f"equality on {named}, then the range on {column}" if equal else f"range on {column}"
        yield _Shape(_plain([*equal, column]), len(equal), why)
    order = _ascending([key for key in access.order if key.column not in access.equality])
    if order:
        keys = (*_plain(equal), *order)[:MAX_KEYS]
        by = ", ".join(key.column for key in order)
        why = f"{access.order_from} {by}" + (f" after equality on {named}" if equal else "")
        yield _Shape(keys, len(equal), why)
    for group in access.joins:
        columns = useful.order(relation, group)[:MAX_KEYS]
        yield _Shape(_plain(columns), len(columns), f"joined on {', '.join(columns)}")
        if equal:
            both = useful.order(relation, {*group, *equal})[:MAX_KEYS]
            why = f"joined on {', '.join(columns)} with equality on {named}"
            yield _Shape(_plain(both), len(both), why)
    for arm in access.arms:
        yield _Shape(_plain(arm[:MAX_KEYS]), 0, f"one arm of an OR: {', '.join(arm)}", bundle="or")
