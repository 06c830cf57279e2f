"""The relay in front of real servers: what clients do, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from advisor.scratch import ScratchServer
from proxy.observe.execution import Outcome
from tests.kit.recording import Transcript
from tests.kit.relay_thread import PATIENCE, eventually, read_to_end

START = Callable[..., Any]


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def startup(user: str, database: str) -> bytes:
    body = b"".join(x.encode() + b"\0" for x in ("user", user, "database", database)) + b"\0"
    return struct.pack("!II", 8 + len(body), 196608) + body


def rss() -> int:
    """Resident bytes of this process, in which the relay runs."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watermark:
    """The highest resident size while a block runs."""

    def __enter__(self) -> Watermark:
        self.start = self.highest = rss()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.highest = max(self.highest, rss())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self.highest - self.start


def test_a1_listen_notify_arrives_between_statements(proxied: Any) -> None:
    with psycopg.connect(proxied.dsn, autocommit=True) as listener:
        listener.execute("LISTEN news")
        with psycopg.connect(proxied.dsn, autocommit=True) as speaker:
            speaker.execute("NOTIFY news, 'hello'")
        assert next(listener.notifies(timeout=PATIENCE)).payload == "hello"


def test_k4_copy_in_and_out(proxied: Any) -> None:
    rows = [(i, "x" * (i % 100)) for i in range(20_000)]
    with psycopg.connect(proxied.dsn) as connection:
        connection.execute("CREATE TABLE t (a int, b text)")
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        with connection.cursor().copy("COPY t TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == rows


def test_pipelines(proxied: Any) -> None:
    with psycopg.connect(proxied.dsn, autocommit=True) as connection, connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (i,)) for i in range(2000)]
        assert [cursor.fetchone() for cursor in cursors] == [(i,) for i in range(2000)]
    assert not [name for name in proxied.observer.counters if name.startswith("opaque")]


def test_s13_login_failures_arrive_as_the_server_said_them(pg16: ScratchServer, proxied_to: START) -> None:
    proxied = proxied_to(pg16.dsn())
    with pytest.raises(psycopg.OperationalError, match='database "missing" does not exist'):
        psycopg.connect(proxied.dsn, dbname="missing")
    with pytest.raises(psycopg.OperationalError, match='role "missing" does not exist'):
        psycopg.connect(proxied.dsn, user="missing")
    eventually(lambda: proxied.observer.counters["login_failed.3D000"] == 1, "the failure is counted")


def test_cancel(proxied: Any) -> None:
    with psycopg.connect(proxied.dsn, autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_c8_a_hundred_cancels_at_once(pg16: ScratchServer, proxied_to: START) -> None:
    """Every one ends its own statement, no statement after it, and the observer keeps its place."""
    proxied = proxied_to(pg16.dsn())
    outcomes: list[str] = []

    def one() -> None:
        with psycopg.connect(proxied.dsn, autocommit=True) as connection:
            canceller = threading.Timer(0.5, connection.cancel_safe)
            canceller.start()
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.errors.QueryCanceled:
                canceller.join()
                outcomes.append(str(connection.execute("SELECT 'alive'").fetchone()))

    # Below the server's max_connections, in two rounds.
    for _ in range(2):
        threads = [threading.Thread(target=one) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == ["('alive',)"] * 100
    counters = proxied.observer.counters
    assert counters["cancel.forwarded"] == 100
    assert not [name for name in counters if name.startswith("opaque")]
    cancelled = [e for e in proxied.observer.executions if e.sqlstate == b"57014"]
    assert len(cancelled) == 100


def test_server_process_killed_in_the_middle(proxied: Any) -> None:
    with psycopg.connect(proxied.dsn, autocommit=True) as victim:
        pid = victim.info.backend_pid

        def kill() -> None:
            with psycopg.connect(proxied.direct, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s)", (pid,))

        timer = threading.Timer(0.3, kill)
        timer.start()
        with pytest.raises(psycopg.errors.AdminShutdown, match="terminating connection"):
            victim.execute("SELECT pg_sleep(60)")
        timer.join()
    with psycopg.connect(proxied.dsn) as connection:
        connection.execute("SELECT 1")


def test_whole_server_stopped_and_clients_told(proxied_to: START) -> None:
    with ScratchServer.start(16) as server:
        proxied = proxied_to(server.dsn())
        connection = psycopg.connect(proxied.dsn, autocommit=True)
        timer = threading.Timer(0.3, server.stop)
        timer.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(60)")
        timer.join()
        connection.close()
        with pytest.raises(psycopg.OperationalError, match="could not connect to the upstream"):
            psycopg.connect(proxied.dsn)
    assert [e.outcome for e in proxied.observer.executions][-1] in (Outcome.ERROR, Outcome.ABORTED)


def test_garbage_and_vanishing_clients_leave_nothing_behind(pg16: ScratchServer, proxied_to: START) -> None:
    proxied = proxied_to(pg16.dsn())
    for garbage in (
        b"",
        b"\0",
        b"GET / HTTP/1.0\r\n\r\n",
        os.urandom(64),
        startup("postgres", "postgres")[:-3],
    ):
        with proxied.relay.connect() as client:
            client.sendall(garbage)
    for after in (b"", b"%%%%%", message(b"Q", b"SELECT pg_sleep(0.1)\0"), message(b"Q", b"SELECT")[:-2]):
        client = proxied.relay.connect()
        client.sendall(startup("postgres", "postgres") + after)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    eventually(lambda: not proxied.relay.relay.links and not proxied.relay.relay.busy, "all is cleaned up")
    with psycopg.connect(proxied.dsn) as connection:
        connection.execute("SELECT 1")


@pytest.mark.parametrize("way", ["in", "out"])
def test_f4_value_of_300_mb_in_flat_memory(pg16: ScratchServer, proxied_to: START, way: str) -> None:
    proxied = proxied_to(pg16.dsn())
    size = 300_000_000
    client = proxied.relay.connect()
    client.sendall(startup("postgres", "postgres"))
    wait_ready(client)
    with Watermark() as memory:
        if way == "out":
            client.sendall(message(b"Q", f"SELECT repeat('x', {size})\0".encode()))
        else:
            query = b"SELECT length($1)\0"
            client.sendall(message(b"P", b"\0" + query + struct.pack("!HI", 1, 25)))
            bind_head = b"\0\0" + struct.pack("!HHI", 0, 1, size)
            client.sendall(b"B" + struct.pack("!I", 4 + len(bind_head) + size + 2) + bind_head)
            block = b"x" * 1_000_000
            for _ in range(size // len(block)):
                client.sendall(block)
            client.sendall(struct.pack("!H", 0) + message(b"E", b"\0" + struct.pack("!I", 0)) + message(b"S"))
        received = wait_ready(client)
    assert (received > size) == (way == "out")
    assert memory.growth < 60_000_000
    assert not [name for name in proxied.observer.counters if name.startswith("opaque")]


def wait_ready(client: socket.socket) -> int:
    """Read up to ReadyForQuery without keeping anything; how many bytes that were."""
    count, tail = 0, b""
    while not (tail[-6:-1] == b"Z\0\0\0\5" and tail[-1:] in b"ITE"):
        chunk = client.recv(1 << 20)
        assert chunk, f"closed after {count} bytes: {tail!r}"
        count += len(chunk)
        tail = (tail + chunk)[-64:]
    return count


def test_a7_slow_reader_of_a_large_result_in_flat_memory(pg16: ScratchServer, proxied_to: START) -> None:
    proxied = proxied_to(pg16.dsn())
    client = proxied.relay.connect()
    client.sendall(startup("postgres", "postgres"))
    wait_ready(client)
    with Watermark() as memory:
        # About 1 GB: a million rows of a kilobyte.
        client.sendall(message(b"Q", b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)\0"))
        time.sleep(0.5)
        received = 0
        stopped = time.monotonic() + 1.0
        while time.monotonic() < stopped:
            received += len(client.recv(4096))
            time.sleep(0.01)
        assert received < 10_000_000
        received += wait_ready(client)
    assert received > 1_000_000_000
    assert memory.growth < 60_000_000
    execution = proxied.observer.executions[-1]
    assert execution.rows == 1_000_000
    assert execution.stalled > 0.5


def test_a13_observer_that_raises_does_not_disturb(pg16: ScratchServer, proxied_to: START) -> None:
    class Failing:
        def __init__(self) -> None:
            self.counted: list[str] = []

        def session_opened(self, session: object) -> None: ...

        def taken_back(self, execution: object) -> None: ...

        def session_closed(self, session: object, now: float) -> None: ...

        def executed(self, execution: object) -> None:
            raise RuntimeError("on purpose")

        def count(self, counter: str, amount: int = 1) -> None:
            self.counted.append(counter)

    observer = Failing()
    proxied = proxied_to(pg16.dsn(), observer=observer)
    with psycopg.connect(proxied.dsn, autocommit=True) as connection:
        for i in range(20):
            assert connection.execute("SELECT %s::int", (i,)).fetchone() == (i,)
    assert [name for name in observer.counted if name.startswith("opaque")] != []


SCRIPTS: dict[str, bytes] = {
    "simple": message(b"Q", b"SELECT 1; SELECT 'x', 2; SELECT 1/0; SELECT 3\0") + message(b"Q", b"\0"),
    "extended": message(b"P", b"s\0SELECT $1::int\0\0\0")
    + message(b"D", b"Ss\0")
    + message(b"B", b"\0s\0" + struct.pack("!HHI", 0, 1, 2) + b"42" + struct.pack("!H", 0))
    + message(b"E", b"\0\0\0\0\0")
    + message(b"S"),
    "error skips to sync": message(b"P", b"s\0SELECT nothing\0\0\0")
    + message(b"Q", b"SELECT 1\0")
    + message(b"S")
    + message(b"S")
    + message(b"Q", b"SELECT 2\0"),
    "portal in pieces": message(b"P", b"\0SELECT generate_series(1,5)\0\0\0")
    + message(b"B", b"\0\0" + struct.pack("!HHH", 0, 0, 0))
    + message(b"E", b"\0" + struct.pack("!I", 2)) * 3
    + message(b"S"),
    "copy": message(b"Q", b"CREATE TEMP TABLE c(a int)\0")
    + message(b"Q", b"COPY c FROM STDIN\0")
    + message(b"d", b"1\n2\n")
    + message(b"c")
    + message(b"Q", b"COPY c FROM STDIN\0")
    + message(b"d", b"bad\n")
    + message(b"c")
    + message(b"Q", b"COPY c TO STDOUT\0"),
    "unknown message type": message(b"%", b"what"),
    "asynchronous": message(b"Q", b"LISTEN a; NOTIFY a, 'b'\0")
    + message(b"Q", b"DO $$ BEGIN RAISE NOTICE 'n'; END $$\0")
    + message(b"Q", b"SET application_name = 'z'\0"),
}


def without_sender(stream: bytes) -> bytes:
    """Blank the process id in NotificationResponse: another one in each session, like BackendKeyData's."""
    blanked, position = bytearray(stream), 0
    while position + 5 <= len(blanked):
        if blanked[position] == ord("A"):
            blanked[position + 5 : position + 9] = bytes(4)
        position += 1 + struct.unpack_from("!I", blanked, position + 1)[0]
    return bytes(blanked)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
@pytest.mark.parametrize("ending", ["terminate", "half-close"])
def test_the_same_bytes_come_back_as_without_the_proxy(proxied: Any, name: str, ending: str) -> None:
    path = proxied.relay.upstream.addresses[0].socket_path
    database = psycopg.conninfo.conninfo_to_dict(proxied.direct)["dbname"]

    def play(client: socket.socket, step: int) -> bytes:
        data = startup("postgres", str(database)) + SCRIPTS[name]
        data += message(b"X") if ending == "terminate" else b""
        # The server may hang up on garbage before everything was sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for i in range(0, len(data), step):
                client.sendall(data[i : i + step])
            if ending == "half-close":
                client.shutdown(socket.SHUT_WR)
        received = read_to_end(client)
        return without_sender(Transcript(bytearray(data), bytearray(received)).comparable()[1])

    with socket.socket(socket.AF_UNIX) as direct:
        direct.settimeout(PATIENCE)
        direct.connect(path)
        expected = play(direct, 1 << 20)
    assert expected.startswith(b"R")
    assert play(proxied.relay.connect(), 1 << 20) == expected
    assert play(proxied.relay.connect(), 7) == expected


@pytest.mark.parametrize("method", ["password", "md5", "scram-sha-256"])
def test_s11_password_authentication_is_between_client_and_server(proxied_to: START, method: str) -> None:
    encryption = "md5" if method == "md5" else "scram-sha-256"
    with ScratchServer.start(16, access=[f"local all member {method}"]) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("SET password_encryption = {}").format(encryption))
            admin.execute("CREATE ROLE member LOGIN PASSWORD 'right'")
        proxied = proxied_to(server.dsn())
        with psycopg.connect(proxied.dsn, user="member", password="right") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("member",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(proxied.dsn, user="member", password="wrong")
        eventually(lambda: proxied.observer.counters["login_failed.28P01"] == 1, "the failure is counted")
