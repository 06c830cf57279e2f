"""What cannot work is one line before anything runs; what closed descriptors and signals do to what runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.dsn import DsnError
from tests.kit.relay_thread import eventually
from tests.kit.up import PATIENCE, alive, command, up
from tui.up.errors import UpError
from tui.up.options import UpOptions
from tui.up.start import supervise

SECRET = "hush"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (UpOptions(upstream=f"postgresql://u:{SECRET}/x@h/db"), "port of host 'u'"),
        (UpOptions(upstream=f"host=h password={SECRET} sslmode=perhaps"), "sslmode 'perhaps'"),
        (UpOptions(upstream="host=h", workers=0), "--workers 0"),
        (UpOptions(upstream="host=h", max_connections=0), "--max-connections 0"),
        (UpOptions(upstream="host=h", store="~nobody-of-that-name/x"), "no such user"),
        (UpOptions(upstream="host=h", listen="here"), "--listen here"),
    ],
)
def test_impossible_options_are_one_line_without_secrets(options: UpOptions, message: str) -> None:
    with pytest.raises((UpError, DsnError), match=message) as caught:
        supervise(options)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_upstream_that_is_the_proxy_itself(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    upstream = f"postgresql://u:{SECRET}@localhost:{port}/db"
    with pytest.raises(UpError, match="is the address to listen on") as caught:
        supervise(UpOptions(upstream=upstream, listen=f"127.0.0.1:{port}", store=str(tmp_path / "s.db")))
    assert SECRET not in str(caught.value)
    # The socket is free again.
    socket.create_server(("127.0.0.1", port)).close()


def test_no_place_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(UpError, match="set TMPDIR"):
        supervise(UpOptions(upstream="host=h", listen="127.0.0.1:0", store=str(tmp_path / "s.db")))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Accepts, and says what the test says."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)
        yield listening


STARTUP = b"\0\0\0\x11\0\x03\0\0user\0ann\0\0"


def upstream(server: socket.socket) -> str:
    return f"postgresql://ann:{SECRET}@127.0.0.1:{server.getsockname()[1]}/shop?sslmode=disable"


def session(server: socket.socket, port: int) -> tuple[socket.socket, socket.socket]:
    """A client in the middle of its login, and the server's end of it."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.sendall(STARTUP)
    while True:
        accepted, _ = server.accept()
        accepted.settimeout(PATIENCE)
        # The supervisor's look whether anybody is there sends nothing.
        if accepted.recv(len(STARTUP)):
            return client, accepted
        accepted.close()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except OSError:
        return True
    return False


def test_a_service_manager_that_signals_everybody_and_a_hangup_leave_the_drain_alone(
    server: socket.socket, tmp_path: Path
) -> None:
    with up(upstream(server), tmp_path, "--drain", "3600") as proxy:
        client, accepted = session(server, int(proxy.ready["port"]))
        with client, accepted:
            for number in (signal.SIGHUP, signal.SIGTERM):
                for pid in (*proxy.workers, proxy.recorder):
                    os.kill(pid, number)
            proxy.process.send_signal(signal.SIGHUP)
            proxy.process.send_signal(signal.SIGHUP)
            eventually(lambda: refused(int(proxy.ready["port"])), "no new connections")
            accepted.sendall(b"goes on")
            assert client.recv(100) == b"goes on"
        assert proxy.process.wait(PATIENCE) == 0
        assert not any(alive(pid) for pid in (*proxy.workers, proxy.recorder))
        assert SECRET not in proxy.said()
        assert "Traceback" not in proxy.said()


def test_stdin_and_stderr_may_be_closed(server: socket.socket, tmp_path: Path) -> None:
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command(upstream(server), tmp_path / "s.db")],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PGCOACH_PARENT": str(os.getpid())},
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        client, accepted = session(server, ready["port"])
        with client, accepted:
            accepted.sendall(b"hello")
            assert client.recv(100) == b"hello"
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""


def test_a_reader_of_stderr_that_is_gone_disturbs_nobody(server: socket.socket, tmp_path: Path) -> None:
    read, write = os.pipe()
    with subprocess.Popen(
        command(upstream(server), tmp_path / "s.db"),
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
        env=os.environ | {"PGCOACH_PARENT": str(os.getpid())},
    ) as process:
        os.close(write)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        os.close(read)
        os.kill(ready["workers"][0], signal.SIGKILL)
        client, accepted = session(server, ready["port"])
        with client, accepted:
            accepted.sendall(b"the next worker")
            assert client.recv(100) == b"the next worker"
        process.terminate()
        assert process.wait(PATIENCE) == 0
