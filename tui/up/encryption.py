"""What ``pgcoach up`` was told about TLS, judged before anything runs."""

from __future__ import annotations

from pathlib import Path

from proxy.dsn import Address, Dsn
from proxy.relay import tls_listen, tls_upstream
from proxy.relay.settings import ListenTLS, UpstreamTLS
from proxy.relay.tls import TLSError
from tui.up.errors import UpError
from tui.up.options import UpOptions


def towards_clients(options: UpOptions, listen: Address) -> ListenTLS | None:
    """What the listener offers; None for nothing. Makes the certificate of ``--tls auto`` if need be.

    Raises:
        UpError: options that contradict each other, or a file that cannot be used.
    """
    mode = options.tls or ("on" if options.tls_cert else "off")
    if mode == "off":
        _refuse_leftovers(options)
        return None
    if listen.is_unix:
        raise UpError(
            "--tls: a unix socket is never encrypted; listen on HOST:PORT, or leave the --tls options"
        )
    certificate, key = _pair(options, mode, listen)
    if options.tls_client_cert != "off" and not options.tls_client_ca:
        raise UpError(f"--tls-client-cert {options.tls_client_cert} needs --tls-client-ca: who signs them")
    if options.tls_client_ca and options.tls_client_cert == "off":
        raise UpError("--tls-client-ca: add --tls-client-cert optional or require")
    tls = ListenTLS(
        certificate=certificate,
        key=key,
        client_ca=_absolute(options.tls_client_ca),
        client_certificates=options.tls_client_cert,
        # Whoever must show a certificate cannot do without TLS.
        required=mode == "require" or options.tls_client_cert == "require",
        minimum=options.tls_min_version,
        ciphers=options.tls_ciphers or "",
    )
    try:
        tls_listen.shown(tls)
    except TLSError as error:
        raise UpError(f"--tls: {error}") from None
    return tls


def towards_postgresql(options: UpOptions, dsn: Dsn, clients: ListenTLS | None) -> UpstreamTLS:
    """The way to PostgreSQL.

    Raises:
        DsnError: the connection string asks for what cannot be.
        UpError: a file cannot be used, or ``--strip-channel-binding`` could never apply.
    """
    tls = tls_upstream.upstream_tls(dsn, strip_channel_binding=options.strip_channel_binding)
    encrypts = any(
        way is not tls_upstream.Method.PLAINTEXT
        for address in dsn.addresses
        for way in tls_upstream.methods(address, tls)
    )
    if options.strip_channel_binding and not encrypts:
        raise UpError(
            "--strip-channel-binding is for a PostgreSQL that is reached by TLS, and this one never is "
            f"({dsn.display()} with sslmode={dsn.sslmode}): leave it out"
        )
    if options.strip_channel_binding and clients is not None and clients.required:
        raise UpError(
            "--strip-channel-binding is for plaintext clients, and --tls refuses those: leave it out. "
            "Clients that come by TLS need the server's own certificate, or channel_binding=disable"
        )
    if encrypts:
        try:
            tls_upstream.context(tls)
        except TLSError as error:
            raise UpError(f"--upstream: {error}") from None
    return tls


def _pair(options: UpOptions, mode: str, listen: Address) -> tuple[str, str]:
    if mode == "auto":
        if options.tls_cert or options.tls_key:
            raise UpError(
                "--tls auto makes a certificate: leave out --tls-cert and --tls-key, or use --tls on"
            )
        from tui.up.self_signed import self_signed

        return self_signed(listen.host)
    if not options.tls_cert or not options.tls_key:
        raise UpError(f"--tls {mode} needs --tls-cert and --tls-key; for development, --tls auto makes them")
    return _absolute(options.tls_cert), _absolute(options.tls_key)


def _refuse_leftovers(options: UpOptions) -> None:
    """Options that would silently mean nothing are a misunderstanding about who is safe."""
    given = {
        "--tls-cert": options.tls_cert,
        "--tls-key": options.tls_key,
        "--tls-client-ca": options.tls_client_ca,
        "--tls-client-cert": options.tls_client_cert != "off",
        "--tls-ciphers": options.tls_ciphers,
        "--tls-min-version": options.tls_min_version != "TLSv1.2",
    }
    for name, value in given.items():
        if value:
            raise UpError(f"{name} without TLS towards clients: name --tls-cert and --tls-key, not --tls off")


def _absolute(path: str | None) -> str:
    if not path:
        return ""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise UpError(f"{path}: the system knows no such user") from None
