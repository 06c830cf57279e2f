"""Real drivers and ORMs through the relay and the observer: every loop is found, every batch left alone."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import asyncpg
import msgspec
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from advisor.scratch import ScratchServer
from proxy.dsn import parse_dsn
from proxy.observe.execution import Execution, Session
from tests.kit.relay_thread import RelayThread, eventually
from workload.capture.capture import Capture
from workload.capture.messages import Delta
from workload.capture.steps import UnitLimits
from workload.catalog import Catalog, load_catalog
from workload.detect.nplusone import Statement, detect
from workload.fingerprint import identify
from workload.model import Finding

AUTHORS = 40

SCHEMA = f"""
    CREATE TABLE author (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
    CREATE TABLE book (
        id serial PRIMARY KEY,
        author_id uuid NOT NULL REFERENCES author,
        title text NOT NULL,
        pages int NOT NULL
    );
    CREATE TABLE review (
        id serial PRIMARY KEY, book_id int NOT NULL REFERENCES book, stars int NOT NULL
    );
    INSERT INTO author (name) SELECT 'author ' || n FROM generate_series(1, {AUTHORS}) n;
    INSERT INTO book (author_id, title, pages)
        SELECT id, name || ' ' || n, 100 + n FROM author, generate_series(1, 3) n;
    INSERT INTO review (book_id, stars) SELECT id, n FROM book, generate_series(1, 2) n;
"""


class Watcher:
    """A worker's capture that also tells when its sessions have ended."""

    def __init__(self) -> None:
        # Where a burst ends is tested with a clock of its own; a busy machine must not end one here.
        self.capture = Capture(1, b"k" * 16, "full", unit_limits=UnitLimits(burst_gap=30.0))
        self.opened = 0
        self.closed = 0

    def session_opened(self, session: Session) -> None:
        self.capture.session_opened(session)
        self.opened += 1

    def executed(self, execution: Execution) -> None:
        self.capture.executed(execution)

    def taken_back(self, execution: Execution) -> None:
        self.capture.taken_back(execution)

    def count(self, counter: str, amount: int = 1) -> None:
        self.capture.count(counter, amount)

    def session_closed(self, session: Session, now: float) -> None:
        self.capture.session_closed(session, now)
        self.closed += 1

    def findings(self, catalog: Catalog) -> list[Finding]:
        """Everything found in what was seen so far, once every session has ended."""
        eventually(lambda: self.opened and self.closed == self.opened, "sessions closed")
        delta = msgspec.msgpack.decode(self.capture.flush(time.monotonic(), time.time()), type=Delta)
        assert [name for name in delta.counters if name.startswith(("opaque", "lost", "units"))] == []
        statements = {
            definition.id: Statement(definition.id, identify(definition.shape).fingerprint, definition.shape)
            for definition in delta.definitions
        }
        return [found for unit in delta.units for found in detect(unit, statements, catalog)]


@pytest.fixture(scope="module")
def database(pg16: ScratchServer) -> Iterator[str]:
    with psycopg.connect(pg16.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE library")
    with psycopg.connect(pg16.dsn("library")) as connection:
        connection.execute(SCHEMA)
    yield pg16.dsn("library")
    with psycopg.connect(pg16.dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE library WITH (FORCE)")


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def port(database: str, watcher: Watcher) -> Iterator[int]:
    """A relay in front of the library, listening on 127.0.0.1."""
    with RelayThread(parse_dsn(database).addresses, watcher).running() as relay:
        yield relay.address.port


@pytest.fixture
def found(database: str, watcher: Watcher) -> Callable[[], list[Finding]]:
    catalog = asyncio.run(load_catalog(database))
    return lambda: watcher.findings(catalog)


def url(port: int, driver: str) -> str:
    return f"postgresql+{driver}://postgres@127.0.0.1:{port}/library"


def conninfo(port: int) -> str:
    return f"host=127.0.0.1 port={port} user=postgres dbname=library sslmode=disable"


def summary(findings: list[Finding]) -> set[tuple[str, str, str, str]]:
    return {
        (found.cls, found.confidence, found.child.table, found.parent.table)
        for found in findings
        if found.confidence != "low"
    }


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[uuid.UUID] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str]
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[uuid.UUID] = orm.mapped_column(sa.ForeignKey("author.id"))
    title: orm.Mapped[str]
    pages: orm.Mapped[int]
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")
    reviews: orm.Mapped[list[Review]] = orm.relationship()


class Review(Base):
    __tablename__ = "review"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    book_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("book.id"))
    stars: orm.Mapped[int]


def engine(port: int, driver: str) -> sa.Engine:
    return sa.create_engine(url(port, driver), poolclass=sa.NullPool)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_lazy_loading(port: int, found: Callable[[], list[Finding]], driver: str) -> None:
    """To-many inside to-many: authors, their books, the reviews of each book."""
    with orm.Session(engine(port, driver)) as session:
        for author in session.scalars(sa.select(Author).order_by(Author.name)):
            for book in author.books:
                assert len(book.reviews) == 2
    findings = found()
    assert summary(findings) == {
        ("n_plus_one_read", "high", "book", "author"),
        ("n_plus_one_read", "high", "review", "book"),
    }
    books = next(f for f in findings if f.child.table == "book")
    assert books.title == "40 × book by author_id, one for each row of author"
    assert books.evidence["orm"] == "sqlalchemy"
    assert books.evidence["boundary"] == "transaction"
    assert books.evidence["direction"] == "to-many"
    assert books.calls == AUTHORS


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_to_one(port: int, found: Callable[[], list[Finding]], driver: str) -> None:
    with orm.Session(engine(port, driver)) as session:
        titles = [
            (book.title, book.author.name) for book in session.scalars(sa.select(Book).order_by(Book.id))
        ]
    assert len(titles) == 3 * AUTHORS
    findings = found()
    assert summary(findings) == {("n_plus_one_read", "high", "author", "book")}
    assert findings[0].evidence["direction"] == "to-one"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_sqlalchemy_selectinload_is_silent(
    port: int, found: Callable[[], list[Finding]], driver: str
) -> None:
    """1,500 keys in lists of 500, and a session for each of a few requests."""
    with orm.Session(engine(port, driver)) as session:
        statement = sa.select(Author).options(orm.selectinload(Author.books).selectinload(Book.reviews))
        for _ in range(6):
            for author in session.scalars(statement.execution_options(populate_existing=True)):
                assert [len(book.reviews) for book in author.books] == [2, 2, 2]
    assert summary(found()) <= {("duplicate_read", "high", "author", "")}


def test_sqlalchemy_on_asyncpg(port: int, found: Callable[[], list[Finding]]) -> None:
    async def work() -> None:
        engine = create_async_engine(url(port, "asyncpg"), poolclass=sa.NullPool)
        async with AsyncSession(engine) as session:
            for author in (await session.scalars(sa.select(Author).order_by(Author.name))).all():
                books = (await session.scalars(sa.select(Book).where(Book.author_id == author.id))).all()
                assert len(books) == 3
        await engine.dispose()

    asyncio.run(work())
    findings = found()
    assert summary(findings) == {("n_plus_one_read", "high", "book", "author")}
    assert len(findings[0].sample_calls) == AUTHORS
    assert all(len(str(call[0])) == 36 for call in findings[0].sample_calls)


def test_raw_asyncpg_binary_values(port: int, found: Callable[[], list[Finding]]) -> None:
    """Integers and UUIDs in binary on both sides; outside of any transaction."""

    async def work() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/library?sslmode=disable")
        for author in await connection.fetch("SELECT id FROM author ORDER BY name"):
            books = await connection.fetch("SELECT id, title FROM book WHERE author_id = $1", author["id"])
            for book in books:
                await connection.fetchval("SELECT count(*) FROM review WHERE book_id = $1", book["id"])
        await connection.close()

    asyncio.run(work())
    assert summary(found()) == {
        ("n_plus_one_read", "high", "book", "author"),
        ("count_or_exists_per_row", "high", "review", "book"),
    }


def test_asyncpg_fetchrow_alone(port: int, found: Callable[[], list[Finding]]) -> None:
    """It takes one row and leaves the portal: no CommandComplete comes."""

    async def work() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/library?sslmode=disable")
        for book in await connection.fetch("SELECT id FROM book ORDER BY title"):
            await connection.fetchrow("SELECT avg(stars) FROM review WHERE book_id = $1", book["id"])
        await connection.close()

    asyncio.run(work())
    assert summary(found()) == {("count_or_exists_per_row", "high", "review", "book")}


def test_psycopg_binary_results_and_text_results(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port), autocommit=True) as connection:
        rows = connection.execute("SELECT id FROM book WHERE pages = 101 ORDER BY id", binary=True).fetchall()
        for (book,) in rows:
            connection.execute(
                "SELECT stars FROM review WHERE book_id = %s ORDER BY stars DESC LIMIT 1", [book]
            ).fetchone()
    assert summary(found()) == {("top_k_per_row", "high", "review", "book")}


def test_simple_protocol_literals(port: int, found: Callable[[], list[Finding]]) -> None:
    with closing(psycopg2.connect(conninfo(port))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT id, name FROM author ORDER BY name")
        for author, _name in cursor.fetchall():
            cursor.execute("SELECT 1 FROM book WHERE author_id = %s AND pages > 5 LIMIT 1", [author])
            assert cursor.fetchone()
    assert summary(found()) == {("count_or_exists_per_row", "high", "book", "author")}


def test_the_same_read_in_one_transaction(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port)) as connection:
        for _ in range(5):
            connection.execute("SELECT name FROM author ORDER BY name LIMIT 3").fetchall()
    assert summary(found()) == {("duplicate_read", "high", "author", "")}


def test_inserts_row_by_row(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port)) as connection:
        for stars in range(15):
            connection.execute("INSERT INTO review (book_id, stars) VALUES (%s, %s)", [1 + stars, 5])
        connection.rollback()
    assert summary(found()) == {("n_plus_one_write", "medium", "review", "")}


def test_executemany_in_a_pipeline_is_silent(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port)) as connection:
        connection.cursor().executemany(
            "INSERT INTO review (book_id, stars) VALUES (%s, %s)", [(1 + n, 5) for n in range(50)]
        )
        connection.rollback()
    assert found() == []


def test_asyncpg_executemany_is_silent(port: int, found: Callable[[], list[Finding]]) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/library?sslmode=disable")
        transaction = connection.transaction()
        await transaction.start()
        rows = [(1 + n, 5) for n in range(50)]
        await connection.executemany("INSERT INTO review (book_id, stars) VALUES ($1, $2)", rows)
        await transaction.rollback()
        await connection.close()

    asyncio.run(work())
    assert found() == []


def test_batches_by_any_are_silent(port: int, found: Callable[[], list[Finding]]) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/library?sslmode=disable")
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM author ORDER BY name")]
        for at in range(0, len(ids), 4):
            await connection.fetch("SELECT * FROM book WHERE author_id = ANY($1)", ids[at : at + 4])
        await connection.close()

    asyncio.run(work())
    assert found() == []


def test_pages_of_both_kinds_are_silent(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port)) as connection:
        for page in range(10):
            connection.execute("SELECT * FROM book ORDER BY id LIMIT 5 OFFSET %s", [page * 5])
        last = 0
        for _ in range(10):
            rows = connection.execute(
                "SELECT id FROM book WHERE id > %s ORDER BY id LIMIT 5", [last]
            ).fetchall()
            last = rows[-1][0]
    assert found() == []


def test_queue_workers_are_silent(port: int, found: Callable[[], list[Finding]]) -> None:
    with psycopg.connect(conninfo(port)) as connection:
        for book in range(12):
            connection.execute(
                "SELECT id FROM review WHERE book_id = %s LIMIT 1 FOR UPDATE SKIP LOCKED", [book]
            )
    assert found() == []


def test_one_lookup_a_request_on_a_busy_connection_is_no_loop(
    port: int, database: str, found: Callable[[], list[Finding]]
) -> None:
    """A listing, then requests that open one book each, in no order, back to back on one connection."""
    with psycopg.connect(conninfo(port), autocommit=True) as connection:
        books = [row[0] for row in connection.execute("SELECT id FROM book ORDER BY id")]
        for book in random.Random(1).sample(books, 60):
            connection.execute("SELECT title FROM book WHERE id = %s", [book])
            if book % 3:
                connection.execute("SELECT name FROM author LIMIT 1")
    assert summary(found()) == set()


DJANGO = """
import sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "library", "USER": "postgres",
        "HOST": "127.0.0.1", "PORT": sys.argv[1],
    }},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
from django.db import models

class Author(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    class Meta:
        app_label, db_table = "library", "author"

class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    title = models.TextField()
    pages = models.IntegerField()
    class Meta:
        app_label, db_table = "library", "book"

class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE)
    stars = models.IntegerField()
    class Meta:
        app_label, db_table = "library", "review"

exec(sys.argv[2])
"""


def django(port: int, work: str) -> None:
    """Run lines of Django code in a process of its own: its settings are for good."""
    command = [sys.executable, "-c", DJANGO, str(port), work]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (
            "for book in Book.objects.order_by('id'): book.author.name",
            {("n_plus_one_with_repeats", "high", "author", "book")},
        ),
        (
            "for author in Author.objects.order_by('name'):\n for book in author.book_set.all(): pass",
            {("n_plus_one_read", "high", "book", "author")},
        ),
        (
            "for book in Book.objects.order_by('id'): book.review_set.count()",
            {("count_or_exists_per_row", "high", "review", "book")},
        ),
        (
            "for book in Book.objects.order_by('id'): book.review_set.filter(stars__gt=1).exists()",
            {("count_or_exists_per_row", "high", "review", "book")},
        ),
        (
            "for book in Book.objects.order_by('id'): book.review_set.order_by('-stars').first()",
            {("top_k_per_row", "high", "review", "book")},
        ),
        ("for book in Book.objects.select_related('author'): book.author.name", set()),
        (
            "for author in Author.objects.prefetch_related('book_set__review_set'):\n"
            " for book in author.book_set.all(): list(book.review_set.all())",
            set(),
        ),
        (
            "for start in range(0, 100, 10): list(Book.objects.order_by('id')[start:start + 10])",
            set(),
        ),
    ],
    ids=["to-one", "to-many", "count", "exists", "first", "select_related", "prefetch_related", "slices"],
)
def test_django_on_psycopg(
    port: int, found: Callable[[], list[Finding]], work: str, expected: set[tuple[str, str, str, str]]
) -> None:
    django(port, work)
    findings = found()
    assert summary(findings) == expected
    assert {f.evidence["orm"] for f in findings if f.confidence != "low"} <= {"django"}
