"""Where a PostgreSQL server is and how to log in, read the way libpq reads it.

Three notations end up in one ``Dsn``: URLs, keyword/value strings, and ``PG*`` environment variables with
the files that they name (the service file and the password file). Precedence is libpq's
(``conninfo_add_defaults`` in fe-connect.c): what the text says, then the service, then the environment,
then the default.

One deviation, because several builds of libpq disagree: without any host libpq looks into the one socket
directory compiled into it; here the usual two are tried and then ``localhost``.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.conninfo import ENVIRONMENT, DsnError, parse_options, quoted
from proxy.pgfiles import home_directory, password_from_file, read_service

__all__ = ["Address", "Dsn", "DsnError", "parse_dsn"]

DEFAULT_PORT = 5432
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SOCKET_DIRECTORIES = ("/var/run/postgresql", "/tmp")  # noqa: S108 (Debian's build, PostgreSQL's default)

_OWN = frozenset(
    {
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "service",
        "servicefile",
        "sslmode",
        "options",
        "application_name",
        "fallback_application_name",
        "connect_timeout",
        "authtype",
        "tty",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """One server of the list: a host name or address, or the directory of a unix socket."""

    host: str
    port: int
    hostaddr: str = ""
    """Numeric address to dial instead of resolving ``host``; empty where none was given."""

    @property
    def is_unix(self) -> bool:
        """Absolute paths are socket directories, ``@`` the abstract namespace, as in libpq."""
        return not self.hostaddr and self.host.startswith(("/", "@"))

    @property
    def socket_path(self) -> str:
        return f"{self.host}/.s.PGSQL.{self.port}"

    def __str__(self) -> str:
        if self.is_unix:
            return self.socket_path
        host = self.host or self.hostaddr
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed connection string with every default applied. Not empty: ``addresses``, user, database."""

    addresses: tuple[Address, ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    sslmode: str = "prefer"
    options: str = ""
    application_name: str = ""
    connect_timeout: int | None = None
    """Seconds for each address; None where nothing was said."""
    extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Other libpq options, verbatim: certificates, keepalives and so on."""

    @property
    def host(self) -> str:
        return self.addresses[0].host or self.addresses[0].hostaddr

    @property
    def port(self) -> int:
        return self.addresses[0].port

    def conninfo(self) -> str:
        """Keyword/value string with everything, the password included: for psycopg, not for people."""
        items: dict[str, str] = {}
        if any(a.host for a in self.addresses):
            items["host"] = ",".join(a.host for a in self.addresses)
        if any(a.hostaddr for a in self.addresses):
            items["hostaddr"] = ",".join(a.hostaddr for a in self.addresses)
        items["port"] = ",".join(str(a.port) for a in self.addresses)
        items["user"] = self.user
        items["dbname"] = self.database
        if self.password is not None:
            items["password"] = self.password
        items["sslmode"] = self.sslmode
        if self.options:
            items["options"] = self.options
        if self.application_name:
            items["application_name"] = self.application_name
        if self.connect_timeout is not None:
            items["connect_timeout"] = str(self.connect_timeout)
        items.update(self.extra)
        return " ".join(f"{key}={quoted(value)}" for key, value in items.items())

    def connect_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of ``asyncpg.connect``. Certificates are libpq's matter and stay behind."""
        kwargs: dict[str, Any] = {
            "host": [a.hostaddr or a.host for a in self.addresses],
            "port": [a.port for a in self.addresses],
            "user": self.user,
            "database": self.database,
            "ssl": "disable" if self.addresses[0].is_unix else self.sslmode,
        }
        if self.password is not None:
            kwargs["password"] = self.password
        settings = {}
        if self.application_name:
            settings["application_name"] = self.application_name
        if self.options:
            settings["options"] = self.options
        if settings:
            kwargs["server_settings"] = settings
        if self.connect_timeout is not None:
            kwargs["timeout"] = float(self.connect_timeout)
        return kwargs

    def without_password(self) -> Dsn:
        """The same without any secret: fit for a file. A password is then looked up again by libpq."""
        secrets = {"sslpassword", "scram_client_key", "scram_server_key"}
        return replace(
            self, password=None, extra=tuple((key, value) for key, value in self.extra if key not in secrets)
        )

    def with_database(self, database: str) -> Dsn:
        return replace(self, database=database)

    def display(self) -> str:
        """A URL without password, for people and logs."""
        return self.url(self.addresses)

    def url(self, addresses: tuple[Address, ...] | None = None) -> str:
        """A URL without password to the given addresses instead of its own: what an application uses."""
        addresses = self.addresses if addresses is None else addresses
        user = quote(self.user, safe="")
        database = quote(self.database, safe="")
        if any(a.is_unix for a in addresses):
            hosts = quote(",".join(a.host or a.hostaddr for a in addresses), safe="/,.@")
            ports = ",".join(str(a.port) for a in addresses)
            return f"postgresql://{user}@/{database}?host={hosts}&port={ports}"
        return f"postgresql://{user}@{','.join(str(a) for a in addresses)}/{database}"


def parse_dsn(text: str | None, environ: Mapping[str, str] | None = None) -> Dsn:
    """Read a URL, a keyword/value string or, for None and '', the environment alone.

    A bare word without ``=`` is a database name, as for psql. ``environ`` defaults to the process's own.

    Raises:
        DsnError: syntax, unknown option, impossible port or sslmode, unknown service.
    """
    environ = os.environ if environ is None else environ
    given = parse_options(text or "")
    options = dict(given)
    service = options.get("service") or environ.get("PGSERVICE", "")
    if service:
        for key, value in read_service(service, options.get("servicefile", ""), environ).items():
            options.setdefault(key, value)
    for key, variable in ENVIRONMENT.items():
        # An option given as empty stays unset for libpq, and the variable then does not apply either.
        if key not in options and environ.get(variable):
            options[key] = environ[variable]
    return _build(options, environ)


def _build(options: dict[str, str], environ: Mapping[str, str]) -> Dsn:
    addresses = _addresses(options)
    user = options.get("user") or _system_user()
    database = options.get("dbname") or user
    # Whoever names the system's authorities wants them to be asked (sslrootcert=system in libpq's manual).
    default_mode = "verify-full" if options.get("sslrootcert") == "system" else "prefer"
    sslmode = options.get("sslmode") or default_mode
    if sslmode not in SSL_MODES:
        raise DsnError(f"sslmode {sslmode!r} is none of {', '.join(SSL_MODES)}")
    password = options.get("password") or None
    if password is None:
        passfile = options.get("passfile") or str(home_directory(environ) / ".pgpass")
        first = addresses[0]
        # The default socket directory is called localhost in the file.
        host = "localhost" if first.host in SOCKET_DIRECTORIES else first.host or first.hostaddr
        password = password_from_file(Path(passfile), host, first.port, database, user)
    return Dsn(
        addresses=addresses,
        user=user,
        database=database,
        password=password,
        sslmode=sslmode,
        options=options.get("options", ""),
        application_name=options.get("application_name") or options.get("fallback_application_name", ""),
        connect_timeout=_timeout(options.get("connect_timeout", "")),
        extra=tuple((key, value) for key, value in options.items() if key not in _OWN and value),
    )


def _addresses(options: dict[str, str]) -> tuple[Address, ...]:
    numeric = options.get("hostaddr", "").split(",") if options.get("hostaddr") else []
    hosts = options["host"].split(",") if options.get("host") else [""] * (len(numeric) or 1)
    if numeric and len(numeric) != len(hosts):
        raise DsnError(f"{len(hosts)} hosts but {len(numeric)} hostaddr values")
    ports = options["port"].split(",") if options.get("port") else [""]
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise DsnError(f"{len(ports)} ports for {len(hosts)} hosts: give one for all or one each")
    addresses = []
    for i, (host, port) in enumerate(zip(hosts, ports, strict=True)):
        number = _port(port, host)
        address = numeric[i].strip() if numeric else ""
        host = host.strip()
        addresses.append(Address(host if host or address else _default_host(number), number, address))
    return tuple(addresses)


def _port(text: str, host: str) -> int:
    text = text.strip()
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 65535:
        # Not repeated: in postgresql://u:p/w@h it is the beginning of a password (with a host named u).
        raise DsnError(f"the port of host {host!r} is not a number from 1 to 65535")
    return int(text)


def _timeout(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        seconds = int(text)
    except ValueError:
        raise DsnError(f"connect_timeout {text!r} is not a number of seconds") from None
    return seconds if seconds > 0 else None


def _default_host(port: int) -> str:
    for directory in SOCKET_DIRECTORIES:
        if os.path.exists(f"{directory}/.s.PGSQL.{port}"):
            return directory
    return "localhost"


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise DsnError(
            f"the user id {os.geteuid()} has no name on this system: say user=… in the connection string"
        ) from None
