"""A connection string's TLS part, as libpq reads it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from proxy.dsn import Address, DsnError, parse_dsn
from proxy.relay.settings import UpstreamTLS
from proxy.relay.tls import TLSError
from proxy.relay.tls_upstream import Method, context, methods, server_name, upstream_tls
from tests.kit.certificates import Authority

TCP, UNIX = Address("db", 5432), Address("/run", 5432)


def read(text: str, home: Path) -> UpstreamTLS:
    environ = {"HOME": str(home)}
    return upstream_tls(parse_dsn(text, environ), environ)


@pytest.mark.parametrize(
    ("mode", "direct", "ways"),
    [
        ("disable", False, [Method.PLAINTEXT]),
        ("allow", False, [Method.PLAINTEXT, Method.NEGOTIATED]),
        ("prefer", False, [Method.NEGOTIATED, Method.PLAINTEXT]),
        ("require", False, [Method.NEGOTIATED]),
        ("verify-ca", False, [Method.NEGOTIATED]),
        ("verify-full", False, [Method.NEGOTIATED]),
        ("require", True, [Method.DIRECT]),
    ],
)
def test_ways_of_every_mode(mode: str, direct: bool, ways: list[Method]) -> None:
    tls = UpstreamTLS(mode=mode, direct=direct)
    assert list(methods(TCP, tls)) == ways
    assert list(methods(UNIX, tls)) == [Method.PLAINTEXT]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host=h sslmode=prefer sslnegotiation=direct", "needs sslmode=require"),
        ("host=h sslnegotiation=later", "neither postgres nor direct"),
        ("host=h sslmode=require sslrootcert=system", "needs sslmode=verify-full"),
        ("host=h sslmode=verify-ca", "root.crt does not exist"),
        ("host=h sslmode=verify-full sslrootcert=/none", "/none does not exist"),
        ("hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=system", "leave out sslsni"),
        ("host=h sslmode=require sslcertmode=require", "sslcertmode=require"),
        ("host=h ssl_min_protocol_version=SSLv3", "none of TLSv1"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    if "leave out" in words:
        text = text.replace("hostaddr=127.0.0.1", "host=h sslsni=0")
    with pytest.raises(DsnError, match=words):
        read(text, tmp_path)


def test_the_systems_authorities_mean_that_they_are_asked(tmp_path: Path) -> None:
    tls = read("host=h sslrootcert=system", tmp_path)
    assert (tls.mode, tls.root, tls.files) == ("verify-full", "system", ())
    assert context(tls).check_hostname


def test_default_files_where_they_exist(tmp_path: Path) -> None:
    assert read("host=h", tmp_path) == UpstreamTLS(mode="prefer")
    folder = tmp_path / ".postgresql"
    folder.mkdir()
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (folder / name).touch()
    tls = read("host=h sslmode=require", tmp_path)
    assert tls.files == tuple(
        str(folder / name) for name in ("root.crt", "postgresql.crt", "postgresql.key", "root.crl")
    )
    assert read("host=h sslcertmode=disable", tmp_path).certificate == ""
    assert read("host=h sslmode=disable", tmp_path).root == ""


def test_a_root_is_checked_under_every_mode_and_the_name_under_one(tmp_path: Path) -> None:
    root = str(Authority(tmp_path).certificate)
    for mode in ("prefer", "require", "verify-ca", "verify-full"):
        made = context(UpstreamTLS(mode=mode, root=root))
        assert made.verify_mode is ssl.CERT_REQUIRED
        assert made.check_hostname is (mode == "verify-full")
    assert context(UpstreamTLS(mode="require")).verify_mode is ssl.CERT_NONE


def test_versions(tmp_path: Path) -> None:
    made = context(read("host=h ssl_min_protocol_version=tlsv1.3", tmp_path))
    assert made.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context(UpstreamTLS(maximum="TLSv1.2")).maximum_version is ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    with pytest.raises(TLSError, match="no certificates of authorities"):
        context(UpstreamTLS(mode="require", root=str(nonsense)))
    with pytest.raises(TLSError, match="not there"):
        context(UpstreamTLS(mode="require", certificate=str(tmp_path / "missing"), key="x"))
    root = str(Authority(tmp_path).certificate)
    with pytest.raises(TLSError, match="revocation list"):
        context(UpstreamTLS(mode="require", root=root, crl=str(nonsense)))


def test_who_is_named(tmp_path: Path) -> None:
    assert server_name(Address("db", 1, "10.0.0.1"), UpstreamTLS()) == "db"
    assert server_name(Address("", 1, "10.0.0.1"), UpstreamTLS()) == "10.0.0.1"
    assert server_name(TCP, UpstreamTLS(sni=False)) == ""


def test_a_password_of_a_key_is_never_shown(tmp_path: Path) -> None:
    assert "hush" not in repr(read("host=h sslpassword=hush", tmp_path))
