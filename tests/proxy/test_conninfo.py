"""Notations of connection strings: read as libpq reads them, and no error repeats what may be a secret."""

from __future__ import annotations

import psycopg
import psycopg.conninfo
import pytest

from proxy.conninfo import DsnError, parse_options, quoted


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://",
        "postgresql://h",
        "postgresql:///db",
        "postgresql://u@/db",
        "postgresql://:p@h/db",
        "postgresql://u:p?w@h/db",
        "postgresql://u:p:w@h:1/db?sslmode=disable",
        "postgresql://u@a:1,[::1]:2,/db",
        "postgresql://h/a@b?application_name=me@x",
        "postgresql://h/?options=-c%20x%3D1",
        "postgresql://h/db?ssl=true",
        "postgresql://%68/%64b+c",
        "host=h",
        r"user='it\'s' password=a\ b dbname=''",
        "  host =  h\tport\n= 1 ",
    ],
)
def test_reads_what_libpq_reads(text: str) -> None:
    theirs = {key: value for key, value in psycopg.conninfo.conninfo_to_dict(text).items() if value}
    ours = {key: value for key, value in parse_options(text).items() if value}
    assert ours == theirs


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://h/%4",
        "postgresql://h/%+1",
        "postgresql://h/%1_",
        "postgresql://h/%00",
        "postgresql://[]/db",
        "postgresql://[::1]x/db",
        "postgresql://h/db?sslmode",
        "postgresql://h/db?a=b=c",
        "postgresql://h/db?&user=x",
        "host=h colour=red",
        "password='open",
    ],
)
def test_refuses_what_libpq_refuses(text: str) -> None:
    with pytest.raises(psycopg.ProgrammingError):
        psycopg.conninfo.conninfo_to_dict(text)
    with pytest.raises(DsnError):
        parse_options(text)


def test_a_word_alone_is_a_database_and_nothing_is_nothing() -> None:
    assert parse_options(" shop ") == {"dbname": "shop"}
    assert parse_options(" ") == {}


@pytest.mark.parametrize(
    "text",
    [
        # A user name and password where URL syntax has not been escaped or was left out.
        "postgresql://ann:hush:hush/hush@db/shop",
        "postgresql://ann:hu@hush@db/shop",
        "postgresql://ann:x/%hush@db/shop",
        "postgresql://ann:x/y?hush@db/shop",
        "postgresql://ann:x/y?hush=hush@db/shop",
        "postgresql://ann:%hush@db/shop",
        "postgresql://[hush/x@db",
        "ann:hush@db/shop",
        "ann:hush@db/shop?sslmode=disable",
        "postgresql:/ann:hush@db/shop",
        # A blank or a quote in a password.
        "password=my hush host=db",
        "password=my hush=x host=db",
        "password='my'hush=x host=db",
        "password='hush",
        "sslpassword=my hush=x",
    ],
)
def test_errors_never_repeat_what_may_be_a_secret(text: str) -> None:
    with pytest.raises(DsnError) as caught:
        parse_options(text)
    assert "hush" not in str(caught.value)


def test_errors_name_the_option_where_it_is_one() -> None:
    with pytest.raises(DsnError, match="unknown connection option 'colour'"):
        parse_options("host=h colour=red")
    with pytest.raises(DsnError, match="unknown connection option 'colour'"):
        parse_options("postgresql://h/db?colour=red")
    with pytest.raises(DsnError, match="URL parameter 'sslmode'"):
        parse_options("postgresql://h/db?sslmode")
    with pytest.raises(DsnError, match="percent sequence in the value of 'options'"):
        parse_options("postgresql://h/db?options=%zz")


@pytest.mark.parametrize("value", ["", "plain", "a b", "it's", "back\\slash", "tab\there", "'", "\\'"])
def test_quoted_values_read_back(value: str) -> None:
    assert parse_options(f"password={quoted(value)} user=u") == {"password": value, "user": "u"}
