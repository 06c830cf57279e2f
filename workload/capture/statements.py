"""The statements that a worker counts, and the texts in which they were met.

Two tables. Texts that were met lately lead to their statements by one dictionary look-up, with the values
that stand in them. Statements, one a (shape, database), carry the running counts under a number that the
recorder is told once. Both are bounded; a text is forgotten with no loss, a statement that is idle is
forgotten when the table fills up, and its number is not used again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxy.observe.execution import Execution
from proxy.wire.values import array_length, decode_text, encode_text
from workload.capture.messages import StatementDef, StatementDelta
from workload.capture.samples import SampleState
from workload.lexer import Lexer
from workload.shapes import Shape

_NEARLY_FULL: Final = 0.9


@dataclass(frozen=True, slots=True)
class StatementLimits:
    """Bounds of a worker's tables. Counts, or bytes where it says so."""

    statements: int = 5000
    """Counted at the same time; executions of further ones are ``lost.statements``."""
    statement_bytes: int = 32 * 1024 * 1024
    """Of the shapes of all statements together: all definitions fit one frame (``capture.transport``)."""
    texts: int = 4096
    text_bytes: int = 8 * 1024 * 1024


class CountedStatement:
    """The running counts of one (shape, database)."""

    __slots__ = (
        "applications",
        "bytes_out",
        "calls",
        "database",
        "defined",
        "errors",
        "histogram",
        "id",
        "max_us",
        "qualities",
        "rows",
        "sample",
        "shape",
        "sqlstates",
        "timed_calls",
        "total_us",
        "touched",
        "truncated",
    )

    def __init__(self, id: int, shape: Shape, database: str, truncated: bool) -> None:
        self.id = id
        self.shape = shape
        self.database = database
        self.truncated = truncated
        self.defined = False
        """The recorder was told of it."""
        self.sample = SampleState()
        self.clear()

    def clear(self) -> None:
        """Begin to count from nothing."""
        self.touched = False
        self.calls = 0
        self.errors = 0
        self.rows = 0
        self.bytes_out = 0
        self.timed_calls = 0
        self.total_us = 0
        self.max_us = 0
        self.histogram: dict[int, int] = {}
        self.sqlstates: dict[str, int] = {}
        self.qualities = [0, 0, 0, 0]
        self.applications: set[str] = set()

    def definition(self) -> StatementDef:
        """What the recorder is told once."""
        self.defined = True
        return StatementDef(self.id, self.shape.text, self.database, self.truncated)

    def delta(self) -> StatementDelta:
        """The counts since they were cleared."""
        exact, client_bound, shared, partial = self.qualities
        return StatementDelta(
            id=self.id,
            calls=self.calls,
            errors=self.errors,
            rows=self.rows,
            bytes_out=self.bytes_out,
            timed_calls=self.timed_calls,
            total_us=self.total_us,
            max_us=self.max_us,
            histogram=self.histogram,
            sqlstates=self.sqlstates,
            qualities=(exact, client_bound, shared, partial),
            applications=tuple(self.applications),
        )


class Use:
    """A statement in a text, with the text's own values."""

    __slots__ = ("list_length", "literals", "statement")

    def __init__(self, statement: CountedStatement, literals: tuple[bytes, ...], list_length: int) -> None:
        self.statement = statement
        self.literals = literals
        """In the client's encoding, in the order of the shape's slots."""
        self.list_length = list_length


_TextKey = tuple[bytes, str, str, bool, bool]


class StatementTable:
    """Finds the statement that an execution ran, and makes the ones that are new."""

    __slots__ = (
        "_bytes",
        "_lexer",
        "_limits",
        "_new",
        "_next_id",
        "_refused",
        "_statements",
        "_text_bytes",
        "_texts",
    )

    def __init__(self, limits: StatementLimits | None = None) -> None:
        self._limits = limits or StatementLimits()
        self._lexer = Lexer()
        self._texts: dict[_TextKey, list[Use]] = {}
        self._text_bytes = 0
        self._statements: dict[tuple[str, str, bool], CountedStatement] = {}
        self._bytes = 0
        self._new: list[CountedStatement] = []
        self._next_id = 1
        self._refused = False
        """A statement found no room since the last time that some was made."""

    def __len__(self) -> int:
        return len(self._statements)

    def uses(self, execution: Execution) -> list[Use]:
        """The statements of the text that ran, in order; none where the table has no room for them."""
        session = execution.session
        key = (
            execution.sql,
            session.database,
            session.client_encoding,
            session.standard_conforming_strings,
            execution.sql_length > len(execution.sql),
        )
        uses = self._texts.get(key)
        return self._learn(key) if uses is None else uses

    def take_definitions(self) -> tuple[StatementDef, ...]:
        """Of the statements that the recorder was not told of yet."""
        told = tuple(statement.definition() for statement in self._new if not statement.defined)
        self._new.clear()
        return told

    def definitions(self) -> tuple[StatementDef, ...]:
        """Of all statements, for a recorder that knows none."""
        return tuple(statement.definition() for statement in self._statements.values())

    def make_room(self) -> None:
        """When the table is nearly full or had no room, statements untouched since they were cleared go."""
        if (
            not self._refused
            and len(self._statements) <= self._limits.statements * _NEARLY_FULL
            and self._bytes <= self._limits.statement_bytes * _NEARLY_FULL
        ):
            return
        self._refused = False
        self._statements = {
            key: statement for key, statement in self._statements.items() if statement.touched
        }
        self._bytes = sum(len(text.encode()) for _database, text, _truncated in self._statements)
        # They refer to the statements that went.
        self._forget_texts()

    def _learn(self, key: _TextKey) -> list[Use]:
        """Find the statements of a text that was not met lately."""
        sql, database, encoding, standard, truncated = key
        uses: list[Use] = []
        for found in self._lexer.lex(decode_text(sql, encoding), standard):
            statement = self._statement(found.shape, database, truncated)
            if statement is None:
                return []
            literals = tuple([encode_text(text, encoding) for text in found.literals])
            uses.append(Use(statement, literals, _list_length(literals, found.list_length)))
        if len(self._texts) >= self._limits.texts or self._text_bytes + len(sql) > self._limits.text_bytes:
            self._forget_texts()
        self._texts[key] = uses
        self._text_bytes += len(sql)
        return uses

    def _forget_texts(self) -> None:
        self._texts.clear()
        self._text_bytes = 0

    def _statement(self, shape: Shape, database: str, truncated: bool) -> CountedStatement | None:
        key = (database, shape.text, truncated)
        statement = self._statements.get(key)
        if statement is None:
            size = len(shape.text.encode())
            if (
                len(self._statements) >= self._limits.statements
                or self._bytes + size > self._limits.statement_bytes
            ):
                self._refused = True
                return None
            self._bytes += size
            statement = self._statements[key] = CountedStatement(self._next_id, shape, database, truncated)
            self._next_id += 1
            self._new.append(statement)
        return statement


def _list_length(literals: Iterable[bytes], in_the_text: int) -> int:
    """Members of the longest list: of the text's own, or of an array that is written as a literal."""
    length = in_the_text
    for literal in literals:
        if literal.startswith(b"{"):
            length = max(length, array_length(literal, 0, 0) or 0)
    return length
