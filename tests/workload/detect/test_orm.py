from __future__ import annotations

import pytest

from workload.detect.orm import _SIGNATURES, ORM_NAMES, orm_name, orm_of


@pytest.mark.parametrize(
    ("text", "orm"),
    [
        ('SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order" WHERE 1 = $1', "django"),
        ('SELECT COUNT(*) AS "__count" FROM "shop_order"', "django"),
        ('SELECT $1 AS "a" FROM "shop_order" LIMIT $2', "django"),
        ("SELECT orders.id AS orders_id, orders.total AS orders_total FROM orders", "sqlalchemy"),
        ("SELECT orders.id FROM orders WHERE orders.id = $1::INTEGER", "sqlalchemy"),
        ("SELECT book.id, book.title FROM book WHERE $1 = book.author_id ORDER BY book.id", "sqlalchemy"),
        ("SELECT book.id, book.title FROM book WHERE book.id = $1", "sqlalchemy"),
        ("SELECT count(book.id) AS count_1 FROM book WHERE book.author_id = $1", "sqlalchemy"),
        ("SELECT b.id, b.title FROM book b WHERE b.id = $1", ""),
        ("SELECT book.id, title FROM book WHERE book.id = $1", ""),
        ('SELECT "users".* FROM "users" WHERE "users"."id" = $1 LIMIT $2', "activerecord"),
        ('SELECT "id", "name" FROM "users" AS "User" WHERE "User"."id" = $1;', "sequelize"),
        ('SELECT "BE"."id" AS "BE_id", "BE"."x" AS "BE_x" FROM "book" "BE"', "typeorm"),
        ('select "books".* from "books" where "books"."id" in ($1)', "knex"),
        (
            'SELECT "public"."User"."id", "public"."User"."a" FROM "public"."User" WHERE 1=1 OFFSET $1',
            "prisma",
        ),
        ("select a1_0.id,a1_0.name from author a1_0 where a1_0.id=$1", "hibernate"),
        ("SELECT id, customer_id FROM orders WHERE customer_id = $1", ""),
        ("SELECT * FROM t", ""),
    ],
)
def test_an_orm_is_known_by_its_habits(text: str, orm: str) -> None:
    assert orm_of(text) == orm


def test_a_statement_name_gives_it_away() -> None:
    assert orm_of("SELECT id FROM t", "__asyncpg_stmt_1f__") == ""  # asyncpg's own, with or without an ORM
    assert orm_of("SELECT id FROM t", "a12") == "activerecord"


def test_people_read_the_projects_own_spelling() -> None:
    assert orm_name("sqlalchemy") == "SQLAlchemy"
    assert orm_name("") == ""
    assert orm_name("something new") == "something new"
    assert {name for name, _ in _SIGNATURES} == set(ORM_NAMES)
