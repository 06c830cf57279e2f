"""What applications do with SQLAlchemy's ORM on two drivers: lazy and eager loading, savepoints."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from tests.conformance.place import Place


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def work(place: Place) -> list[Any]:
    """Do it on psycopg and psycopg2 and return everything that came back."""
    seen: list[Any] = []
    for driver in ("psycopg", "psycopg2"):
        seen += _with(place.url(f"postgresql+{driver}"))
    return seen


def _with(url: str) -> list[Any]:
    seen: list[Any] = []
    engine = create_engine(url)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        _fill(session)
        session.commit()
        # Lazy: one statement an author.
        authors = session.scalars(select(Author).order_by(Author.id)).all()
        seen.append([(author.name, [book.title for book in author.books]) for author in authors])
        session.expire_all()
        eager = select(Author).options(selectinload(Author.books)).order_by(Author.id)
        seen.append([(author.name, len(author.books)) for author in session.scalars(eager)])
        try:
            with session.begin_nested():
                session.add(Book(title="1.1", author_id=1))
        except IntegrityError as error:
            seen.append(type(error.orig).__name__)
        session.execute(select(func.count()).select_from(Book)).scalar_one()
        session.delete(authors[0].books[0])
        session.commit()
        streamed = session.scalars(select(Book.title).order_by(Book.id).execution_options(yield_per=7))
        seen.append(list(streamed))
    engine.dispose()
    return seen


def _fill(session: Session) -> None:
    for number in range(1, 13):
        books = [Book(title=f"{number}.{count}") for count in range(number % 4 + 1)]
        session.add(Author(id=number, name=f"Author № {number}", books=books))
