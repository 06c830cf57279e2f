"""Alembic revisions run by real Alembic in a real project, on real servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from advisor.migrations import ExportError, detect_runner, export
from advisor.model import Advice, IndexKey
from advisor.scratch import ScratchServer

MakeIndexAdvice = Callable[..., Advice]

_ENV = '''"""Runs migrations with psycopg, offline as SQL."""
import os
from alembic import context
import sqlalchemy as sa

DRIVER = os.environ.get("TEST_DRIVER", "psycopg")
URL = f"postgresql+{DRIVER}://"


def migrate(connection):
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_async():
    import asyncpg
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy.ext.asyncio import create_async_engine

    to = conninfo_to_dict(os.environ["TEST_DSN"])
    engine = create_async_engine(
        URL,
        poolclass=sa.pool.NullPool,
        async_creator=lambda *_, **__: asyncpg.connect(
            host=to["host"], port=to["port"], user=to["user"], database=to["dbname"]
        ),
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=URL, literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
elif DRIVER == "asyncpg":
    import asyncio

    asyncio.run(migrate_async())
else:
    driver = __import__(DRIVER)
    engine = sa.create_engine(
        URL, creator=lambda: driver.connect(os.environ["TEST_DSN"]), poolclass=sa.pool.NullPool
    )
    with engine.connect() as connection:
        migrate(connection)
'''

_FIRST = '''"""first"""
revision = "0000000000f1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n"
    )
    (root / "migrations" / "env.py").write_text(_ENV)
    (versions / "0000000000f1_first.py").write_text(_FIRST)
    return root


def alembic(
    project: Path, database: str, *arguments: str, driver: str = "psycopg"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env={"TEST_DSN": database, "TEST_DRIVER": driver, "PATH": "", "PYTHONIOENCODING": "utf-8"},
    )


def succeed(project: Path, database: str, *arguments: str, driver: str = "psycopg") -> str:
    done = alembic(project, database, *arguments, driver=driver)
    assert done.returncode == 0, done.stderr
    return done.stdout


def valid_indexes(database: str) -> dict[str, bool]:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND c.relname <> 'alembic_version_pkc'"
        ).fetchall()
    return dict(rows)


def run_sql(database: str, *statements: str | sql.Composed) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


ORDERS = "CREATE TABLE orders (id int, status text, created_at timestamptz, customer_id int)"
NAME = "ix_orders_status_created_at"


def test_upgrade_downgrade_upgrade_and_over_a_leftover(
    database: str, project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    run_sql(database, ORDERS, "INSERT INTO orders SELECT 1, 'open', now(), g FROM generate_series(1, 9) g")
    result = export([index_advice(include=("customer_id",))], runner=None, directory=project, now=now)
    assert result.runner == "alembic"
    (path,) = result.written
    assert path.parent == project / "migrations" / "versions"
    assert 'down_revision: Union[str, Sequence[str], None] = "0000000000f1"' in path.read_text()

    succeed(project, database, "upgrade", "head")
    assert valid_indexes(database) == {NAME: True}
    succeed(project, database, "upgrade", "head")
    succeed(project, database, "downgrade", "-1")
    assert valid_indexes(database) == {}

    with pytest.raises(psycopg.errors.UniqueViolation):
        run_sql(database, f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON orders (status)")
    assert valid_indexes(database) == {NAME: False}
    succeed(project, database, "upgrade", "head")
    assert valid_indexes(database) == {NAME: True}
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", (NAME,)).fetchone()
    assert row is not None
    assert row[0].endswith("ON public.orders USING btree (status, created_at DESC) INCLUDE (customer_id)")


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg"])
def test_other_drivers(
    pg18: ScratchServer,
    make_database: Callable[[ScratchServer], str],
    project: Path,
    index_advice: MakeIndexAdvice,
    now: datetime,
    driver: str,
) -> None:
    database = make_database(pg18)
    run_sql(database, ORDERS, f"CREATE INDEX {NAME} ON orders (id)")
    run_sql(database, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{NAME}'::regclass")
    run_sql(database, 'ALTER TABLE orders RENAME customer_id TO "100% :it"')
    export([index_advice(include=("100% :it",))], runner=None, directory=project, now=now)
    succeed(project, database, "upgrade", "head", driver=driver)
    assert valid_indexes(database) == {NAME: True}
    succeed(project, database, "downgrade", "-1", driver=driver)
    assert valid_indexes(database) == {}


@pytest.mark.parametrize(
    ("table", "column", "schema"),
    [
        ("Orders", "Created At", "public"),
        ('quo"te', "it's", "public"),
        ("bäcker", "größe", "schön"),
        ("t:name", "a:b :c ::d", "public"),
        ("per%cent", "100%s %(x)s", "public"),
        ("back\\slash", 'tri"""ple', "public"),
        ("dollar$check$", "$$;", "We$ird Schema"),
        ("new\nline", "tab\there \u2028", "public"),
        ("x" * 63, "y" * 63, "z" * 63),
    ],
)
def test_odd_identifiers(
    pg18: ScratchServer,
    make_database: Callable[[ScratchServer], str],
    project: Path,
    index_advice: MakeIndexAdvice,
    now: datetime,
    table: str,
    column: str,
    schema: str,
) -> None:
    database = make_database(pg18)
    run_sql(
        database,
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)),
        sql.SQL("CREATE TABLE {} ({} text, plain int)").format(
            sql.Identifier(schema, table), sql.Identifier(column)
        ),
    )
    keys = (IndexKey(column=column), IndexKey(column="plain", descending=True))
    advice = [
        index_advice(table, keys, schema=schema),
        index_advice(table, tuple(reversed(keys)), schema=schema, id="2"),
        index_advice(table, (IndexKey(column=column, descending=True),), schema=schema, id="3"),
    ]
    assert len(export(advice, runner="alembic", directory=project, now=now).written) == 3
    succeed(project, database, "upgrade", "head")
    assert list(valid_indexes(database).values()) == [True] * 3
    succeed(project, database, "downgrade", "0000000000f1")
    assert valid_indexes(database) == {}


def test_a_name_that_sqlalchemy_cannot_say_is_refused(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    with pytest.raises(ExportError, match="export it for psql"):
        export([index_advice("back\\:slash")], runner=None, directory=project, now=now)


def test_a_partitioned_table_is_refused(
    pg16: ScratchServer,
    make_database: Callable[[ScratchServer], str],
    project: Path,
    index_advice: MakeIndexAdvice,
    now: datetime,
) -> None:
    database = make_database(pg16)
    run_sql(database, "CREATE TABLE orders (status text, created_at date) PARTITION BY LIST (status)")
    export([index_advice()], runner="alembic", directory=project, now=now)
    done = alembic(project, database, "upgrade", "head")
    assert done.returncode != 0
    assert "is partitioned" in done.stderr


def test_offline_sql_is_clean_under_squawk(
    project: Path, index_advice: MakeIndexAdvice, now: datetime, squawk: Callable[..., str], tmp_path: Path
) -> None:
    export([index_advice(include=("customer_id",))], runner="alembic", directory=project, now=now)
    text = succeed(project, "", "upgrade", "0000000000f1:head", "--sql")
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_orders_status_created_at" in text
    script = tmp_path / "offline.sql"
    script.write_text(text)
    found = [line for line in squawk(script).splitlines() if line]
    assert found == []


def test_several_heads_are_refused(project: Path, index_advice: MakeIndexAdvice, now: datetime) -> None:
    second = _FIRST.replace("0000000000f1", "0000000000f2")
    (project / "migrations" / "versions" / "second.py").write_text(second)
    with pytest.raises(ExportError, match=r"2 heads \(0000000000f1, 0000000000f2\).*alembic merge heads"):
        export([index_advice()], runner="alembic", directory=project, now=now)


def test_several_heads_are_refused_when_read_without_running(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    for name in ("f2", "f3"):
        text = _FIRST.replace("0000000000f1", f"0000000000{name}").replace("= None", '= "0000000000f1"', 1)
        (project / "migrations" / "versions" / f"{name}.py").write_text("import no_such_application\n" + text)
    with pytest.raises(ExportError, match=r"2 heads \(0000000000f2, 0000000000f3\)"):
        export([index_advice()], runner="alembic", directory=project, now=now)


def test_revisions_that_cannot_be_imported_are_read(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    text = _FIRST.replace("0000000000f1", "0000000000f2").replace(
        "down_revision = None", 'down_revision: tuple[str, ...] = ("0000000000f1",)'
    )
    (project / "migrations" / "versions" / "second.py").write_text("import no_such_application\n" + text)
    before = list(sys.path)
    (path,) = export([index_advice()], runner="alembic", directory=project, now=now).written
    assert 'None] = "0000000000f2"' in path.read_text()
    assert sys.path == before


def test_a_project_in_pyproject_with_its_own_file_names(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    (project / "alembic.ini").unlink()
    (project / "pyproject.toml").write_text(
        '[tool.alembic]\nscript_location = "%(here)s/migrations"\npath_separator = "os"\n'
        'file_template = "%%(year)d_%%(month).2d_%%(rev)s-%%(slug)s"\n'
    )
    assert detect_runner(project) == "alembic"
    (path,) = export([index_advice()], runner=None, directory=project, now=now).written
    assert path.name.startswith("2026_11_")
    assert path.name.endswith("-add_ix_orders_status_created_at.py")
    assert succeed(project, "", "heads").startswith(path.name.split("_")[2].split("-")[0])


def test_a_first_revision_follows_nothing(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    (project / "migrations" / "versions" / "0000000000f1_first.py").unlink()
    (path,) = export([index_advice()], runner=None, directory=project, now=now).written
    assert "down_revision: Union[str, Sequence[str], None] = None" in path.read_text()


def test_the_environment_of_a_project_counts_as_the_project(
    project: Path, index_advice: MakeIndexAdvice, now: datetime
) -> None:
    assert detect_runner(project / "migrations") == "alembic"
    (path,) = export([index_advice()], runner=None, directory=project / "migrations", now=now).written
    assert path.parent == project / "migrations" / "versions"
    assert 'None] = "0000000000f1"' in path.read_text()
    again = export([index_advice()], runner=None, directory=project, now=now)
    assert again.already == (("7f3ac0ffee00aa11", path.resolve()),)
    assert again.written == ()


def test_no_project(tmp_path: Path, index_advice: MakeIndexAdvice, now: datetime) -> None:
    with pytest.raises(ExportError, match=r"no Alembic project in .*alembic\.ini"):
        export([index_advice()], runner="alembic", directory=tmp_path, now=now)
    (tmp_path / "alembic.ini").write_text("[alembic]\n")
    with pytest.raises(ExportError, match="cannot be loaded"):
        export([index_advice()], runner=None, directory=tmp_path, now=now)
