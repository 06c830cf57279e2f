"""All of the protocol before real servers: versions, cancel, replication, function calls, flush, names.

A test is named after the items of the protocol's checklist that it holds.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg.conninfo
import pytest

from advisor.scratch import ScratchServer
from proxy.observe.execution import Outcome, Quality
from tests.kit.client import PROTOCOL_3_0, PROTOCOL_3_2, RawClient, kinds, startup
from tests.kit.relay_thread import PATIENCE, eventually, read_exactly, read_to_end
from tests.proxy.wirekit import Bind, Execute, Flush, Parse, Query, Sync, message

START = Callable[..., Any]


def opaque(proxied: Any) -> list[str]:
    return [name for name in proxied.observer.counters if name.startswith(("opaque", "sessions."))]


def database_of(proxied: Any) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(proxied.direct)["dbname"])


def raw(proxied: Any, version: int = PROTOCOL_3_0, **parameters: str) -> RawClient:
    """A client logged in to the proxied database, by the proxy."""
    client = RawClient(proxied.relay.connect())
    welcome = client.log_in(version, user="postgres", database=database_of(proxied), **parameters)
    assert welcome[-1] == ("Z", b"I"), welcome
    return client


def answer_of_the_server(server: ScratchServer, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as direct:
        direct.settimeout(PATIENCE)
        direct.connect(f"{server.socket_dir}/.s.PGSQL.{server.port}")
        return first_message(direct, data)


def first_message(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    head = read_exactly(sock, 5)
    return head + read_exactly(sock, struct.unpack("!I", head[1:])[0] - 4)


# Start-up.


def test_s7_s8_c2_protocol_3_2_and_its_long_cancel_keys(proxied: Any) -> None:
    """PostgreSQL 18 speaks 3.2; the older ones say 3.0, and the client goes on with that."""
    with psycopg.connect(proxied.direct) as connection:
        speaks_it = connection.info.server_version >= 180000
    client = RawClient(proxied.relay.connect())
    welcome = client.log_in(PROTOCOL_3_2, user="postgres", database=database_of(proxied))
    (key,) = [body for kind, body in welcome if kind == "K"]
    assert len(key) == (4 + 32 if speaks_it else 4 + 4)
    negotiated = [body for kind, body in welcome if kind == "v"]
    assert negotiated == ([] if speaks_it else [struct.pack("!II", PROTOCOL_3_0, 0)])
    assert proxied.observer.counters["protocol_negotiated"] == len(negotiated)
    client.send(Query("SELECT pg_sleep(60)"))
    eventually(lambda: running(proxied), "the statement runs")
    cancel(proxied, key)
    said = client.until("Z")
    assert b"C57014\0" in said[0][1] if said[0][0] == "E" else b"C57014\0" in said[1][1]
    assert proxied.observer.counters["cancel.unknown_key"] == 0
    assert proxied.observer.executions[-1].sqlstate == b"57014"
    assert not opaque(proxied)


def test_c2_libpq_18_with_protocol_3_2_only(pg18: ScratchServer, proxied_to: START) -> None:
    proxied = proxied_to(pg18.dsn())
    with psycopg.connect(
        proxied.dsn, autocommit=True, min_protocol_version="3.2", max_protocol_version="3.2"
    ) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert proxied.observer.counters["cancel.unknown_key"] == 0


@pytest.mark.parametrize(
    ("version", "parameters"),
    [
        pytest.param(0x0003270F, {"pq_test_protocol_negotiation": ""}, id="grease"),
        pytest.param(PROTOCOL_3_2, {"pq_one": "1", "pq_two": "2"}, id="options"),
        pytest.param(0x00040000, {}, id="protocol 4"),
        pytest.param(0x00020000, {}, id="protocol 2"),
    ],
)
def test_s7_s9_s10_the_server_answers_whatever_version_and_options(
    pg: ScratchServer, proxied_to: START, version: int, parameters: dict[str, str]
) -> None:
    proxied = proxied_to(pg.dsn())
    packet = startup(version, user="postgres", database="postgres", **parameters)
    expected = answer_of_the_server(pg, packet)
    assert expected[:1] in b"vE"
    with proxied.relay.connect() as client:
        assert first_message(client, packet) == expected


@pytest.mark.parametrize("first", [80877104, 80877103])
def test_s3_encryption_refused_in_either_order_and_then_a_session(proxied: Any, first: int) -> None:
    client = RawClient(proxied.relay.connect())
    for code in (first, 80877104 + 80877103 - first):
        client.send(struct.pack("!II", 8, code))
        assert client.socket.recv(1) == b"N"
    assert client.log_in(user="postgres", database="postgres")[-1] == ("Z", b"I")


# Cancel.


def cancel(proxied: Any, key: bytes) -> None:
    with proxied.relay.connect() as canceller:
        canceller.sendall(struct.pack("!II", 8 + len(key), 80877102) + key)
        assert read_to_end(canceller) == b""


def key_of(proxied: Any) -> tuple[RawClient, bytes]:
    client = RawClient(proxied.relay.connect())
    welcome = client.log_in(user="postgres", database=database_of(proxied))
    return client, next(body for kind, body in welcome if kind == "K")


def test_c8_cancel_of_an_idle_session_a_suspended_portal_and_a_pipeline(proxied: Any) -> None:
    client, key = key_of(proxied)
    cancel(proxied, key)
    client.send(Query("SELECT 'idle'"))
    assert kinds(client.until("Z")) == "TDCZ"

    # A portal that was fetched in part, cancelled while it is fetched further.
    slow = "SELECT i, CASE WHEN i > 2 THEN pg_sleep(60) END FROM generate_series(1, 5) i"
    client.send(Query("BEGIN"), Parse(slow), Bind(), Execute(limit=2), Flush)
    assert kinds(client.until("s")) == "CZ12DDs"
    client.send(Execute(limit=2), Sync)
    eventually(lambda: running(proxied), "the portal runs")
    cancel(proxied, key)
    assert kinds(client.until("Z")) == "EZ"
    client.send(Query("ROLLBACK"))
    client.until("Z")

    # The first of a pipeline: what stands behind it up to the Sync is skipped, and the rest runs.
    sleep = Parse("SELECT pg_sleep(60)") + Bind() + Execute()
    client.send(sleep, Parse("SELECT 2") + Bind() + Execute(), Sync)
    client.send(Parse("SELECT 3") + Bind() + Execute() + Sync)
    eventually(lambda: running(proxied), "the pipeline runs")
    cancel(proxied, key)
    assert kinds(client.until("Z")) in ("12EZ", "EZ")
    assert kinds(client.until("Z")) == "12DCZ"

    outcomes = [(e.sql, e.outcome, e.sqlstate) for e in proxied.observer.executions]
    assert outcomes == [
        (b"SELECT 'idle'", Outcome.OK, b""),
        (b"BEGIN", Outcome.OK, b""),
        (slow.encode(), Outcome.ERROR, b"57014"),
        (b"ROLLBACK", Outcome.OK, b""),
        (b"SELECT pg_sleep(60)", Outcome.ERROR, b"57014"),
        (b"SELECT 2", Outcome.SKIPPED, b""),
        (b"SELECT 3", Outcome.OK, b""),
    ]
    assert not opaque(proxied)


def running(proxied: Any) -> bool:
    """A pg_sleep is under way in the proxied database."""
    with psycopg.connect(proxied.direct) as watcher:
        row = watcher.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'"
            " AND datname = current_database()"
        ).fetchone()
    return row is not None and row[0] > 0


# Extended protocol.


def test_x9_flush_is_forwarded_at_once_and_gives_exact_times(proxied: Any) -> None:
    client = raw(proxied)
    for number in range(3):
        client.send(Parse(f"SELECT {number}"), Bind(), Execute(), Flush)
        assert kinds(client.until("C")) == "12DC"
    client.send(Sync)
    assert client.read() == ("Z", b"I")
    executions = proxied.observer.executions
    assert [e.quality for e in executions] == [Quality.EXACT] * 3
    assert len({e.window for e in executions}) == 1


def test_x11_what_commits_at_once_in_a_pipeline_is_of_the_same_window(proxied: Any) -> None:
    client = raw(proxied)
    client.send(Parse("VACUUM pg_database"), Bind(), Execute(), Parse("SELECT 1/0"), Bind(), Execute(), Sync)
    assert "E" in kinds(client.until("Z"))
    first, second = proxied.observer.executions
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.ERROR)
    assert first.window == second.window


def test_x7_names_of_sql_and_of_the_protocol_are_one(proxied: Any) -> None:
    client = raw(proxied)
    for request in (
        Query("PREPARE a AS SELECT 'sql'"),
        Parse("SELECT 'wire'", "b") + Sync,
        Bind("a") + Execute() + Sync,
        Query("EXECUTE b"),
        Query("DEALLOCATE a; EXECUTE b"),
        Query("DISCARD ALL"),
        Bind("b") + Execute() + Sync,
        Query("SELECT 'end'"),
    ):
        client.send(request)
        client.until("Z")
    assert [(e.sql, e.outcome) for e in proxied.observer.executions] == [
        (b"PREPARE a AS SELECT 'sql'", Outcome.OK),
        (b"SELECT 'sql'", Outcome.OK),
        (b"SELECT 'wire'", Outcome.OK),
        (b"DEALLOCATE a; EXECUTE b", Outcome.OK),
        (b"SELECT 'wire'", Outcome.OK),
        (b"DISCARD ALL", Outcome.OK),
        (b"", Outcome.ERROR),
        (b"SELECT 'end'", Outcome.OK),
    ]
    assert not opaque(proxied)


def function_call(oid: int, *arguments: int) -> bytes:
    values = b"".join(struct.pack("!II", 4, value) for value in arguments)
    return message("F", struct.pack("!IHHH", oid, 1, 1, len(arguments)) + values + struct.pack("!H", 1))


def test_k6_function_call_and_a_failing_one(proxied: Any) -> None:
    client = raw(proxied)
    client.send(function_call(177, 40, 2), function_call(154, 1, 0), Query("SELECT 1"))
    assert client.until("Z") == [("V", struct.pack("!II", 4, 42)), ("Z", b"I")]
    assert kinds(client.until("Z")) == "EZ"
    assert kinds(client.until("Z")) == "TDCZ"
    assert [(e.tag, e.outcome, e.sqlstate) for e in proxied.observer.executions] == [
        (b"FUNCTION 177", Outcome.OK, b""),
        (b"FUNCTION 154", Outcome.ERROR, b"22012"),
        (b"SELECT 1", Outcome.OK, b""),
    ]


# The end of a session.


def test_a2_the_reason_why_the_server_ended_an_idle_session(proxied: Any) -> None:
    client = raw(proxied)
    client.send(Query("SET idle_session_timeout = '50ms'"))
    assert kinds(client.until("Z")) == "CZ"
    kind, body = client.read()
    assert kind == "E"
    assert b"C57P05\0" in body
    assert client.read() == ("", b"")
    eventually(lambda: proxied.observer.closed, "the session is over")
    assert proxied.observer.counters["session_notice.57P05"] == 1
    assert [e.outcome for e in proxied.observer.executions] == [Outcome.OK]


def test_a5_a11_half_close_after_terminate_and_without(proxied: Any) -> None:
    for last in (message("X"), b""):
        client = raw(proxied)
        client.send(Query("SELECT 1"), last)
        client.socket.shutdown(socket.SHUT_WR)
        assert kinds(client.until("")) == "TDCZ"
    eventually(lambda: len(proxied.observer.closed) == 2, "both sessions are over")
    assert not opaque(proxied)


def test_a12_drain_tells_an_idle_session_and_lets_a_transaction_end(proxied: Any) -> None:
    idle, busy = raw(proxied), raw(proxied)
    busy.send(Query("BEGIN"))
    busy.until("Z")
    drained = proxied.relay.drain()
    kind, body = idle.read()
    assert (kind, b"C57P01\0" in body) == ("E", True)
    assert idle.read() == ("", b"")
    idle.socket.close()
    busy.send(Query("SELECT 1"))
    assert kinds(busy.until("Z")) == "TDCZ"
    busy.send(Query("COMMIT"))
    assert kinds(busy.until("Z")) == "CZ"
    assert b"C57P01\0" in busy.read()[1]
    busy.socket.close()
    assert drained.result(PATIENCE) == 0


# Replication.


@pytest.fixture(scope="module")
def publisher() -> Iterator[ScratchServer]:
    """A server that streams its log."""
    with ScratchServer.start(
        16, settings={"wal_level": "logical", "max_wal_senders": "4", "max_replication_slots": "4"}
    ) as server:
        yield server


def copy_both(client: RawClient, command: str) -> tuple[str, bytes]:
    """Start to stream; the first message of the server's log."""
    client.send(Query(command))
    kind, body = client.read()
    assert kind == "W", body
    return client.read()


def position(client: RawClient) -> str:
    client.send(Query("IDENTIFY_SYSTEM"))
    row = next(body for kind, body in client.until("Z") if kind == "D")
    values, at = [], 2
    for _ in range(struct.unpack_from("!H", row)[0]):
        (size,) = struct.unpack_from("!i", row, at)
        values.append(row[at + 4 : at + 4 + max(size, 0)].decode())
        at += 4 + max(size, 0)
    return values[2]


@pytest.mark.parametrize("kind", ["physical", "logical"])
def test_s14_k5_replication_is_relayed_and_not_observed(
    publisher: ScratchServer, proxied_to: START, kind: str
) -> None:
    proxied = proxied_to(publisher.dsn())
    client = RawClient(proxied.relay.connect())
    welcome = client.log_in(
        user="postgres", database="postgres", replication="true" if kind == "physical" else "database"
    )
    assert welcome[-1] == ("Z", b"I")
    with psycopg.connect(publisher.dsn(), autocommit=True) as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS logged (a text)")
        writer.execute("DROP PUBLICATION IF EXISTS p")
        writer.execute("CREATE PUBLICATION p FOR ALL TABLES")
    start = position(client)
    if kind == "physical":
        first = copy_both(client, f"START_REPLICATION {start} TIMELINE 1")
    else:
        client.send(Query("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput"))
        assert "C" in kinds(client.until("Z"))
        first = copy_both(
            client,
            "START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')",
        )
    assert first[0] == "d"
    with psycopg.connect(publisher.dsn(), autocommit=True) as writer:
        writer.execute("INSERT INTO logged VALUES ('streamed to the standby')")
    streamed = b""
    while b"streamed to the standby" not in streamed:
        tag, body = client.read()
        assert tag == "d"
        streamed += body
    # A standby reports what it wrote, and then ends the stream.
    client.send(message("d", b"r" + struct.pack("!QQQQB", 0, 0, 0, 0, 0)), message("c"))
    assert "c" in kinds(client.until("c"))
    client.send(message("X"))
    client.socket.close()
    eventually(lambda: proxied.observer.closed, "the session is over")
    assert proxied.observer.executions == []
    assert opaque(proxied) == ["sessions.replication"]


def test_k5_an_ordinary_session_next_to_it_is_observed(publisher: ScratchServer, proxied_to: START) -> None:
    proxied = proxied_to(publisher.dsn())
    client = RawClient(proxied.relay.connect())
    client.log_in(user="postgres", database="postgres", replication="true")
    other = raw(proxied)
    other.send(Query("SELECT 1"))
    assert kinds(other.until("Z")) == "TDCZ"
    assert [e.sql for e in proxied.observer.executions] == [b"SELECT 1"]
    assert not select.select([client.socket], [], [], 0)[0]
