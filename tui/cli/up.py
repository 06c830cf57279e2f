"""``pgcoach up``: the proxy. Imports nothing that the screens, the parser or the advisor need."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from tui.cli.options import Store, store_location

TLS = Group("Encryption", help="The way to PostgreSQL follows sslmode in --upstream.")


def up(
    *,
    upstream: Annotated[
        str | None,
        Parameter(
            env_var="PGCOACH_UPSTREAM",
            help="The PostgreSQL to relay to: URL or libpq conninfo. Default: the PG* variables.",
        ),
    ] = None,
    listen: Annotated[
        str,
        Parameter(help="HOST:PORT (port 0 takes a free one), [IPv6]:PORT, or the path of a unix socket."),
    ] = "127.0.0.1:6432",
    store: Store = None,
    samples: Annotated[
        Literal["full", "masked", "none"],
        Parameter(help="What is kept of parameter values: all, types and keyed hashes, or nothing."),
    ] = "full",
    workers: Annotated[
        int,
        Parameter(help="Processes that relay; one serves many sessions.", validator=Number(gte=1)),
    ] = 1,
    max_connections: Annotated[
        int | None,
        Parameter(
            help="Sessions at the same time, over all workers. Default: no cap.", validator=Number(gte=1)
        ),
    ] = None,
    drain: Annotated[
        float,
        Parameter(help="Seconds that sessions may go on after the first Ctrl-C.", validator=Number(gte=0)),
    ] = 10.0,
    tls: Annotated[
        Literal["off", "on", "require", "auto"] | None,
        Parameter(
            group=TLS,
            help="Towards clients: declined, offered, demanded, or offered with a self-signed certificate "
            "made for development. Default: on with --tls-cert, else off.",
        ),
    ] = None,
    tls_cert: Annotated[
        str | None, Parameter(group=TLS, help="PEM file: the certificate that clients see.")
    ] = None,
    tls_key: Annotated[
        str | None, Parameter(group=TLS, help="PEM file: its private key, of mode 0600.")
    ] = None,
    tls_client_ca: Annotated[
        str | None, Parameter(group=TLS, help="PEM file: who signs the certificates of clients.")
    ] = None,
    tls_client_cert: Annotated[
        Literal["off", "optional", "require"],
        Parameter(group=TLS, help="Whether clients are asked for a certificate."),
    ] = "off",
    tls_min_version: Annotated[
        Literal["TLSv1.2", "TLSv1.3"], Parameter(group=TLS, help="The oldest TLS that clients may speak.")
    ] = "TLSv1.2",
    tls_ciphers: Annotated[
        str | None, Parameter(group=TLS, help="Ciphers of TLS 1.2, in OpenSSL's notation.")
    ] = None,
    strip_channel_binding: Annotated[
        bool,
        Parameter(
            group=TLS,
            negative="",
            help="Take SCRAM-SHA-256-PLUS out of what a PostgreSQL reached by TLS offers to plaintext "
            "clients, which refuse it.",
        ),
    ] = False,
    proxy_protocol_from: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="Network of load balancers (10.0.0.0/8) whose connections begin with a PROXY header, "
            "version 1 or 2. May be given several times. No other client may send one.",
        ),
    ] = (),
    json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout when ready.")
    ] = False,
) -> int:
    """Relay traffic to PostgreSQL unchanged, and record what ran. Stop with Ctrl-C.

    Point the application at the address that is printed; user, password and database stay the same.
    """
    from tui.up import UpOptions, run

    return run(
        UpOptions(
            upstream=upstream,
            listen=listen,
            store=store_location(store),
            samples=samples,
            workers=workers,
            max_connections=max_connections,
            drain=drain,
            tls=tls,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            tls_client_cert=tls_client_cert,
            tls_min_version=tls_min_version,
            tls_ciphers=tls_ciphers,
            strip_channel_binding=strip_channel_binding,
            proxy_protocol_from=proxy_protocol_from,
            json=json,
        )
    )
