"""Queries and their ids: one for a fingerprint in a database, in any number and order."""

from __future__ import annotations

from workload.store.connection import Database
from workload.store.definitions import define_queries, present, texts_of
from workload.store.writing import KEYS_A_SELECT, NewQuery

T0 = 1_800_000_000.0


def new(fingerprint: str, database: str = "shop", text: str = "SELECT 1") -> NewQuery:
    return NewQuery(database, fingerprint, text, "select", (), False, T0)


def test_ids_come_in_the_order_of_the_queries_whatever_is_there_already(opened: Database) -> None:
    with opened.write() as connection:
        (first,) = define_queries(connection, [new("bb")])
        ids = define_queries(connection, [new("aa"), new("bb"), new("aa", "other"), new("aa")])
        assert ids[1] == first
        assert ids[3] == ids[0]
        assert len(set(ids)) == 3
        assert define_queries(connection, []) == []


def test_the_first_text_stays(opened: Database) -> None:
    with opened.write() as connection:
        ids = define_queries(connection, [new("aa", text="SELECT a"), new("aa", text="select  a")])
        define_queries(connection, [new("aa", text="Select a")])
        assert texts_of(connection, ids) == {ids[0]: "SELECT a"}


def test_more_than_fit_one_statement(opened: Database) -> None:
    many = [new(f"{number:x}", text=f"SELECT {number}") for number in range(2 * KEYS_A_SELECT + 1)]
    with opened.write() as connection:
        ids = define_queries(connection, many)
        assert define_queries(connection, many[::-1]) == ids[::-1]
        texts = texts_of(connection, ids)
        assert [texts[id] for id in ids] == [query.text for query in many]
        assert present(connection, [*ids, max(ids) + 1]) == set(ids)


def test_unknown_ids_are_neither_present_nor_have_texts(opened: Database) -> None:
    with opened.read() as connection:
        assert present(connection, [1, 2]) == set()
        assert texts_of(connection, [1]) == {}
        assert present(connection, []) == set()
