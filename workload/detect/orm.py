"""Which object-relational mapper wrote a statement, told by habits that show on the wire.

A hint for the wording of a fix, never for a verdict: the quoting, the aliases and the statement names that
each writes by default. Order matters, from the unmistakable to the common.
"""

from __future__ import annotations

import re
from typing import Final

_SIGNATURES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("hibernate", re.compile(r"\b[a-z]+\d+_\d+\.\w+")),
    ("typeorm", re.compile(r'"distinctAlias"|("\w+")\."(\w+)" AS "\w+_\2"')),
    ("prisma", re.compile(r'"public"\."\w+"\."\w+".*\bOFFSET\b', re.DOTALL)),
    # Labels table_column, casts in upper case, a lazy loader's constant on the left, numbered labels.
    ("sqlalchemy", re.compile(r"\b(\w+)\.(\w+) AS \1_\2\b|\$\d+(::\w+)?::(?:INTEGER|VARCHAR|BIGINT|UUID)\b")),
    ("sqlalchemy", re.compile(r"WHERE \$\d+(?:::\w+)* = \w+\.\w+\b|\) AS (?:count|sum|max|min|avg)_\d+\b")),
    # One table, every column qualified by its unquoted name: hand-written SQL has an alias or nothing.
    ("sqlalchemy", re.compile(r"^SELECT (\w+)\.\w+(?:, \1\.\w+)*\s+FROM \1\s+WHERE \1\.\w+ ")),
    ("django", re.compile(r'"__count"|AS "a" |"_prefetch_related_val_|^SELECT "(\w+)"\."\w+", "\1"\.')),
    ("activerecord", re.compile(r'^SELECT "(\w+)"\.\* FROM "\1"|^SELECT 1 AS one FROM "')),
    ("sequelize", re.compile(r'^SELECT .* FROM "(\w+)" AS "\w+".*;?$')),
    ("knex", re.compile(r'^select "(\w+)"\.\* from "\1"')),
)
ORM_NAMES: Final[dict[str, str]] = {
    "django": "Django",
    "sqlalchemy": "SQLAlchemy",
    "activerecord": "Active Record",
    "sequelize": "Sequelize",
    "typeorm": "TypeORM",
    "knex": "Knex.js",
    "prisma": "Prisma",
    "hibernate": "Hibernate",
}
"""What ``orm_of`` answers, as the projects write themselves."""

_STATEMENT_NAMES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (("activerecord", re.compile(r"^a\d+$")),)


def orm_name(orm: str) -> str:
    """The name for people of what ``orm_of`` answered; one that is not known stays as it is."""
    return ORM_NAMES.get(orm, orm)


def orm_of(text: str, statement_name: str = "") -> str:
    """``django``, ``sqlalchemy``, ``activerecord``, ``sequelize``, ``typeorm``, ``knex``, ``prisma``,
    ``hibernate``, or the empty string."""
    for name, pattern in _SIGNATURES:
        if pattern.search(text):
            return name
    for name, pattern in _STATEMENT_NAMES:
        if pattern.search(statement_name):
            return name
    return ""
