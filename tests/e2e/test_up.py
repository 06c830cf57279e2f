"""``pgcoach up`` as people run it: start, refusal, death of each part, end."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from pathlib import Path

import psycopg
import pytest

from advisor.scratch import ScratchServer
from tests.kit.relay_thread import eventually
from tests.kit.up import PATIENCE, alive, command, command_line, up
from workload.store.store import Store


def calls(store: Path, text: str) -> int:
    with Store.open(store, create=False) as opened:
        return sum(query.calls for query in opened.queries(limit=1000) if query.query == text)


def test_relays_records_and_leaves_nothing(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path, "--workers", "2") as proxy:
        with psycopg.connect(proxy.dsn) as connection:
            assert connection.execute("SELECT 42").fetchone() == (42,)
        children = [proxy.recorder, *proxy.workers]
        assert len(children) == 3
        assert all(alive(child) for child in children)
        assert proxy.stop() == 0
        assert not any(alive(child) for child in children)
        assert "Traceback" not in proxy.said()
    assert calls(tmp_path / "store.db", "SELECT $1") == 1
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def test_knows_its_upstream_without_the_password(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(f"{pg16.dsn()} password=hush", tmp_path) as proxy:
        for child in (proxy.recorder, *proxy.workers):
            assert "tui.up." in command_line(child)
            assert "hush" not in command_line(child), "children are told by a pipe"
        with psycopg.connect(proxy.dsn) as connection:
            connection.execute("SELECT 1")
        proxy.stop()
    with Store.open(tmp_path / "store.db", create=False) as store:
        assert "hush" not in (store.meta("upstream") or "hush")
        assert store.meta("listen") == proxy.dsn
    assert "hush" not in proxy.said()


def test_a_second_one_on_the_port_is_refused(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path) as proxy:
        port = proxy.ready["port"]
        second = subprocess.run(
            command(pg16.url(), tmp_path / "other.db", "--listen", f"127.0.0.1:{port}"),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert second.returncode == 3
        assert f"127.0.0.1:{port} is in use" in second.stderr
        assert second.stderr.count("\n") == 1
        psycopg.connect(proxy.dsn).close()


def test_unix_socket_a_second_one_refused_and_a_stale_one_replaced(
    pg16: ScratchServer, tmp_path: Path
) -> None:
    listen = tmp_path / ".s.PGSQL.5432"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(listen))
    stale.close()
    with up(pg16.url(), tmp_path, "--listen", str(tmp_path)) as proxy:
        assert listen.stat().st_mode & 0o777 == 0o600
        with psycopg.connect(proxy.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        second = subprocess.run(
            command(pg16.url(), tmp_path / "other.db", "--listen", str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert second.returncode == 3
        assert "is in use" in second.stderr
        proxy.stop()
    assert not listen.exists()


@pytest.mark.parametrize(
    ("upstream", "arguments", "code", "words"),
    [
        ("postgresql://h/x?colour=red", (), 2, "unknown connection option"),
        ("postgresql://h,i/x?target_session_attrs=primary", (), 2, "target_session_attrs=primary"),
        ("postgresql://h,i/x?load_balance_hosts=random", (), 2, "load_balance_hosts=random"),
        ("postgresql://h/x?sslmode=verify-full&sslrootcert=/none", (), 2, "/none does not exist"),
        ("postgresql://h/x?sslmode=prefer&sslnegotiation=direct", (), 2, "sslnegotiation=direct needs"),
        ("postgresql://h/x", ("--tls", "on"), 2, "--tls on needs --tls-cert and --tls-key"),
        ("postgresql://h/x?sslmode=disable", ("--strip-channel-binding",), 2, "leave it out"),
        ("postgresql://h/x", ("--proxy-protocol-from", "lb"), 2, "--proxy-protocol-from: 'lb'"),
        ("postgresql://h/x", ("--listen", "nonsense"), 2, "expected HOST:PORT"),
        ("postgresql://h/x", ("--listen", "/nonexistent"), 2, "no directory /nonexistent"),
    ],
)
def test_impossible_configurations_are_one_line(
    tmp_path: Path, upstream: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = subprocess.run(
        command(upstream, tmp_path / "store.db", *arguments), capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_store_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is not a database, however long it may be " * 100)
    result = subprocess.run(
        command("postgresql://h/x", tmp_path / "store.db"), capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "store.db" in result.stderr


def test_upstream_down_at_the_start_is_a_warning(tmp_path: Path) -> None:
    with up(f"host={tmp_path} user=u", tmp_path) as proxy:
        with pytest.raises(psycopg.OperationalError, match="could not connect to the upstream") as caught:
            psycopg.connect(proxy.dsn)
        assert str(tmp_path) in str(caught.value)
        eventually(lambda: "PostgreSQL is not reachable yet" in proxy.said(), "the warning")
        assert proxy.stop() == 0


def test_traffic_goes_on_while_the_recorder_is_dead_and_nothing_is_lost(
    pg16: ScratchServer, tmp_path: Path
) -> None:
    with up(pg16.url(), tmp_path) as proxy:
        with psycopg.connect(proxy.dsn, autocommit=True) as connection:
            connection.execute("SELECT 'before'")
            store = tmp_path / "store.db"
            eventually(lambda: calls(store, "SELECT $1") == 1, "the first is recorded")
            os.kill(proxy.recorder, signal.SIGKILL)
            for _ in range(10):
                connection.execute("SELECT 'during'")
            eventually(lambda: "the recorder died (signal 9)" in proxy.said(), "it is noticed")
            connection.execute("SELECT 'after'")
        proxy.stop()
    assert calls(store, "SELECT $1") == 12


def test_a_dead_worker_is_replaced(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path, "--max-connections", "1") as proxy:
        with psycopg.connect(proxy.dsn) as connection:
            os.kill(proxy.workers[0], signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(proxy.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert "worker 1 died (signal 9)" in proxy.said()


def test_nothing_is_left_when_the_supervisor_is_killed(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path, "--workers", "2") as proxy:
        children = [proxy.recorder, *proxy.workers]
        connection = psycopg.connect(proxy.dsn)
        proxy.process.kill()
        proxy.process.wait()
        eventually(lambda: not any(alive(child) for child in children), "the children end")
        connection.close()


def test_stop_tells_idle_clients_and_waits_for_busy_ones(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path) as proxy:
        idle = psycopg.connect(proxy.dsn, autocommit=True)
        idle.execute("SELECT 1")
        busy = psycopg.connect(proxy.dsn)
        busy.execute("SELECT 1")
        proxy.process.terminate()
        assert select.select([idle.fileno()], [], [], PATIENCE)[0], "the goodbye"
        with pytest.raises(psycopg.errors.AdminShutdown):
            idle.execute("SELECT 1")
        assert busy.execute("SELECT 2").fetchone() == (2,)
        busy.commit()
        assert select.select([busy.fileno()], [], [], PATIENCE)[0], "the goodbye"
        with pytest.raises(psycopg.errors.AdminShutdown):
            busy.execute("SELECT 1")
        assert proxy.process.wait(PATIENCE) == 0
        idle.close()
        busy.close()


def test_a_second_signal_ends_at_once(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path, "--drain", "3600") as proxy:
        connection = psycopg.connect(proxy.dsn)
        connection.execute("SELECT 1")
        proxy.process.terminate()
        eventually(lambda: _refused(int(proxy.ready["port"])), "no new connections")
        proxy.process.terminate()
        assert proxy.process.wait(PATIENCE) == 0
        connection.close()


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_s19_a_load_balancer_in_front(pg16: ScratchServer, tmp_path: Path) -> None:
    with up(pg16.url(), tmp_path, "--proxy-protocol-from", "127.0.0.0/8") as proxy:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.dsn)
        with socket.create_connection(("127.0.0.1", int(proxy.ready["port"])), PATIENCE) as client:
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 5432\r\n")
            client.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
            assert client.recv(1) == b"N"
        proxy.stop()
    with Store.open(tmp_path / "store.db", create=False) as store:
        assert store.counters()["handshake.proxy_header"] == 1
