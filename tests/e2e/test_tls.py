"""TLS on both hops, before a real PostgreSQL that speaks it: who can log in, and what is never sent.

The rows are those of docs/tls.md. PostgreSQL 15 of Debian is used because those of the wheel have no OpenSSL;
the client is psycopg's own libpq.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from advisor.scratch import ScratchServer, available_binaries
from proxy.dsn import Address, parse_dsn
from proxy.relay.settings import ListenTLS, UpstreamTLS
from proxy.relay.tls_upstream import upstream_tls
from tests.kit.certificates import Authority, Pair
from tests.kit.relay_thread import PATIENCE, Recording, RelayThread, eventually
from tests.kit.up import up

PASSWORD = "let me in"
HOST = "127.43.21.7"
"""The scratch server's port is always the same, so it gets a loopback address of its own."""
ACCESS = (
    "host all scram 127.0.0.0/8 scram-sha-256",
    "hostssl all tlsonly 127.0.0.0/8 trust",
    "hostnossl all plainonly 127.0.0.0/8 trust",
    "hostssl all certified 127.0.0.0/8 cert",
)


class TLSServer:
    """PostgreSQL with TLS over TCP."""

    def __init__(self, server: ScratchServer, authority: Authority, pair: Pair) -> None:
        self.server = server
        self.authority = authority
        self.pair = pair

    def dsn(self, **more: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=HOST, port=str(self.server.port), dbname="postgres", user="scram", **more
        )


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSServer]:
    if not any(binaries.major == 15 for binaries in available_binaries()):
        pytest.skip("needs PostgreSQL 15: apt-get install postgresql-15")
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    pair = authority.issue("server", "localhost", HOST)
    with ScratchServer.start(15, settings={"listen_addresses": HOST}, access=ACCESS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            data = connection.execute("SHOW data_directory").fetchone()
            assert data is not None
            owner = Path(data[0]).stat()
            files = {"server.crt": pair.certificate, "server.key": pair.key, "ca.crt": authority.certificate}
            for name, source in files.items():
                target = Path(data[0]) / name
                shutil.copy(source, target)
                os.chown(target, owner.st_uid, owner.st_gid)
                target.chmod(0o600)
            for role in ("scram", "tlsonly", "plainonly", "certified"):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
            eventually(lambda: speaks_tls(server), "PostgreSQL speaks TLS")
        yield TLSServer(server, authority, pair)


def speaks_tls(server: ScratchServer) -> bool:
    with socket.create_connection((HOST, server.port), PATIENCE) as sock:
        sock.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
        return sock.recv(1) == b"S"


class Proxied:
    def __init__(self, relay: RelayThread, observer: Recording) -> None:
        self.relay = relay
        self.observer = observer

    def connect(self, **more: str) -> psycopg.Connection[Any]:
        words = {"user": "scram", "password": PASSWORD, "dbname": "postgres", "channel_binding": "prefer"}
        words |= {"host": "127.0.0.1", "port": str(self.relay.address.port), "sslmode": "disable"}
        return psycopg.connect(**(words | more), autocommit=True)  # type: ignore[arg-type]

    def encrypted_upstream(self, **more: str) -> bool:
        """Log in, and ask the server whether it was reached by TLS."""
        with self.connect(**more) as connection:
            row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
            assert row is not None
            return bool(row[0])


Start = Callable[..., Proxied]


@pytest.fixture
def start(tls_server: TLSServer, tmp_path: Path) -> Iterator[Start]:
    """A relay: the server's connection options, and which certificate clients see (None, own, server's)."""
    with contextlib.ExitStack() as stack:

        def begin(
            options: str, shows: str | None = None, strip: bool = False, host: str = HOST, **tls: Any
        ) -> Proxied:
            dsn = parse_dsn(f"host={host} port={tls_server.server.port} {options}", {"HOME": str(tmp_path)})
            towards = upstream_tls(dsn, {"HOME": str(tmp_path)}, strip)
            pair = tls_server.pair
            if shows == "own":
                pair = tls_server.authority.issue("proxy", "localhost", "127.0.0.1")
            loop = tls.pop("loop", "uvloop")
            listen = ListenTLS(str(pair.certificate), str(pair.key), **tls) if shows else None
            observer = Recording()
            relay = RelayThread(dsn.addresses, observer, tls=listen, upstream_tls=towards, loop=loop)
            return Proxied(stack.enter_context(relay.running()), observer)

        yield begin


REQUIRE = "sslmode=require"


def test_row_1_another_certificate_is_explained(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    proxied = start(REQUIRE, "own")
    with pytest.raises(psycopg.OperationalError, match="SCRAM channel binding check failed"):
        proxied.connect(sslmode="require")
    eventually(lambda: proxied.observer.counters["login.channel_binding_refused"] == 1, "the count")
    assert "--tls-cert" in caplog.text
    assert "channel_binding=disable" in caplog.text


def test_row_2_another_certificate_and_a_client_that_does_not_bind(start: Start) -> None:
    assert start(REQUIRE, "own").encrypted_upstream(sslmode="require", channel_binding="disable")


def test_rows_3_and_4_nothing_is_stripped_for_a_client_that_came_by_tls(start: Start) -> None:
    proxied = start(REQUIRE, "own", strip=True)
    with pytest.raises(psycopg.OperationalError, match="SCRAM channel binding check failed"):
        proxied.connect(sslmode="require")
    assert proxied.encrypted_upstream(sslmode="require", channel_binding="disable")


def test_row_5_the_servers_own_certificate_binds_end_to_end(start: Start) -> None:
    assert start(REQUIRE, "server").encrypted_upstream(sslmode="require", channel_binding="require")


def test_row_6_tls_to_us_and_plaintext_onwards(start: Start) -> None:
    assert not start("sslmode=disable", "own").encrypted_upstream(sslmode="require")


def test_row_7_a_client_that_insists_on_binding_refuses_a_plaintext_server(start: Start) -> None:
    proxied = start("sslmode=disable", "own")
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        proxied.connect(sslmode="require", channel_binding="require")


def test_row_8_plaintext_to_us_is_refused_by_libpq_and_explained(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    proxied = start(REQUIRE)
    with pytest.raises(psycopg.OperationalError, match="over a non-SSL connection"):
        proxied.connect()
    assert proxied.observer.counters["login.channel_binding_over_plaintext"] == 1
    assert "--strip-channel-binding" in caplog.text


def test_s12_row_9_the_offer_taken_out(start: Start) -> None:
    assert start(REQUIRE, strip=True).encrypted_upstream()


def test_row_10_plaintext_on_both_hops(start: Start) -> None:
    assert not start("sslmode=disable").encrypted_upstream()


@pytest.mark.parametrize("shows", [None, "own"])
def test_prefer_gives_tls_up_where_a_login_could_not_hold(start: Start, shows: str | None) -> None:
    proxied = start("sslmode=prefer", shows)
    assert not proxied.encrypted_upstream(sslmode="prefer")
    assert proxied.observer.counters["tls.channel_binding_in_plaintext"] == 1


def test_prefer_keeps_tls_where_a_login_holds(start: Start) -> None:
    assert start("sslmode=prefer", strip=True).encrypted_upstream()
    assert start("sslmode=prefer", "server").encrypted_upstream(sslmode="require")


@pytest.mark.parametrize(
    ("mode", "user", "encrypted"),
    [
        ("disable", "plainonly", False),
        ("allow", "plainonly", False),
        ("allow", "tlsonly", True),
        ("prefer", "plainonly", False),
        ("prefer", "tlsonly", True),
        ("require", "tlsonly", True),
    ],
)
def test_every_mode_finds_what_the_server_allows(start: Start, mode: str, user: str, encrypted: bool) -> None:
    assert start(f"sslmode={mode}").encrypted_upstream(user=user) is encrypted


@pytest.mark.parametrize(("mode", "user"), [("disable", "tlsonly"), ("require", "plainonly")])
def test_what_the_server_refuses_arrives_as_it_said_it(start: Start, mode: str, user: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        start(f"sslmode={mode}").connect(user=user)


@pytest.mark.parametrize(("mode", "host"), [("verify-ca", HOST), ("verify-full", HOST)])
def test_a_verified_server(start: Start, tls_server: TLSServer, mode: str, host: str) -> None:
    options = f"sslmode={mode} sslrootcert={tls_server.authority.certificate}"
    assert start(options, host=host).encrypted_upstream(user="tlsonly")


def test_verify_full_minds_the_name_and_verify_ca_does_not(start: Start, tls_server: TLSServer) -> None:
    options = f"sslrootcert={tls_server.authority.certificate} hostaddr={HOST}"
    assert start(f"sslmode=verify-ca {options}", host="elsewhere").encrypted_upstream(user="tlsonly")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed: Hostname mismatch"):
        start(f"sslmode=verify-full {options}", host="elsewhere").connect(user="tlsonly")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_stranger_is_not_trusted_where_a_root_is_named(start: Start, tmp_path: Path, mode: str) -> None:
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        start(f"sslmode={mode} sslrootcert={stranger.certificate}").connect(user="tlsonly")


def test_our_certificate_for_the_server(start: Start, tls_server: TLSServer) -> None:
    pair = tls_server.authority.issue("certified", "certified")
    options = f"sslmode=require sslcert={pair.certificate} sslkey={pair.key}"
    assert start(options).encrypted_upstream(user="certified")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_s1_s2_clients_by_tls_and_direct_tls(
    start: Start, tls_server: TLSServer, negotiation: str, loop: str
) -> None:
    proxied = start("sslmode=disable", "own", loop=loop)
    root = str(tls_server.authority.certificate)
    with proxied.connect(sslmode="verify-full", sslrootcert=root, sslnegotiation=negotiation) as connection:
        row = connection.execute(
            "SELECT repeat('x', 5000000), count(*) FROM generate_series(1, 9)"
        ).fetchone()
        assert row == ("x" * 5_000_000, 9)
    eventually(lambda: not proxied.relay.relay.links, "the session ends")


@pytest.mark.parametrize("mode", ["disable", "require"])
@pytest.mark.parametrize("client", ["disable", "require"])
def test_c1_c5_cancels_on_every_combination_of_hops(start: Start, mode: str, client: str) -> None:
    proxied = start(f"sslmode={mode}", "server", strip=mode == "require")
    with proxied.connect(sslmode=client) as connection:
        cancelling = threading.Timer(0.2, connection.cancel_safe)
        cancelling.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        cancelling.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_plaintext_is_refused_where_tls_is_required(start: Start) -> None:
    proxied = start("sslmode=disable", "own", required=True)
    with pytest.raises(psycopg.OperationalError, match="encrypted connections only"):
        proxied.connect()
    assert proxied.observer.counters["refused.plaintext"] == 1
    proxied.connect(sslmode="require").close()


def test_client_certificates(start: Start, tls_server: TLSServer) -> None:
    root = str(tls_server.authority.certificate)
    pair = tls_server.authority.issue("client", "somebody")
    mine = {"sslmode": "require", "sslcert": str(pair.certificate), "sslkey": str(pair.key)}
    required = start("sslmode=disable", "own", client_ca=root, client_certificates="require")
    required.connect(**mine).close()
    with pytest.raises(psycopg.OperationalError):
        required.connect(sslmode="require")
    optional = start("sslmode=disable", "own", client_ca=root, client_certificates="optional")
    optional.connect(sslmode="require").close()
    optional.connect(**mine).close()


def test_the_oldest_version_is_kept(start: Start) -> None:
    proxied = start("sslmode=disable", "own", minimum="TLSv1.3")
    with pytest.raises(psycopg.OperationalError):
        proxied.connect(sslmode="require", ssl_max_protocol_version="TLSv1.2")
    proxied.connect(sslmode="require").close()


def test_certificates_are_replaced_under_a_session_and_a_bad_one_is_not_used(
    start: Start, tls_server: TLSServer, caplog: pytest.LogCaptureFixture
) -> None:
    proxied = start("sslmode=disable", "own")
    before = shown(proxied)
    with proxied.connect(sslmode="require") as connection:
        pair = tls_server.authority.issue("proxy", "localhost", "127.0.0.1")
        proxied.relay.call(proxied.relay.relay.reload_certificates)
        eventually(lambda: shown(proxied) != before, "the new certificate is shown")
        after = shown(proxied)
        pair.certificate.write_text("nonsense")
        proxied.relay.call(proxied.relay.relay.reload_certificates)
        eventually(lambda: "stay as they were" in caplog.text, "it is said")
        assert shown(proxied) == after
        assert connection.execute("SELECT 1").fetchone() == (1,)


def shown(proxied: Proxied) -> bytes:
    """The certificate that a client gets, by direct TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with context.wrap_socket(proxied.relay.connect()) as sock:
        return sock.getpeercert(binary_form=True) or b""


def test_s17_require_never_falls_to_plaintext(tmp_path: Path) -> None:
    """A server that declines is sent the request for TLS and nothing else."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def decline() -> None:
            sock, _ = listening.accept()
            with sock:
                heard.extend(sock.recv(100))
                sock.sendall(b"N")
                heard.extend(sock.recv(100))

        thread = threading.Thread(target=decline)
        thread.start()
        addresses = (Address("127.0.0.1", listening.getsockname()[1]),)
        relay = RelayThread(addresses, upstream_tls=UpstreamTLS(mode="require"))
        with relay.running(), pytest.raises(psycopg.OperationalError, match="does not speak TLS"):
            psycopg.connect(f"host=127.0.0.1 port={relay.address.port} user=u sslmode=disable")
        thread.join(PATIENCE)
    assert bytes(heard) == b"\0\0\0\x08\x04\xd2\x16\x2f"


@contextlib.contextmanager
def ends_tls(server: ScratchServer, pair: Pair, alpn: list[str]) -> Iterator[int]:
    """Direct TLS in front of a server that knows none: the port of the stand-in, for one session."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if alpn:
        context.set_alpn_protocols(alpn)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        raw, _ = listening.accept()
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as front:
            back = socket.socket(socket.AF_UNIX)
            back.connect(f"{server.socket_dir}/.s.PGSQL.{server.port}")
            downwards = threading.Thread(target=pump, args=(back, front))
            downwards.start()
            pump(front, back)
            back.shutdown(socket.SHUT_RDWR)
            downwards.join(PATIENCE)
            back.close()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        thread.join(PATIENCE)
        listening.close()


def test_direct_tls_towards_the_server(pg18: ScratchServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("direct", "localhost", "127.0.0.1")
    with ends_tls(pg18, pair, ["postgresql"]) as port:
        dsn = parse_dsn(
            f"host=127.0.0.1 port={port} sslmode=verify-full sslnegotiation=direct "
            f"sslrootcert={authority.certificate}",
            {"HOME": str(tmp_path)},
        )
        relay = RelayThread(dsn.addresses, upstream_tls=upstream_tls(dsn, {"HOME": str(tmp_path)}))
        with relay.running(), psycopg.connect(f"{port_dsn(relay)} sslmode=disable") as connection:
            assert connection.execute("SELECT 42").fetchone() == (42,)


def test_direct_tls_needs_the_protocols_name(pg18: ScratchServer, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("direct", "localhost", "127.0.0.1")
    with ends_tls(pg18, pair, []) as port:
        tls = UpstreamTLS(mode="require", direct=True)
        relay = RelayThread((Address("127.0.0.1", port),), upstream_tls=tls)
        with relay.running(), pytest.raises(psycopg.OperationalError, match="ALPN"):
            psycopg.connect(f"{port_dsn(relay)} sslmode=disable")


def port_dsn(relay: RelayThread) -> str:
    return f"host=127.0.0.1 port={relay.address.port} user=postgres dbname=postgres"


def test_up_refuses_what_no_client_could_use(tls_server: TLSServer, tmp_path: Path) -> None:
    upstream = tls_server.dsn(sslmode="require")
    with pytest.raises(AssertionError, match="--strip-channel-binding"), up(upstream, tmp_path):
        pass


def test_up_with_a_certificate_of_its_own_making(
    pg16: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = tmp_path / "pgcoach" / "tls" / "self-signed.crt"
    with up(pg16.url(), tmp_path, "--tls", "auto") as proxy:
        verified = f"{proxy.dsn}?sslmode=verify-full&sslrootcert={made}"
        with psycopg.connect(verified) as connection:
            assert connection.info.pgconn.ssl_in_use
            proxy.process.send_signal(1)  # SIGHUP: read the files again
            eventually(lambda: "were read again" in proxy.said(), "it is said")
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert made.with_suffix(".key").stat().st_mode & 0o777 == 0o600
