"""Normalised statements made explainable again: captured parameters put back as typed literals.

Values go in on the syntax tree, as constants, and PostgreSQL's grammar writes the text: no value is ever
pasted into SQL. Only statements that EXPLAIN can plan without side effects pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast, parse_sql
from pglast.parser import fingerprint
from pglast.stream import RawStream

from advisor.sql import qualified
from workload.model import Sample

MAX_SAMPLES = 3
"""Samples explained per query: the slowest, the newest, and one more."""

_INTEGER = re.compile(r"-?[0-9]{1,9}\Z")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_UNKNOWN_OID = 705


class StatementError(ValueError):
    """The statement cannot be explained; the message says why."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The statement with one set of captured values, in the two ways that they may be meant."""

    text: str
    """Untyped values as string literals: they take the type of what they are compared with."""
    numeric: str
    """The second try: types left out, because drivers size them by one call's value (smallint for 5, which
    the next call's 70000 does not fit), and what looks like a number written as one."""


@dataclass(frozen=True, slots=True)
class Explainable:
    """A query as the judge explains it: with real values, or generically where there are none."""

    query_id: int
    text: str
    """Normalised, as deparsed from its tree."""
    parameters: int
    """The highest $n."""
    replays: tuple[Replay, ...]
    """Empty: no sample can be replayed, a generic plan has to do."""


def make_explainable(
    query_id: int, text: str, samples: Sequence[Sample], types: Mapping[int, tuple[str, str]]
) -> Explainable:
    """The query with up to MAX_SAMPLES sets of captured values in it.

    ``types`` names the type (schema, name) of the OIDs that occur in the samples. Raises StatementError for
    a text that is not exactly one SELECT, INSERT, UPDATE, DELETE or MERGE.
    """
    statement = _parse(text)
    parameters = max(
        (node.number or 0 for node in _nodes(statement) if isinstance(node, ast.ParamRef)), default=0
    )
    written = RawStream()(statement)
    if fingerprint(written) != fingerprint(text):
        raise StatementError("the statement cannot be written back as it was")
    if parameters == 0:
        return Explainable(query_id, written, 0, (Replay(written, written),))
    replays = tuple(
        Replay(
            substitute(text, sample.params, sample.param_oids, types),
            substitute(text, sample.params, (), {}, numbers=True),
        )
        for sample in choose_samples(samples, parameters)
    )
    return Explainable(query_id, written, parameters, replays)


def choose_samples(samples: Sequence[Sample], parameters: int) -> list[Sample]:
    """Replayable samples: the slowest, then the newest, without repeating values. The same in every run."""
    usable = [s for s in samples if not s.masked and len(s.params) >= parameters]
    newest = sorted(usable, key=lambda s: (-s.taken_at, -(s.duration_ms or 0.0), repr(s.params)))
    slowest = sorted(usable, key=lambda s: (-(s.duration_ms or 0.0), -s.taken_at, repr(s.params)))
    chosen: dict[tuple[str | None, ...], Sample] = {}
    for sample in [*slowest[:1], *newest]:
        chosen.setdefault(sample.params, sample)
        if len(chosen) == MAX_SAMPLES:
            break
    return list(chosen.values())


def substitute(
    text: str,
    params: Sequence[str | None],
    oids: Sequence[int],
    types: Mapping[int, tuple[str, str]],
    numbers: bool = False,
) -> str:
    """``text`` with each $n replaced by a literal of ``params[n - 1]``, cast where its type is known.

    With ``numbers``, a value of unknown type that looks like a number is written as one. Raises
    StatementError when the statement is of the wrong kind, or has more parameters than values.
    """
    statement = _parse(text)

    def literal(node: Any, parent: Any) -> Any:
        position = (node.number or 0) - 1
        if not 0 <= position < len(params):
            raise StatementError(f"there is no captured value for ${node.number}")
        oid = oids[position] if position < len(oids) else 0
        ordinal = isinstance(parent, ast.SortBy) or parent is None
        return _constant(params[position], types.get(oid) if oid != _UNKNOWN_OID else None, numbers, ordinal)

    _replace(statement, literal)
    return RawStream()(statement)


def _parse(text: str) -> Any:
    try:
        parsed = parse_sql(text)
    except Exception as error:
        raise StatementError(f"PostgreSQL's parser rejects the statement: {error}") from error
    if len(parsed) != 1:
        raise StatementError(f"{len(parsed)} statements in one text")
    statement: Any = parsed[0].stmt
    if not isinstance(
        statement, (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
    ):
        raise StatementError("only SELECT, INSERT, UPDATE, DELETE and MERGE are explained")
    if isinstance(statement, ast.SelectStmt) and statement.intoClause is not None:
        raise StatementError("SELECT INTO makes a table: it is not explained")
    return statement


def _constant(value: str | None, type_name: tuple[str, str] | None, numbers: bool, ordinal: bool) -> Any:
    if value is None:
        constant: Any = ast.A_Const(isnull=True)
    elif type_name is None and (numbers or ordinal) and _INTEGER.match(value):
        constant = ast.A_Const(isnull=False, val=ast.Integer(ival=int(value)))
    elif type_name is None and numbers and _NUMBER.match(value):
        constant = ast.A_Const(isnull=False, val=ast.Float(fval=value))
    else:
        if "\0" in value:
            raise StatementError("a captured value holds NUL")
        constant = ast.A_Const(isnull=False, val=ast.String(sval=value))
    if type_name is None:
        return constant
    template: Any = parse_sql(f"SELECT NULL::{qualified(*type_name)}")[0].stmt
    cast = template.targetList[0].val
    cast.arg = constant
    return cast


def _replace(node: Any, literal: Any) -> None:
    for name in node:
        value = getattr(node, name)
        if isinstance(value, ast.ParamRef):
            setattr(node, name, literal(value, node))
        elif isinstance(value, ast.Node):
            _replace(value, literal)
        elif isinstance(value, tuple):
            setattr(node, name, _replaced(value, None if name == "groupClause" else node, literal))


def _replaced(values: tuple[Any, ...], parent: Any, literal: Any) -> tuple[Any, ...]:
    items = []
    for value in values:
        if isinstance(value, ast.ParamRef):
            items.append(literal(value, parent))
            continue
        if isinstance(value, tuple):
            items.append(_replaced(value, parent, literal))
            continue
        if isinstance(value, ast.Node):
            _replace(value, literal)
        items.append(value)
    return tuple(items)


def _nodes(node: Any) -> Any:
    if isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from _nodes(getattr(node, name))
    elif isinstance(node, tuple):
        for part in node:
            yield from _nodes(part)
