from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire import messages
from tests.proxy import wirekit as kit

CAP = 10_000


def body(message: bytes) -> tuple[bytes, int, int]:
    """A message's body in the middle of a buffer."""
    return b"??" + message[5:] + b"!!", 2, 2 + len(message) - 5


def test_query() -> None:
    buffer, start, end = body(kit.Query("select 1"))
    assert messages.query(buffer, start, end, end - start, CAP) == (b"select 1", 8)
    assert messages.query(buffer, start, end, end - start, 3) == (b"sel", 8)
    assert messages.query(buffer, start, start + 2, end - start, CAP) == (b"se", 8)
    assert messages.query(b"", 0, 0, 0, CAP) == (b"", 0)


def test_parse() -> None:
    buffer, start, end = body(kit.Parse("select $1", "name", (23, 0)))
    assert messages.parse(buffer, start, end, end - start, CAP) == (b"name", b"select $1", 9, (23, 0))
    assert messages.parse(buffer, start, end, end - start, 3) == (b"name", b"sel", 9, (23, 0))


def test_parse_without_a_terminator_has_no_more_text_than_its_length() -> None:
    assert messages.parse(b"\0broken", 0, 7, 7, CAP) == (b"", b"bro", 3, ())


def test_parse_cut_before_the_type_oids() -> None:
    buffer, start, end = body(kit.Parse("select $1", "name", (23,)))
    name, sql, length, oids = messages.parse(buffer, start, end - 10, end - start, CAP)
    assert (name, oids) == (b"name", ())
    assert b"select $1".startswith(sql)
    assert 9 <= length <= 9 + 4


def test_bind() -> None:
    buffer, start, end = body(
        kit.Bind("s", "1", None, "", portal="p", formats=(0, 1, 0), result_formats=(1, 0))
    )
    head = messages.bind(buffer, start, end, end - start, CAP)
    assert (head.portal, head.statement) == (b"p", b"s")
    assert head.params == [b"1", None, b""]
    assert head.formats == (0, 1, 0)
    assert head.result_formats == (1, 0)


def test_bind_without_parameters() -> None:
    buffer, start, end = body(kit.Bind())
    assert messages.bind(buffer, start, end, end - start, CAP).params == []


def test_bind_over_the_cap_keeps_the_names() -> None:
    buffer, start, end = body(kit.Bind("s", "x" * 50, portal="p"))
    head = messages.bind(buffer, start, end, end - start, 40)
    assert (head.portal, head.statement, head.params) == (b"p", b"s", None)


def test_bind_of_any_truncation_gives_no_wrong_values() -> None:
    buffer, start, end = body(kit.Bind("s", "1", "22", portal="p", formats=(1,), result_formats=(1,)))
    for stop in range(start, end):
        head = messages.bind(buffer, start, stop, end - start, CAP)
        assert head.params is None
        shorter = messages.bind(buffer, start, stop, stop - start, CAP)
        assert shorter.params in (None, [b"1", b"22"])


def test_describe_close_execute_and_function_call() -> None:
    assert messages.target(*body(kit.DescribeStatement("s"))) == (ord("S"), b"s")
    assert messages.target(*body(kit.ClosePortal("p"))) == (ord("P"), b"p")
    assert messages.target(b"", 0, 0) == (0, b"")
    assert messages.execute(*body(kit.Execute("p", 7))) == (b"p", 7)
    assert messages.execute(b"p", 0, 1) == (b"p", 0)
    assert messages.function_call(*body(kit.FunctionCall(1598))) == 1598
    assert messages.function_call(b"\0", 0, 1) == 0


@pytest.mark.parametrize(
    ("tag", "rows", "verb"),
    [
        (b"INSERT 0 5", 5, b"INSERT"),
        (b"SELECT 3", 3, b"SELECT"),
        (b"CREATE TABLE", 0, b"CREATE TABLE"),
        (b"BEGIN", 0, b"BEGIN"),
        (b"", 0, b""),
        (b"SELECT 99999999999999999999999999", 0, b"SELECT"),
        (b"COPY -1", 0, b"COPY -1"),
    ],
)
def test_tags(tag: bytes, rows: int, verb: bytes) -> None:
    assert messages.tag_rows(tag) == rows
    assert messages.tag_verb(tag) == verb
    assert messages.command_tag(*body(kit.Complete(tag.decode()))) == tag


def test_tag_without_its_terminator() -> None:
    assert messages.command_tag(b"SELECT 1", 0, 8) == b"SELECT 1"


def test_error_fields() -> None:
    fields = messages.error_fields(*body(kit.Error("42P01", text="no table")))
    assert fields == {"S": b"ERROR", "V": b"ERROR", "C": b"42P01", "M": b"no table"}
    assert messages.sqlstate(*body(kit.Error("42P01"))) == b"42P01"


@pytest.mark.parametrize("raw", [b"", b"\0", b"C", b"C\0", b"Cabc\0", b"C12\xff45\0", b"M\xff\xfe"])
def test_f7_errors_without_a_usable_sqlstate(raw: bytes) -> None:
    assert messages.sqlstate(raw, 0, len(raw)) == b"XX000"


def test_session_messages() -> None:
    assert messages.parameter_status(*body(kit.ParameterStatus("TimeZone", "UTC"))) == (b"TimeZone", b"UTC")
    assert messages.parameter_status(b"a", 0, 1) == (b"a", b"")
    assert messages.backend_pid(*body(kit.BackendKey(77, b"k" * 256))) == 77
    assert messages.parameter_description(*body(kit.ParameterDescription(23, 1700))) == (23, 1700)


def test_row_description() -> None:
    columns = messages.row_description(kit.RowDescription("id", "näme", table=16400, type_oid=25)[5:])
    assert [(c.name, c.table_oid, c.attnum, c.type_oid) for c in columns] == [
        (b"id", 16400, 1, 25),
        ("näme".encode(), 16400, 2, 25),
    ]
    assert messages.row_description(kit.RowDescription("id", "b")[5:-1])[0].name == b"id"
    assert messages.row_description(b"") == []


def test_names_are_cut_to_what_the_server_tells_apart() -> None:
    assert messages.name(b"n" * 70 + b"\0rest", 0, 75) == (b"n" * 63, 71)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_no_reader_raises_on_anything(raw: bytes, size: int) -> None:
    end = len(raw)
    messages.query(raw, 0, end, size, 20)
    messages.parse(raw, 0, end, size, 20)
    messages.bind(raw, 0, end, end, 60)
    messages.target(raw, 0, end)
    messages.execute(raw, 0, end)
    messages.function_call(raw, 0, end)
    messages.tag_rows(messages.command_tag(raw, 0, end))
    messages.tag_verb(raw)
    messages.sqlstate(raw, 0, end)
    messages.parameter_status(raw, 0, end)
    messages.backend_pid(raw, 0, end)
    messages.parameter_description(raw, 0, end)
    messages.row_description(raw)
