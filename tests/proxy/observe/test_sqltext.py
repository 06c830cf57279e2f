from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.sqltext import closes, deallocates, executes, next_statement, prepares


def split(sql: bytes) -> list[bytes]:
    found: list[bytes] = []
    pos = 0
    while True:
        text, pos = next_statement(sql, pos)
        if not text:
            return found
        found.append(text)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"", []),
        (b" ; ;; ", []),
        (b"a;b", [b"a", b"b"]),
        (b" a ; b ;", [b"a", b"b"]),
        (b"select ';' ; b", [b"select ';'", b"b"]),
        (b"select 'it''s;' ; b", [b"select 'it''s;'", b"b"]),
        (rb"select E'\';' ; b", [rb"select E'\';'", b"b"]),
        (rb"select '\' ; b", [rb"select '\'", b"b"]),
        (b'select ";" ; b', [b'select ";"', b"b"]),
        (b"do $x$ a; $$ b; $x$; c", [b"do $x$ a; $$ b; $x$", b"c"]),
        (b"do $$;$$; c", [b"do $$;$$", b"c"]),
        (b"select $1; b", [b"select $1", b"b"]),
        (b"-- a;\nb; c", [b"b", b"c"]),
        (b"/* ; /* ; */ ; */ b; c /* ; */", [b"b", b"c /* ; */"]),
        (b"a 'open ; b", [b"a 'open ; b"]),
        (b"a /* open ; b", [b"a /* open ; b"]),
        (b"a $t$ open ; b", [b"a $t$ open ; b"]),
        (b"a -- open", [b"a -- open"]),
    ],
)
def test_splitting(sql: bytes, expected: list[bytes]) -> None:
    assert split(sql) == expected


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (b"execute a", b"a"),
        (b" -- x\n/* y */ EXECUTE  Abc (1, 2)", b"abc"),
        (b'execute "A""b"', b'A"b'),
        (b"executed a", b""),
        (b"select 1", b""),
        (b"", b""),
    ],
)
def test_execute(sql: bytes, name: bytes) -> None:
    assert executes(sql) == name


def test_prepare() -> None:
    assert prepares(b"prepare A(int, text) as\n select $1") == (b"a", b"select $1")
    assert prepares(b"prepare transaction 'x'") == (b"", b"")


def test_deallocate_and_close() -> None:
    assert deallocates(b"DEALLOCATE PREPARE x") == b"x"
    assert deallocates(b'deallocate "X"') == b"X"
    assert closes(b"close C") == b"c"
    assert closes(b"closed") == b""


def test_names_are_cut_as_the_server_cuts_them() -> None:
    assert executes(b"execute " + b"n" * 80) == b"n" * 63


@given(st.text(alphabet="ab;'\"$/*-\\e \n", max_size=40))
def test_splitting_ends_and_loses_no_statement_text(text: str) -> None:
    sql = text.encode()
    pos = 0
    for _ in range(len(sql) + 2):
        statement, after = next_statement(sql, pos)
        assert statement in sql
        if not statement:
            break
        assert after > pos
        pos = after
    else:
        pytest.fail("it did not end")
