"""The settings of a scratch server: quick to start, nothing durable, nothing reachable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

DEFAULTS: Mapping[str, str] = {
    "cluster_name": "pgcoach scratch",
    # Nobody but the owner: no TCP at all, the socket in a directory of mode 0700.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Thrown away, so nothing needs to survive a crash.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "100",
    # Schemas with thousands of tables are loaded in one transaction.
    "max_locks_per_transaction": "256",
    "huge_pages": "off",
}


def configuration_text(socket_directory: str, port: int, settings: Mapping[str, str]) -> str:
    """The end of postgresql.conf; later lines win, so ``settings`` override the defaults."""
    wanted = {
        **DEFAULTS,
        **settings,
        "unix_socket_directories": socket_directory,
        "port": str(port),
    }
    # A server that must send WAL (a test of replication, say) has to write enough of it.
    if wanted["max_wal_senders"] != "0" and "wal_level" not in settings:
        wanted["wal_level"] = "replica"
    return "".join(f"{name} = {quoted(value)}\n" for name, value in wanted.items())


def access_text(lines: Sequence[str]) -> str:
    """pg_hba.conf: the caller's lines first, then trust for whoever gets through the directory."""
    return "".join(f"{line}\n" for line in (*lines, "local all all trust", "local replication all trust"))


def quoted(value: str) -> str:
    """A value for postgresql.conf, whose quoting doubles quotes and reads backslashes (guc-file.l)."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"
