"""How fresh the data is, what capture lost, and what to say where there is nothing to show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from proxy.dsn import DsnError, parse_dsn
from tui.format import age, count, counted
from tui.location import display

STALE_SECONDS = 15.0
"""The recorder writes each second; silence for longer than a fine bucket and a half means it stopped."""


class Source(Enum):
    NO_STORE = "no store"
    NO_TRAFFIC = "no traffic"
    LIVE = "live"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Health:
    """What capture could not see."""

    lost: int
    opaque: int
    details: tuple[str, ...]
    """One line a counter, the greatest first."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What to say about it, in short; a sign in front of what is wrong."""
        said = []
        if self.lost:
            said.append(f"⚠ lost {counted(self.lost, 'event')}")
        if self.opaque:
            said.append(f"⚠ relayed unseen {count(self.opaque)}")
        return tuple(said) or ("✓ nothing lost or unseen",)


def health(counters: Mapping[str, int]) -> Health:
    """Gathers the counters ``lost.*`` and ``opaque.*``; the others are no cause for worry."""
    lost = {name: value for name, value in counters.items() if _is(name, "lost") and value}
    opaque = {name: value for name, value in counters.items() if _is(name, "opaque") and value}
    ranked = sorted({**lost, **opaque}.items(), key=lambda item: (-item[1], item[0]))
    return Health(
        lost=sum(lost.values()),
        opaque=sum(opaque.values()),
        details=tuple(f"{count(value)} {name}" for name, value in ranked),
    )


def _is(name: str, group: str) -> bool:
    return name == group or name.startswith((group + ".", group + "_"))


@dataclass(frozen=True, slots=True)
class Status:
    """Where the data comes from and how old it is."""

    source: Source
    location: str
    """Path of the store."""
    listen: str = ""
    """The address that applications should use, as the proxy noted it; empty when it never ran."""
    upstream: str = ""
    """The PostgreSQL behind it, without a password."""
    age: float | None = None
    """Seconds since the recorder wrote; None when it never did."""
    health: Health = Health(0, 0, ())

    @property
    def line(self) -> str:
        """For the navigation bar: a sign and a word, so that colour is not needed."""
        if self.source is Source.NO_STORE:
            return "○ no store"
        if self.source is Source.NO_TRAFFIC:
            return "○ no traffic yet"
        if self.source is Source.STALE:
            return f"⚠ {age(self.age or 0.0)} old"
        return "● live"

    @property
    def warning(self) -> bool:
        return self.source in (Source.NO_STORE, Source.STALE)


def missing(location: str) -> Status:
    """The status while there is no file."""
    return Status(Source.NO_STORE, location)


def judge(
    location: str,
    *,
    traffic: bool,
    last_write: float | None,
    listen: str,
    upstream: str,
    counters: Mapping[str, int],
    now: float,
) -> Status:
    """The status for what a read of the store found. Instants are epoch seconds."""
    old = None if last_write is None else max(0.0, now - last_write)
    if not traffic:
        source = Source.NO_TRAFFIC
    elif old is None or old > STALE_SECONDS:
        source = Source.STALE
    else:
        source = Source.LIVE
    return Status(source, location, listen, upstream, old, health(counters))


def server_name(upstream: str) -> str:
    """The upstream for people: a URL, whatever notation the proxy noted it in. Never a password."""
    try:
        return parse_dsn(upstream, {}).display() if upstream else ""
    except DsnError:
        return ""


def next_step(status: Status) -> str | None:
    """What a person should do when nothing was recorded; None when something was."""
    if status.source is Source.NO_STORE:
        location = display(status.location)
        return (
            f"There is no store at {location} yet.\n\n"
            "1. Start the proxy in another terminal:\n\n"
            f"     pgcoach up --upstream postgresql://USER@HOST:5432/DATABASE \\\n"
            f"         --store {location}\n\n"
            "2. Point the application at it instead of at PostgreSQL:\n\n"
            "     postgresql://USER@127.0.0.1:6432/DATABASE\n\n"
            "This screen fills as soon as statements arrive. To see it all on a database of its own: "
            "pgcoach demo"
        )
    if status.source is Source.NO_TRAFFIC:
        where = status.listen or "the address that `pgcoach up` printed"
        upstream = f" instead of at {status.upstream}" if status.upstream else ""
        silent = (
            "\n\nThe proxy has not written for "
            f"{age(status.age)}: is `pgcoach up` still running with this --store?"
            if status.age is not None and status.age > STALE_SECONDS
            else ""
        )
        unseen = (
            f"\n\n⚠ Traffic was relayed that could not be recorded: {', '.join(status.health.details)}."
            if status.health.details
            else ""
        )
        return (
            "The store is there, but no statement has come through the proxy yet.\n\n"
            f"Point the application at pgcoach{upstream}:\n\n     {where}\n\n"
            f"User, password and database stay the same.{silent}{unseen}"
        )
    return None
