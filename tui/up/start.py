"""What is checked and made before anything runs, so that what cannot work is one line and no process."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from proxy.dsn import Dsn, parse_dsn
from proxy.relay.origin import parse_networks
from tui.location import default_store
from tui.up.encryption import towards_clients, towards_postgresql
from tui.up.errors import UpError
from tui.up.listening import bind, leads_to, parse_listen
from tui.up.logs import Lines, open_standard_descriptors
from tui.up.options import UpOptions
from tui.up.supervisor import Supervisor


def supervise(options: UpOptions) -> int:
    """Run until stopped; see ``tui.up.run``."""
    open_standard_descriptors()
    dsn = parse_dsn(options.upstream)
    _check_choice_of_server(dsn)
    try:
        parse_networks(options.proxy_protocol_from)
    except ValueError as error:
        raise UpError(f"--proxy-protocol-from: {error}; write a network as 10.0.0.0/8") from None
    if options.workers < 1:
        raise UpError(f"--workers {options.workers}: at least one is needed")
    if options.max_connections is not None and options.max_connections < 1:
        raise UpError(f"--max-connections {options.max_connections}: at least one is needed")
    try:
        store = Path(options.store or default_store()).expanduser().absolute()
    except RuntimeError:
        raise UpError(f"--store {options.store}: the system knows no such user") from None
    listen = parse_listen(options.listen)
    tls = towards_clients(options, listen)
    upstream_tls = towards_postgresql(options, dsn, tls)
    listening = bind(listen)
    lines = Lines()
    try:
        if any(leads_to(address, listening) for address in dsn.addresses):
            raise UpError(
                f"the upstream {dsn.display()} is the address to listen on: name PostgreSQL "
                "itself with --upstream"
            )
        with _private_directory() as private:
            return asyncio.run(
                Supervisor(
                    options, dsn, listening, str(store), Path(private), lines.say, upstream_tls, tls
                ).run()
            )
    finally:
        listening.close()
        lines.settle()


def _check_choice_of_server(dsn: Dsn) -> None:
    """Raises UpError: servers are to be chosen in a way that a relay cannot."""
    wanted = dict(dsn.extra)
    attributes = wanted.get("target_session_attrs", "any")
    if attributes != "any":
        raise UpError(
            f"target_session_attrs={attributes}: only a logged-in session sees what a server allows, and "
            "through pgcoach clients log in themselves. Name just the servers that may be used, or give "
            "target_session_attrs to the clients and run one pgcoach for each server"
        )
    balance = wanted.get("load_balance_hosts", "disable")
    if balance != "disable":
        raise UpError(
            f"load_balance_hosts={balance}: pgcoach tries the servers in the order in which they are named; "
            "give load_balance_hosts to the clients and run one pgcoach for each server"
        )


def _private_directory() -> tempfile.TemporaryDirectory[str]:
    """Of mode 0700, for the recorder's socket. Raises UpError: there is no place for one."""
    try:
        return tempfile.TemporaryDirectory(prefix="pgcoach-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UpError(f"no temporary directory can be made ({error}); set TMPDIR to one") from None
