"""The notations of a connection string: URL and keyword/value, text to options and nothing else.

Follows ``conninfo_uri_parse_options`` and ``conninfo_parse`` of PostgreSQL's fe-connect.c, except that an
unknown keyword is found before its value is read. Messages never repeat what may be a password.
"""

from __future__ import annotations

ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "client_encoding": "PGCLIENTENCODING",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "sslcertmode": "PGSSLCERTMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "gssdelegation": "PGGSSDELEGATION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
}
# Options without a variable of their own; together with the above libpq's PQconninfoOptions (18).
KEYWORDS = frozenset(ENVIRONMENT) | {
    "authtype",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslcompression",
    "sslpassword",
    "sslkeylogfile",
    "replication",
    "scram_client_key",
    "scram_server_key",
    "servicefile",
    "tty",
}


class DsnError(ValueError):
    """A connection string that cannot be used. The message never contains a password."""


def parse_options(text: str) -> dict[str, str]:
    text = text.strip()
    if not text:
        return {}
    scheme, separator, rest = text.partition("://")
    if separator and scheme.replace("+", "").replace("_", "").isalnum():
        if scheme in ("postgres", "postgresql"):
            return _parse_url(rest)
        if scheme.partition("+")[0] in ("postgres", "postgresql"):
            raise DsnError(f"{scheme}:// is SQLAlchemy's notation: write postgresql:// instead")
        raise DsnError(f"{scheme}:// is no PostgreSQL URL: it starts with postgresql://")
    if "=" not in text:
        return {"dbname": text}
    return _parse_keywords(text)


def _parse_url(rest: str) -> dict[str, str]:
    """What follows ``postgresql://``: ``[user[:password]@][host[:port],…][/database][?option=value&…]``."""
    rest, _, query = rest.partition("?")
    options: dict[str, str] = {}
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        login, _, authority = authority.rpartition("@")
        user, colon, password = login.partition(":")
        if user:
            options["user"] = _percent_decoded(user)
        if colon:
            options["password"] = _percent_decoded(password, secret=True)
    if slash and path:
        options["dbname"] = _percent_decoded(path)
    if authority:
        hosts, ports = [], []
        for part in authority.split(","):
            host, port = _split_host(part)
            hosts.append(_percent_decoded(host))
            ports.append(_percent_decoded(port))
        if any(hosts):
            options["host"] = ",".join(hosts)
        if any(ports):
            options["port"] = ",".join(ports)
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise DsnError(f"URL parameter {key!r} must be written name=value (write a second = as %3D)")
        key = _percent_decoded(key)
        value = _percent_decoded(value, secret=key == "password")
        if key == "ssl" and value == "true":  # JDBC's spelling, which libpq takes too
            key, value = "sslmode", "require"
        options[_known(key)] = value
    return options


def _split_host(part: str) -> tuple[str, str]:
    if part.startswith("["):
        host, bracket, tail = part[1:].partition("]")
        if not bracket:
            raise DsnError(f"missing ] after the IPv6 address in {part!r}")
        if not host:
            raise DsnError("the IPv6 address between [ and ] is empty")
        if tail and not tail.startswith(":"):
            raise DsnError(f"after the IPv6 address only :port may follow, not {tail!r}")
        return host, tail[1:]
    host, _, port = part.partition(":")
    if ":" in port:
        raise DsnError(f"too many colons in {part!r}: write an IPv6 address as [{part}]")
    return host, port


def _percent_decoded(text: str, secret: bool = False) -> str:
    """``urllib`` lets malformed sequences pass; libpq does not, and a plus sign is a plus sign."""
    if "%" not in text:
        return text
    out = bytearray()
    raw = text.encode()
    shown = "the password" if secret else repr(text)
    i = 0
    while i < len(raw):
        if raw[i] != 0x25:
            out.append(raw[i])
            i += 1
            continue
        try:
            value = int(raw[i + 1 : i + 3].decode("ascii"), 16) if len(raw) >= i + 3 else -1
        except ValueError:
            value = -1
        if value <= 0:
            raise DsnError(f"invalid percent sequence in {shown}: write a percent sign itself as %25")
        out.append(value)
        i += 3
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise DsnError(f"percent sequences in {shown} are not UTF-8") from None


def _parse_keywords(text: str) -> dict[str, str]:
    """``key = value`` pairs; values may stand in single quotes, backslash escapes (conninfo_parse)."""
    options: dict[str, str] = {}
    i, n = 0, len(text)
    while True:
        while i < n and text[i].isspace():
            i += 1
        if i == n:
            return options
        start = i
        while i < n and text[i] != "=" and not text[i].isspace():
            i += 1
        key = text[start:i]
        while i < n and text[i].isspace():
            i += 1
        if i == n or text[i] != "=":
            # The word may be the rest of a password with a blank in it: not repeated here.
            after = f" after the value of {next(reversed(options))!r}" if options else ""
            raise DsnError(f"a word without ={after} in the connection string: quote values with blanks")
        _known(key)
        i += 1
        while i < n and text[i].isspace():
            i += 1
        value, i = _keyword_value(text, i, key)
        options[key] = value


def _keyword_value(text: str, i: int, key: str) -> tuple[str, int]:
    n = len(text)
    quoted = i < n and text[i] == "'"
    i += quoted
    value: list[str] = []
    while i < n:
        char = text[i]
        if char == "\\":
            i += 1
            if i < n:
                value.append(text[i])
        elif quoted and char == "'":
            return "".join(value), i + 1
        elif not quoted and char.isspace():
            break
        else:
            value.append(char)
        i += 1
    if quoted:
        raise DsnError(f"the quoted value of {key!r} has no closing quote")
    return "".join(value), i


def _known(key: str) -> str:
    if key not in KEYWORDS:
        raise DsnError(f"unknown connection option {key!r}")
    return key


def quoted(value: str) -> str:
    if value and not any(c.isspace() or c in "'\\" for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
