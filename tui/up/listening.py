"""The address to listen on: read, and bound in a way that a second proxy is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from proxy.dsn import Address
from tui.up.errors import ListenError, UpError

BACKLOG = 1024
"""Connections that wait to be accepted; the system may have a smaller limit."""
_SOCKET_NAME = re.compile(r"\.s\.PGSQL\.(\d{1,5})")
_DEFAULT_UNIX_PORT = 5432


def parse_listen(text: str) -> Address:
    """``HOST:PORT``, ``:PORT``, ``PORT``, ``[IPv6]:PORT``, ``/directory`` or ``/directory/.s.PGSQL.PORT``.

    Raises UpError: none of these.
    """
    if text.startswith(("/", "./", "../", "~")):
        try:
            path = Path(text).expanduser().absolute()
        except RuntimeError:
            raise UpError(f"--listen {text}: the system knows no such user") from None
        if match := _SOCKET_NAME.fullmatch(path.name):
            return Address(str(path.parent), int(match[1]))
        return Address(str(path), _DEFAULT_UNIX_PORT)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UpError(f"--listen {text}: write an IPv6 address in brackets, [{host}]:{port}")
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UpError(f"--listen {text}: expected HOST:PORT, or the path of a unix socket's directory")
    return Address(host or ("" if colon else "127.0.0.1"), int(port))


@dataclass(frozen=True, slots=True)
class Listening:
    """A bound, listening socket and what belongs to it."""

    socket: socket.socket
    address: Address
    """Where clients reach it: the real port, and a loopback address instead of a wildcard."""
    lock: int | None = None
    """Descriptor of the lock beside a unix socket; None for TCP."""

    def close(self) -> None:
        """Stop listening; a unix socket's file goes too."""
        self.socket.close()
        if self.lock is not None:
            Path(self.address.socket_path).unlink(missing_ok=True)
            Path(self.address.socket_path + ".lock").unlink(missing_ok=True)
            os.close(self.lock)


def bind(address: Address) -> Listening:
    """Bind and listen.

    Raises:
        ListenError: in use, or not allowed.
        UpError: no such host, directory or path too long.
    """
    try:
        return _bind_unix(address) if address.is_unix else _bind_tcp(address)
    except ListenError:
        raise
    except socket.gaierror as error:
        raise UpError(f"--listen {address}: {error.strerror}") from None
    except UnicodeError:
        raise UpError(f"--listen {address}: this is no host name") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _in_use(address) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ListenError(
                f"not allowed to listen on {address}; choose another place with --listen"
            ) from None
        raise UpError(f"cannot listen on {address}: {error.strerror or error}") from None


def _in_use(address: Address) -> ListenError:
    return ListenError(
        f"{address} is in use: another pgcoach or another program listens there. "
        "Stop it, or choose another place with --listen"
    )


def _bind_tcp(address: Address) -> Listening:
    host = address.host
    family, _, _, _, target = socket.getaddrinfo(
        host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # An empty host means all addresses of both families, where the system can do that with one socket.
    dual = not host and socket.has_dualstack_ipv6()
    if dual:
        family, target = socket.AF_INET6, ("::", address.port)
    # Sets SO_REUSEADDR and not SO_REUSEPORT: with that, two proxies could share a port unnoticed.
    listening = socket.create_server(target[:2], family=family, backlog=BACKLOG, dualstack_ipv6=dual)
    bound, port = listening.getsockname()[:2]
    if dual or bound == "0.0.0.0":  # noqa: S104 (compared, not bound)
        bound = "127.0.0.1"
    elif bound == "::":
        bound = "::1"
    return Listening(listening, Address(host if host == "localhost" else bound, port))


def _bind_unix(address: Address) -> Listening:
    path = address.socket_path
    if not Path(address.host).is_dir():
        raise UpError(f"--listen: there is no directory {address.host} for the socket")
    # The lock tells a socket that somebody listens on from one that a killed process left behind.
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise _in_use(address) from None
        raise
    listening = socket.socket(socket.AF_UNIX)
    try:
        _remove_stale(path, address)
        # 0600 from the first moment: a server that trusts peers would take everybody for our user.
        before = os.umask(0o177)
        try:
            listening.bind(path)
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        Path(path + ".lock").unlink(missing_ok=True)
        os.close(lock)
        raise
    return Listening(listening, address, lock)


def _remove_stale(path: str, address: Address) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ListenError(f"{path} exists and is no socket; choose another place with --listen")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise _in_use(address)


def leads_to(address: Address, listening: Listening) -> bool:
    """Whether connecting to an address would reach this very socket, under any name; may ask the resolver."""
    here = listening.address
    if address.is_unix or here.is_unix:
        return (
            address.is_unix
            and here.is_unix
            and os.path.realpath(address.socket_path) == os.path.realpath(here.socket_path)
        )
    if address.port != here.port:
        return False
    try:
        found = socket.getaddrinfo(address.hostaddr or address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    bound = listening.socket.getsockname()[0]
    hosts = {str(target[0]) for *_, target in found}
    if bound in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        return any(map(_is_local, hosts))
    return bound in hosts


def _is_local(host: str) -> bool:
    """Only an address of this machine can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
