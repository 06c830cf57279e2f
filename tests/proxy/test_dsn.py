"""Connection strings: what libpq accepts is accepted, with the same meaning."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg.conninfo
import pytest

from proxy.dsn import Dsn, DsnError, parse_dsn


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PGSYSCONFDIR": str(tmp_path / "etc"), "PGUSER": "ann"}


def test_url_with_everything(home: dict[str, str]) -> None:
    dsn = parse_dsn(
        "postgresql://bob:s%40crt%2F@db.example:6000/sh%20op?sslmode=require&application_name=a%3Db", home
    )
    assert (dsn.host, dsn.port, dsn.user, dsn.password) == ("db.example", 6000, "bob", "s@crt/")
    assert (dsn.database, dsn.sslmode, dsn.application_name) == ("sh op", "require", "a=b")


@pytest.mark.parametrize("text", ["postgres://", "postgresql://", "", None])
def test_nothing_said_means_libpq_defaults(text: str | None, home: dict[str, str]) -> None:
    dsn = parse_dsn(text, home)
    assert dsn.user == "ann"
    assert dsn.database == "ann"
    assert dsn.port == 5432
    assert dsn.sslmode == "prefer"


def test_user_defaults_to_the_system_user_and_database_to_the_user(tmp_path: Path) -> None:
    dsn = parse_dsn("host=h", {"HOME": str(tmp_path)})
    assert dsn.user == dsn.database != ""


def test_ipv6_and_several_hosts(home: dict[str, str]) -> None:
    dsn = parse_dsn("postgresql://[::1]:6000,second,[fe80::1]/db", home)
    assert [(a.host, a.port) for a in dsn.addresses] == [("::1", 6000), ("second", 5432), ("fe80::1", 5432)]
    assert dsn.display() == "postgresql://ann@[::1]:6000,second:5432,[fe80::1]:5432/db"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://%2Frun%2Fpg:6000/db",
        "postgresql:///db?host=/run/pg&port=6000",
        "host=/run/pg port=6000 dbname=db",
        "host = '/run/pg'  port=6000 dbname = db ",
    ],
)
def test_unix_sockets(text: str, home: dict[str, str]) -> None:
    dsn = parse_dsn(text, home)
    assert dsn.addresses[0].is_unix
    assert dsn.addresses[0].socket_path == "/run/pg/.s.PGSQL.6000"
    assert dsn.database == "db"
    assert parse_dsn(dsn.display(), home).addresses == dsn.addresses


def test_keyword_values_quote_and_escape(home: dict[str, str]) -> None:
    dsn = parse_dsn(r"host=h password='it\'s \\ me' user=a\ b options='-c x=1'", home)
    assert dsn.password == r"it's \ me"
    assert dsn.user == "a b"
    assert dsn.options == "-c x=1"


def test_a_word_alone_is_a_database_name(home: dict[str, str]) -> None:
    assert parse_dsn("shop", home).database == "shop"


def test_one_port_serves_all_hosts(home: dict[str, str]) -> None:
    dsn = parse_dsn("host=a,b port=7000", home)
    assert [a.port for a in dsn.addresses] == [7000, 7000]


def test_environment_is_below_the_text(home: dict[str, str]) -> None:
    environ = home | {"PGHOST": "env", "PGPORT": "7000", "PGPASSWORD": "pw", "PGDATABASE": "envdb"}
    dsn = parse_dsn("host=text", environ)
    assert (dsn.host, dsn.port, dsn.password, dsn.database) == ("text", 7000, "pw", "envdb")


def test_service_stands_between_text_and_environment(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".pg_service.conf").write_text(
        "# a comment\n[other]\nhost=no\n[shop]\nhost=svc\nport=7001\ndbname=svcdb\n"
    )
    environ = home | {"PGHOST": "env", "PGSERVICE": "shop"}
    assert parse_dsn("dbname=mine", environ).host == "svc"
    assert parse_dsn("service=shop dbname=mine", home).database == "mine"
    assert parse_dsn("service=shop", home).port == 7001


def test_unknown_service_names_the_files(home: dict[str, str]) -> None:
    with pytest.raises(DsnError, match=r"no service \[shop\] in .*pg_service.conf"):
        parse_dsn("service=shop", home)


def test_password_file(home: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / ".pgpass"
    file.write_text("# comment\nother:*:*:*:no\nh\\:x:5432:*:ann:yes\\:\\\\\n*:*:db2:*:second\n")
    file.chmod(0o600)
    assert parse_dsn("host=h:x", home).password == "yes:\\"
    assert parse_dsn("host=z dbname=db2", home).password == "second"
    assert parse_dsn("host=z dbname=db3", home).password is None
    assert parse_dsn("host=h:x password=given", home).password == "given"
    file.chmod(0o640)
    assert parse_dsn("host=h:x", home).password is None


def test_password_file_by_name_and_socket_directory_as_localhost(
    home: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere"
    file.write_text("localhost:5432:db:ann:pw\n")
    file.chmod(0o600)
    environ = home | {"PGPASSFILE": str(file)}
    assert parse_dsn("host=/tmp dbname=db", environ).password == "pw"
    assert parse_dsn("host=/srv/x dbname=db", environ).password is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://h:port/db", "not a number from 1 to 65535"),
        ("postgresql://h:70000/db", "not a number from 1 to 65535"),
        ("postgresql://h/db?colour=red", "unknown connection option 'colour'"),
        ("postgresql://h/db?sslmode", "must be written name=value"),
        ("postgresql://h/%zz", "percent"),
        ("postgresql://h/%00", "percent"),
        ("postgresql://h/%e4", "not UTF-8"),
        ("postgresql://::1/db", "too many colons"),
        ("postgresql://[::1/db", "missing ]"),
        ("mysql://h/db", "no PostgreSQL URL"),
        ("postgresql+psycopg://h/db", "SQLAlchemy"),
        ("host=h colour=red", "unknown connection option 'colour'"),
        ("host=h password='open", "no closing quote"),
        ("host=h sslmode=maybe", "none of disable"),
        ("host=a,b port=1,2,3", "3 ports for 2 hosts"),
        ("host=h connect_timeout=soon", "not a number of seconds"),
    ],
)
def test_errors_say_what_is_wrong(text: str, message: str, home: dict[str, str]) -> None:
    with pytest.raises(DsnError, match=message):
        parse_dsn(text, home)


@pytest.mark.parametrize(
    "text", ["host=h password=se cret", "postgresql://u:se%zzcret@h/", "postgresql://u:cret/x@h/db"]
)
def test_errors_do_not_repeat_a_password(text: str, home: dict[str, str]) -> None:
    with pytest.raises(DsnError) as caught:
        parse_dsn(text, home)
    assert "cret" not in str(caught.value)


def test_password_stays_out_of_repr_and_display(home: dict[str, str]) -> None:
    dsn = parse_dsn("postgresql://u:hush@h/db?sslpassword=quiet", home)
    for shown in (repr(dsn), str(dsn), dsn.display(), repr(dsn.without_password().conninfo())):
        assert "hush" not in shown
        assert "quiet" not in shown
    assert "hush" in dsn.conninfo()


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:p%27w%5C@h:6000/db?options=-c%20a%3Db&sslrootcert=/x%20y",
        "host=a,b port=1,2 user='u u' dbname='' password=' '",
        "host=n hostaddr=10.0.0.1",
    ],
)
def test_conninfo_is_read_by_libpq_and_by_us_alike(text: str, home: dict[str, str]) -> None:
    dsn = parse_dsn(text, home)
    ours = dsn.conninfo()
    theirs = psycopg.conninfo.conninfo_to_dict(ours)
    assert theirs["user"] == dsn.user
    assert theirs.get("password") == dsn.password
    assert theirs["dbname"] == dsn.database
    assert parse_dsn(ours, {"HOME": os.devnull}) == dsn


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:p%27w@h:6000/db?options=-c%20a%3Db&sslrootcert=/x%20y",
        "postgresql://%2Frun%2Fpg:6000/db",
        "postgresql://u@[::1]:5/",
        "host = h  user='a b' password = x\\'y",
        "postgresql://h/a+b?ssl=true",
    ],
)
def test_the_same_text_means_the_same_to_libpq(text: str, home: dict[str, str]) -> None:
    theirs = psycopg.conninfo.conninfo_to_dict(text)
    dsn: Dsn = parse_dsn(text, home)
    assert dsn.host == theirs["host"]
    assert dsn.password == theirs.get("password")
    assert dsn.user == theirs.get("user", "ann")
    assert dsn.database == (theirs.get("dbname") or dsn.user)
    assert dsn.sslmode == theirs.get("sslmode", "prefer")


def test_connect_kwargs_for_asyncpg(home: dict[str, str]) -> None:
    kwargs = parse_dsn(
        "host=/run/pg user=u password=p application_name=x connect_timeout=3", home
    ).connect_kwargs()
    assert kwargs == {
        "host": ["/run/pg"],
        "port": [5432],
        "user": "u",
        "database": "u",
        "ssl": "disable",
        "password": "p",
        "server_settings": {"application_name": "x"},
        "timeout": 3.0,
    }


def test_url_to_other_addresses_keeps_user_and_database(home: dict[str, str]) -> None:
    dsn = parse_dsn("postgresql://u:p@db/shop", home)
    listener = parse_dsn("host=127.0.0.1 port=6432", home).addresses
    assert dsn.url(listener) == "postgresql://u@127.0.0.1:6432/shop"
