"""What pgcoach counts is what PostgreSQL counts, to the last call, whatever sessions do at the same time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pglast
import psycopg
from pglast.ast import PrepareStmt
from pglast.stream import RawStream
from psycopg import sql

from advisor.scratch import ScratchServer
from tests.kit.up import up
from workload.store.store import Store

SESSIONS = 8
ROUNDS = 12


def script(dsn: str, number: int) -> None:
    """One session's mixture: every way to run a statement, with failures in between."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for round_ in range(ROUNDS):
            simple(connection, number, round_)
            extended(connection, round_)
            pipelines(connection, round_)
            prepared_in_sql(connection, round_)
            copies_and_cursors(connection, number)
            if round_ % 4 == 3:
                connection.execute("DISCARD ALL")
                # The driver would go on using the names of what was discarded.
                connection._prepared.clear()


def simple(connection: psycopg.Connection[tuple[object, ...]], number: int, round_: int) -> None:
    cursor = psycopg.ClientCursor(connection)
    cursor.execute("SELECT * FROM t WHERE id = %s /* round */", (round_,))
    cursor.execute(f"INSERT INTO t(id, v) VALUES ({number * 1000 + round_}, 'it''s'); SELECT count(*) FROM t")
    cursor.execute("BEGIN; SELECT 1; SELECT 'two', 2; COMMIT")
    fails(lambda: cursor.execute("SELECT 1/0"))
    fails(lambda: cursor.execute("SELECT 3; SELECT 1/0; SELECT 4"))
    fails(lambda: cursor.execute("SELEC 1"))
    cursor.execute("")
    with connection.transaction():
        cursor.execute("UPDATE t SET v = 'x' WHERE id = -1")
        fails(lambda: inner_failure(connection))


def inner_failure(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    with connection.transaction():
        connection.execute("SELECT nothing FROM nowhere")


def extended(connection: psycopg.Connection[tuple[object, ...]], round_: int) -> None:
    for i in range(7):
        connection.execute("SELECT v FROM t WHERE id = %s", (i,), prepare=True)
        connection.execute("SELECT v FROM t WHERE id = %s AND v <> %s", (i, "y"), binary=bool(i % 2))
    fails(lambda: connection.execute("SELECT 10 / %s::int", (0,), prepare=True))
    connection.execute("SELECT 10 / %s::int", (2,), prepare=True)
    if round_ % 3 == 0:
        connection.execute("DEALLOCATE ALL")
        connection._prepared.clear()
    cursor = connection.cursor()
    cursor.executemany("UPDATE t SET v = %s WHERE id = %s", [("z", i) for i in range(5)])


def pipelines(connection: psycopg.Connection[tuple[object, ...]], round_: int) -> None:
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int + 1", (i,)) for i in range(10)]
        assert [cursor.fetchone() for cursor in cursors] == [(i + 1,) for i in range(10)]

    def broken() -> None:
        with connection.pipeline():
            connection.execute("SELECT 100 + %s::int", (round_,))
            connection.execute("SELECT 100 / %s::int", (0,))
            connection.execute("SELECT 200 + %s::int", (round_,))
            connection.execute("SELECT 300 + %s::int", (round_,))

    fails(broken)


def prepared_in_sql(connection: psycopg.Connection[tuple[object, ...]], round_: int) -> None:
    cursor = psycopg.ClientCursor(connection)
    cursor.execute("PREPARE p(int) AS SELECT v FROM t WHERE id > $1 LIMIT 1")
    for i in range(3):
        cursor.execute(f"EXECUTE p({i + round_})")
    cursor.execute("DEALLOCATE p")
    fails(lambda: cursor.execute("EXECUTE p(1)"))


def copies_and_cursors(connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    cursor = connection.cursor()
    with cursor.copy("COPY t(id, v) FROM STDIN") as copy:
        for i in range(20):
            copy.write_row((number * 1000 + 500 + i, "copied"))
    with cursor.copy("COPY (SELECT id FROM t LIMIT 5) TO STDOUT") as copy:
        assert len(list(copy.rows())) <= 5

    def bad_copy() -> None:
        with cursor.copy("COPY t(id, v) FROM STDIN") as copy:
            copy.write("not a number\tx\n")

    fails(bad_copy)
    with connection.transaction(), connection.cursor(name="walk") as walk:
        walk.itersize = 2
        walk.execute("SELECT id FROM t ORDER BY id LIMIT 5")
        assert len(list(walk)) <= 5


def fails(call: Callable[[], object]) -> None:
    try:
        call()
    except psycopg.Error:
        return
    raise AssertionError("this was meant to fail")


def executed_statement(query: str) -> str:
    """What ran: pg_stat_statements shows an EXECUTE under the text of its PREPARE, with the query id of the
    statement inside (it takes the source text of the cached plan)."""
    statement = pglast.parse_sql(query)[0].stmt
    if isinstance(statement, PrepareStmt) and statement.query is not None:
        return str(RawStream()(statement.query))
    return query


def fingerprinted(rows: list[tuple[str, int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for query, calls in rows:
        counted[pglast.fingerprint(query)] += calls
    return counted


def test_calls_equal_pg_stat_statements(
    pg15: ScratchServer, make_database: Callable[[ScratchServer], str], tmp_path: Path
) -> None:
    database = psycopg.conninfo.conninfo_to_dict(make_database(pg15))["dbname"]
    # The application is a role of its own: what this test and the recorder's look at the catalog run on
    # the same server is not its traffic.
    with psycopg.connect(pg15.dsn(), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        with psycopg.connect(pg15.dsn(str(database)), autocommit=True) as setup:
            setup.execute("CREATE TABLE t (id bigint, v text)")
            setup.execute("DROP ROLE IF EXISTS app")
            setup.execute("CREATE ROLE app LOGIN")
            setup.execute("GRANT ALL ON t TO app")
        with up(pg15.url(str(database)), tmp_path, "--workers", "2") as proxy:
            admin.execute("SELECT pg_stat_statements_reset()")
            failures: list[BaseException] = []

            def run(number: int) -> None:
                try:
                    script(proxy.dsn.replace("postgres@", "app@"), number)
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=run, args=(number,)) for number in range(SESSIONS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures
            proxy.stop()
        theirs = admin.execute(
            sql.SQL(
                "SELECT query, calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
                "JOIN pg_roles r ON r.oid = s.userid WHERE d.datname = %s AND r.rolname = 'app'"
            ),
            (database,),
        ).fetchall()
    with Store.open(tmp_path / "store.db", create=False) as store:
        ours = [(query.query, query.calls) for query in store.queries(limit=10_000) if query.calls]
        counters = store.counters()
    expected = fingerprinted([(executed_statement(str(query)), int(calls)) for query, calls in theirs])
    counted = fingerprinted(ours)
    texts = {pglast.fingerprint(query): query for query, _ in [*theirs, *ours]}
    different = {
        texts[key]: f"{counted[key]} counted, {expected[key]} by PostgreSQL"
        for key in counted.keys() | expected.keys()
        if counted[key] != expected[key]
    }
    assert not different
    # Values that a sample lacks (the arguments of EXECUTE) are no lost calls.
    counters.pop("lost.params", None)
    assert not {name: n for name, n in counters.items() if name.startswith(("lost.", "opaque."))}
    assert sum(counted.values()) > 1000
