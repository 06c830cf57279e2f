"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from tui.cli.errors import CommandError

Store = Annotated[
    str | None,
    Parameter(
        name="--store",
        env_var="PGCOACH_STORE",
        help="The store file that `pgcoach up` writes. Default: pgcoach.db in the user's state directory.",
    ),
]
Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print JSON instead of a table: one object a row.")
]
Target = Annotated[
    str | None,
    Parameter(
        name="--target",
        env_var="PGCOACH_TARGET",
        help="Database to prove advice on: URL or libpq conninfo. Default: the upstream that the proxy noted "
        "in the store, then DATABASE_URL, then the PG* variables.",
    ),
]

AT_LEAST_ONE = Number(gte=1)
"""Validator of the options that say how many."""


def store_location(given: str | None) -> str:
    """The location as given, or the default one."""
    from tui.location import default_store

    return given or default_store()


def existing_store(given: str | None) -> str:
    """The location of a store that exists.

    Raises CommandError: there is none, with what to do about it.
    """
    from pathlib import Path

    from tui.location import display

    location = store_location(given)
    if not Path(location).is_file():
        raise CommandError(
            f"no store at {display(location)}: start `pgcoach up --upstream URL` first and send it some "
            "traffic, or name another file with --store"
        )
    return location
