"""The notations of a connection string: URL and keyword/value, text to options and nothing else.

Follows ``conninfo_uri_parse_options`` and ``conninfo_parse`` of PostgreSQL's fe-connect.c, except that an
unknown keyword is found before its value is read.

Messages never repeat what may be a password, and a password that was not escaped turns up in odd places:
``u:p/w@h`` has the port ``p``, ``password=p w=x`` an option ``w``. So errors name the place and not the text.
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
_SECRETS = frozenset({"password", "sslpassword", "scram_client_key", "scram_server_key"})
_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPES = "in a user name or password write / as %2F and @ as %40"


class DsnError(ValueError):
    """A connection string that cannot be used. The message never contains a password."""


def parse_options(text: str) -> dict[str, str]:
    """The options that a connection string names, by libpq's keywords; ``{}`` for an empty one.

    Raises:
        DsnError: syntax, or an unknown option.
    """
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
        if "@" in text:
            raise DsnError("an @ in what should be a database name: a URL starts with postgresql://")
        return {"dbname": text}
    return _parse_keywords(text)


def _parse_url(rest: str) -> dict[str, str]:
    """What follows ``postgresql://``: ``[user[:password]@][host[:port],…][/database][?option=value&…]``."""
    options: dict[str, str] = {}
    login, at, after = rest.partition("@")
    if at and "/" not in login:
        # Whatever stands before the first @ and holds no slash; a password may even hold a question mark.
        rest = after
        user, colon, password = login.partition(":")
        if user:
            options["user"] = _percent_decoded(user, "the user name")
        if colon and password:
            options["password"] = _percent_decoded(password, "the password")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise DsnError(f"a second @ before the host: {_ESCAPES}")
    if path:
        options["dbname"] = _percent_decoded(path, "the database name")
    if authority:
        hosts, ports = [], []
        for part in authority.split(","):
            host, port = _split_host(part)
            hosts.append(_percent_decoded(host, "a host"))
            ports.append(_percent_decoded(port, "a port"))
        if any(hosts):
            options["host"] = ",".join(hosts)
        if any(ports):
            options["port"] = ",".join(ports)
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        if not equals or "=" in value:
            shown = f" {key!r}" if key in KEYWORDS else ""
            raise DsnError(f"URL parameter{shown} must be written name=value (write a second = as %3D)")
        key = _percent_decoded(key, "the name of a URL parameter")
        if key == "ssl" and value == "true":  # JDBC's spelling, which libpq takes too
            key, value = "sslmode", "require"
        if key not in KEYWORDS and "@" in query:
            raise DsnError(f"unknown connection option in the URL, or part of a password: {_ESCAPES}")
        options[_known(key)] = _percent_decoded(value, f"the value of {key!r}")
    return options


def _split_host(part: str) -> tuple[str, str]:
    if part.startswith("["):
        host, bracket, tail = part[1:].partition("]")
        if not bracket:
            raise DsnError("missing ] after an IPv6 address")
        if not host:
            raise DsnError("the IPv6 address between [ and ] is empty")
        if tail and not tail.startswith(":"):
            raise DsnError("after ] of an IPv6 address only :port may follow")
        return host, tail[1:]
    host, _, port = part.partition(":")
    if ":" in port:
        raise DsnError("too many colons in a host: write an IPv6 address in brackets, as [::1]")
    return host, port


def _percent_decoded(text: str, place: str) -> str:
    """``urllib`` lets malformed sequences pass; libpq does not, and a plus sign is a plus sign."""
    if "%" not in text:
        return text
    out = bytearray()
    raw = text.encode()
    i = 0
    while i < len(raw):
        if raw[i] != 0x25:
            out.append(raw[i])
            i += 1
            continue
        digits = raw[i + 1 : i + 3]
        # int() alone takes blanks, signs and underscores for parts of a number.
        value = int(digits, 16) if len(digits) == 2 and all(c in _HEX for c in digits) else 0
        if not value:
            raise DsnError(f"invalid percent sequence in {place}: write a percent sign itself as %25")
        out.append(value)
        i += 3
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise DsnError(f"percent sequences in {place} are not UTF-8") from None


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
        before = next(reversed(options), "")
        after = f" after the value of {before!r}" if before else ""
        if i == n or text[i] != "=":
            raise DsnError(f"a word without ={after} in the connection string: quote values with blanks")
        if key not in KEYWORDS and (before in _SECRETS or not key.replace("_", "").isalpha()):
            raise DsnError(f"an unknown connection option{after}: quote values with blanks")
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
    """A value as it stands behind ``key=`` in a keyword/value string."""
    if value and not any(c.isspace() or c in "'\\" for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
