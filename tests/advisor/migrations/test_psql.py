"""The scripts run by real psql on real servers: up, again, over a left-over, down."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from advisor.migrations import export
from advisor.model import Advice, IndexKey
from advisor.scratch import ScratchServer
from advisor.sql import candidate_name

MakeIndexAdvice = Callable[..., Advice]
Psql = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture
def psql(pg: ScratchServer, database: str) -> Psql:
    def run(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(pg.binaries.program("psql")), "-X", "-f", str(path), database],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C"},
        )

    return run


def indexes(database: str) -> dict[str, tuple[bool, str]]:
    """Name to validity and definition of every index outside of the catalog."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT c.relname, i.indisvalid, pg_get_indexdef(i.indexrelid) FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast')"
        ).fetchall()
    return {name: (valid, definition) for name, valid, definition in rows}


def oid_of(database: str, index: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT oid FROM pg_class WHERE relname = %s", (index,)).fetchone()
    assert row is not None
    return int(row[0])


def run_sql(database: str, *statements: str | sql.Composed) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


ORDERS = "CREATE TABLE orders (id int, status text, created_at timestamptz, customer_id int)"


def test_up_again_over_a_leftover_down_and_up(
    database: str, psql: Psql, index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    run_sql(database, ORDERS, "INSERT INTO orders SELECT g, 'open', now(), g FROM generate_series(1, 99) g")
    result = export([index_advice(include=("customer_id",))], runner="psql", directory=tmp_path, now=now)
    up, down = result.written
    assert up.name == "001_add_ix_orders_status_created_at.sql"
    assert down.name == "001_add_ix_orders_status_created_at.down.sql"

    done = psql(up)
    assert done.returncode == 0, done.stderr
    valid, definition = indexes(database)["ix_orders_status_created_at"]
    assert valid
    assert definition.endswith("(status, created_at DESC) INCLUDE (customer_id)")

    before = oid_of(database, "ix_orders_status_created_at")
    assert psql(up).returncode == 0
    assert oid_of(database, "ix_orders_status_created_at") == before, "the second run must leave it alone"

    run_sql(
        database,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_orders_status_created_at'::regclass",
    )
    done = psql(up)
    assert done.returncode == 0, done.stderr
    assert indexes(database)["ix_orders_status_created_at"][0]
    assert oid_of(database, "ix_orders_status_created_at") != before, "the left-over must be built anew"

    assert psql(down).returncode == 0
    assert indexes(database) == {}
    assert psql(down).returncode == 0, "nothing to drop is no error"
    assert psql(up).returncode == 0
    assert indexes(database)["ix_orders_status_created_at"][0]


def test_over_what_a_failed_build_left(
    database: str, psql: Psql, index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    run_sql(database, ORDERS, "INSERT INTO orders SELECT 1, 'open', now(), g FROM generate_series(1, 9) g")
    name = "ix_orders_status_created_at"
    with pytest.raises(psycopg.errors.UniqueViolation):
        run_sql(database, f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON orders (status)")
    assert not indexes(database)[name][0]
    (up, _) = export([index_advice()], runner="psql", directory=tmp_path, now=now).written
    done = psql(up)
    assert done.returncode == 0, done.stderr
    valid, definition = indexes(database)[name]
    assert valid
    assert "UNIQUE" not in definition


def test_an_index_of_that_name_on_another_table_fails_the_check(
    database: str, psql: Psql, index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    run_sql(
        database,
        ORDERS,
        "CREATE TABLE other (x int)",
        "CREATE INDEX ix_orders_status_created_at ON other (x)",
    )
    (up, _) = export([index_advice()], runner="psql", directory=tmp_path, now=now).written
    done = psql(up)
    assert done.returncode == 3
    assert "missing, INVALID or on another table" in done.stderr


def test_a_partitioned_table_is_refused_before_anything_is_done(
    database: str, psql: Psql, index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime
) -> None:
    run_sql(
        database,
        "CREATE TABLE orders (status text, created_at timestamptz) PARTITION BY LIST (status)",
        "CREATE TABLE orders_open PARTITION OF orders FOR VALUES IN ('open')",
    )
    (up, _) = export([index_advice()], runner="psql", directory=tmp_path, now=now).written
    done = psql(up)
    assert done.returncode == 3
    assert "partitioned" in done.stderr
    assert "ATTACH PARTITION" in done.stderr
    assert indexes(database) == {}


ODD = [
    ("Orders", "Created At", "public"),
    ("order", "select", "public"),
    ('quo"te', "it's", "public"),
    ("bäcker", "größe", "schön"),
    ("t:name", "a:b :c ::d", "public"),
    ("per%cent", "100%s %(x)s", "public"),
    ("back\\slash", "\\gexec", "public"),
    ("dollar$check$", "$$;", "We$ird Schema"),
    ("new\nline", "tab\there \u2028", "public"),
    ("slash\\:colon", "\\\\:x \\:y :z", "public"),
    ("x" * 63, "y" * 63, "z" * 63),
    ("-- comment", "/* c */", "public"),
]


@pytest.mark.parametrize(("table", "column", "schema"), ODD)
def test_odd_identifiers(
    pg: ScratchServer,
    database: str,
    psql: Psql,
    index_advice: MakeIndexAdvice,
    tmp_path: Path,
    now: datetime,
    table: str,
    column: str,
    schema: str,
) -> None:
    make_odd_table(database, table, column, schema)
    advice = index_advice(
        table, (IndexKey(column=column, descending=True, nulls_first=False),), schema=schema
    )
    up, down = export([advice], runner="psql", directory=tmp_path, now=now).written
    for _ in range(2):
        done = psql(up)
        assert done.returncode == 0, done.stderr
    (name,) = indexes(database)
    assert name == candidate_name(advice.candidate)  # type: ignore[arg-type]
    assert indexes(database)[name][0]
    done = psql(down)
    assert done.returncode == 0, done.stderr
    assert indexes(database) == {}


def make_odd_table(database: str, table: str, column: str, schema: str) -> None:
    run_sql(
        database,
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)),
        sql.SQL("CREATE TABLE {} ({} text)").format(sql.Identifier(schema, table), sql.Identifier(column)),
    )


def test_squawk_is_content(
    index_advice: MakeIndexAdvice, tmp_path: Path, now: datetime, squawk: Callable[..., str]
) -> None:
    advice = [index_advice(include=("customer_id",)), index_advice("Odd $$ Name", id="2")]
    written = export(advice, runner="psql", directory=tmp_path, now=now).written
    assert squawk(*written) == ""
    # The linter does read these files: the same without CONCURRENTLY is found.
    blocking = tmp_path / "blocking.sql"
    blocking.write_text(written[0].read_text().replace("INDEX CONCURRENTLY IF", "INDEX IF"))
    assert "require-concurrent-index-creation" in squawk(blocking)
