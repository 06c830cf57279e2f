"""What ``pgcoach up`` makes of its TLS options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.dsn import Address, parse_dsn
from tests.kit.certificates import Authority, Pair
from tui.up.encryption import towards_clients, towards_postgresql
from tui.up.errors import UpError
from tui.up.options import UpOptions

TCP, UNIX = Address("127.0.0.1", 6432), Address("/run", 5432)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


def options(pair: Pair | None = None, **more: Any) -> UpOptions:
    files = {"tls_cert": str(pair.certificate), "tls_key": str(pair.key)} if pair else {}
    return UpOptions(**(files | more))


def test_a_certificate_means_that_tls_is_offered(pair: Pair) -> None:
    assert towards_clients(options(), TCP) is None
    made = towards_clients(options(pair), TCP)
    assert made is not None
    assert not made.required


@pytest.mark.parametrize("more", [{"tls": "require"}, {"tls_client_cert": "require"}])
def test_what_refuses_plaintext(pair: Pair, authority: Authority, more: dict[str, str]) -> None:
    if "tls_client_cert" in more:
        more["tls_client_ca"] = str(authority.certificate)
    made = towards_clients(options(pair, **more), TCP)
    assert made is not None
    assert made.required


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tls": "on"}, "--tls on needs --tls-cert and --tls-key"),
        ({"tls_key": "k"}, "--tls-key without TLS"),
        ({"tls_client_cert": "require"}, "--tls-client-cert without TLS"),
        ({"tls": "auto", "tls_cert": "c"}, "leave out --tls-cert"),
        ({"tls_cert": "/none", "tls_key": "/none"}, "/none cannot be used"),
    ],
)
def test_options_that_contradict_each_other(more: dict[str, Any], words: str) -> None:
    with pytest.raises(UpError, match=words):
        towards_clients(options(**more), TCP)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tls": "off"}, "--tls-cert without TLS"),
        ({"tls_client_cert": "optional"}, "needs --tls-client-ca"),
        ({"tls_client_ca": "/ca"}, "add --tls-client-cert"),
        ({"tls_ciphers": "ROT13"}, "knows no cipher"),
    ],
)
def test_options_beside_a_certificate(pair: Pair, more: dict[str, Any], words: str) -> None:
    with pytest.raises(UpError, match=words):
        towards_clients(options(pair, **more), TCP)


def test_a_unix_socket_and_an_open_key(pair: Pair) -> None:
    with pytest.raises(UpError, match="never encrypted"):
        towards_clients(options(pair), UNIX)
    pair.key.chmod(0o644)
    with pytest.raises(UpError, match="group or world access"):
        towards_clients(options(pair), TCP)


def test_stripping_where_it_could_never_apply(pair: Pair, tmp_path: Path) -> None:
    strip = options(pair, tls="require", strip_channel_binding=True)
    clients = towards_clients(strip, TCP)
    home = {"HOME": str(tmp_path)}
    with pytest.raises(UpError, match="for plaintext clients"):
        towards_postgresql(strip, parse_dsn("host=h sslmode=require", home), clients)
    with pytest.raises(UpError, match="reached by TLS"):
        towards_postgresql(strip, parse_dsn("host=/run sslmode=require", home), None)
    assert towards_postgresql(strip, parse_dsn("host=h", home), None).strip_channel_binding


def test_files_of_the_upstream_are_judged_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("nonsense")
    dsn = parse_dsn(f"host=h sslmode=verify-ca sslrootcert={tmp_path / 'root'}", {"HOME": str(tmp_path)})
    with pytest.raises(UpError, match="no certificates of authorities"):
        towards_postgresql(options(), dsn, None)
