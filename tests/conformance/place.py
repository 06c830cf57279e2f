"""Where a driver is to do its work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A database and the way to it: straight to the server, or through the proxy."""

    host: str
    """An address, or the directory of a unix socket."""
    port: int
    database: str
    user: str = "postgres"

    @property
    def dsn(self) -> str:
        return f"host={self.host} port={self.port} user={self.user} dbname={self.database}"

    def url(self, scheme: str) -> str:
        """For SQLAlchemy, which takes host and port from the query in every of its dialects."""
        return f"{scheme}://{self.user}@/{self.database}?host={self.host}&port={self.port}"
