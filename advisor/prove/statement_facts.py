"""What the target says about a statement before it is run: parameter types, functions, unique columns.

Nothing of the statement is executed here: PREPARE parses and plans nothing until EXECUTE. What could do
more than read (a volatile or SECURITY DEFINER function, a volatile operator) is refused with its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow

from advisor.propose import sqltree
from advisor.propose.child import ParameterType, ServerFacts, read_calls, single_table
from advisor.propose.orm import Relation
from advisor.propose.sqltree import Node, UnsupportedStatementError
from advisor.sql import qualified, quote_identifier
from workload.model import Column

_IDENTITY_TYPES = frozenset({20, 21, 23, 25, 26, 1043, 2950})
"""int8, int2, int4, text, oid, varchar, uuid (pg_type.dat): equal values have equal text. Enums too."""

_PREPARED = "pgcoach_parameters"

_TYPES = """
    SELECT t.oid::bigint, format_type(t.oid, -1), t.typtype = 'e', t.typcategory = 'A'
      FROM pg_prepared_statements s
      CROSS JOIN LATERAL unnest(s.parameter_types) WITH ORDINALITY AS p (type, position)
      JOIN pg_type t ON t.oid = p.type
     WHERE s.name = %s
     ORDER BY p.position"""

_FUNCTIONS = """
    SELECT CASE WHEN w.name LIKE '%%.%%' THEN n.nspname || '.' || p.proname ELSE p.proname END,
           p.provolatile = 'v', p.prosecdef, p.prokind = 'a'
      FROM unnest(%s::text[]) AS w (name)
      JOIN pg_proc p ON p.proname = regexp_replace(w.name, '^.*[.]', '')
      JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE CASE WHEN w.name LIKE '%%.%%' THEN n.nspname = split_part(w.name, '.', 1)
                ELSE pg_function_is_visible(p.oid) END"""

_VOLATILE_OPERATORS = """
    SELECT o.oprname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
     WHERE o.oprname = ANY(%s) AND (p.provolatile = 'v' OR p.prosecdef) AND pg_operator_is_visible(o.oid)
     LIMIT 1"""

_UNIQUE_COLUMNS = """
    SELECT a.attname
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
       AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL"""

_FOREIGN_KEY = """
    SELECT c.conrelid = to_regclass(%(parent)s)
           AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid
                       AND a.attname = %(parent_column)s AND a.attnum = ANY(c.conkey))
      FROM pg_constraint c
     WHERE c.contype = 'f'
       AND (   (    c.conrelid = to_regclass(%(parent)s) AND c.confrelid = to_regclass(%(child)s)
                AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid
                            AND a.attname = %(parent_column)s AND a.attnum = ANY(c.conkey)))
            OR (    c.conrelid = to_regclass(%(child)s) AND c.confrelid = to_regclass(%(parent)s)
                AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid
                            AND a.attname = %(child_column)s AND a.attnum = ANY(c.conkey))))
     LIMIT 1"""


async def foreign_key_direction(
    connection: AsyncConnection[TupleRow], parent: Column, child: Column
) -> Relation | None:
    """Whether a foreign key leads from parent to child (to one) or back (to many); None without one."""
    if not (parent.table and child.table):
        return None
    async with AsyncCursor(connection) as cursor:
        await cursor.execute(
            _FOREIGN_KEY,
            {
                "parent": qualified(parent.schema, parent.table),
                "parent_column": parent.column,
                "child": qualified(child.schema, child.table),
                "child_column": child.column,
            },
        )
        row = await cursor.fetchone()
    if row is None:
        return None
    return "to_one" if row[0] else "to_many"


async def statement_facts(
    connection: AsyncConnection[TupleRow],
    query: str,
    calls: Sequence[Sequence[str | None]],
    oids: Sequence[int],
) -> ServerFacts:
    """Ask the target about the normalised ``query``; ``oids`` are its parameters' types, 0 where unknown.

    Raises UnsupportedStatementError for what must not be run, psycopg.Error when the target refuses the
    statement (a table that is gone, another search_path).
    """
    select, _, _ = read_calls(query, calls)
    async with AsyncCursor(connection) as cursor:
        aggregates = await _functions(cursor, select)
        await _operators(cursor, select)
        types = await _parameter_types(cursor, select, oids)
        unique = await _unique_columns(cursor, select)
    return ServerFacts(parameters=types, aggregates=aggregates, unique_columns=unique)


async def _functions(cursor: AsyncCursor[TupleRow], select: Node) -> frozenset[str]:
    names = sorted(sqltree.functions(select))
    await cursor.execute(_FUNCTIONS, (names,))
    rows = await cursor.fetchall()
    for name, volatile, definer, _ in rows:
        if volatile:
            raise UnsupportedStatementError(
                f"it calls {name}(), which is volatile: one statement may call it another number of times"
            )
        if definer:
            raise UnsupportedStatementError(f"it calls {name}(), which runs with its owner's rights")
    return frozenset(name for name, _, _, aggregate in rows if aggregate)


async def _operators(cursor: AsyncCursor[TupleRow], select: Node) -> None:
    await cursor.execute(_VOLATILE_OPERATORS, (sorted(sqltree.operators(select)),))
    row = await cursor.fetchone()
    if row is not None:
        raise UnsupportedStatementError(f"its operator {row[0]} may be a volatile one")


async def _parameter_types(
    cursor: AsyncCursor[TupleRow], select: Node, oids: Sequence[int]
) -> tuple[ParameterType, ...]:
    used = set(sqltree.parameters(select))
    known = sorted({oid for oid in oids if oid})
    await cursor.execute(
        "SELECT oid::bigint, format_type(oid, -1) FROM pg_type WHERE oid = ANY(%s)", (known,)
    )
    names: dict[int, str] = dict(await cursor.fetchall())
    declared = []
    for number in range(1, max(used, default=0) + 1):
        oid = oids[number - 1] if number <= len(oids) else 0
        # A number that the statement does not use must be given a type, whichever.
        declared.append(names.get(oid, "unknown") if number in used else "text")
    head = f"PREPARE {_PREPARED}" + (f" ({', '.join(declared)})" if declared else "")
    # Our own deparse of one SELECT that was looked through above.
    await cursor.execute(f"{head} AS {sqltree.deparse(select)}", prepare=False)
    await cursor.execute(_TYPES, (_PREPARED,))
    rows = await cursor.fetchall()
    await cursor.execute(f"DEALLOCATE {_PREPARED}")
    return tuple(
        ParameterType(oid=oid, name=name, identity=enum or oid in _IDENTITY_TYPES, array=array)
        for oid, name, enum, array in rows
    )


async def _unique_columns(cursor: AsyncCursor[TupleRow], select: Node) -> frozenset[str]:
    table = single_table(select)
    if table is None:
        return frozenset()
    name = qualified(table.schemaname, table.relname) if table.schemaname else quote_identifier(table.relname)
    await cursor.execute(_UNIQUE_COLUMNS, (name,))
    return frozenset(row[0] for row in await cursor.fetchall())
