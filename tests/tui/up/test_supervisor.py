"""What a supervisor says and does on signals. Its processes are tested as a whole, by running it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import cast

import pytest

from proxy.dsn import Dsn, parse_dsn
from tui.up.child import AT_ONCE, GENTLY, Pipes
from tui.up.errors import UpError
from tui.up.listening import Listening, bind, parse_listen
from tui.up.options import UpOptions
from tui.up.process import Child
from tui.up.supervisor import Supervisor

SECRET = "hush"


class Stopped:
    """A child that writes down how it was told to end."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []

    def stop(self, number: signal.Signals = GENTLY) -> None:
        self.signals.append(number)


class Room:
    """A supervisor that runs nothing."""

    def __init__(self, dsn: Dsn, listening: Listening, private: Path) -> None:
        self.said: list[str] = []
        self.worker = Stopped()
        self.supervisor = Supervisor(UpOptions(), dsn, listening, "/srv/store.db", private, self.said.append)
        self.supervisor._workers = [cast(Child, self.worker)]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def room(free_port: int, tmp_path: Path) -> Room:
    dsn = parse_dsn(f"postgresql://ann:{SECRET}@127.0.0.1:{free_port}/shop?sslpassword={SECRET}", {})
    listening = bind(parse_listen("127.0.0.1:0"))
    listening.close()
    address = parse_listen("127.0.0.1:6432")
    return Room(dsn, Listening(listening.socket, address), tmp_path)


def test_the_second_signal_is_urgent_and_said_once(room: Room) -> None:
    room.supervisor._signalled()
    assert room.worker.signals == []
    room.supervisor._signalled()
    room.supervisor._signalled()
    assert room.worker.signals == [AT_ONCE, AT_ONCE]
    assert room.said == ["pgcoach: ending at once"]


def test_a_hangup_is_a_first_signal_and_never_a_second(room: Room) -> None:
    room.supervisor._hung_up()
    room.supervisor._hung_up()
    assert room.worker.signals == []
    room.supervisor._signalled()
    assert room.worker.signals == [AT_ONCE]


async def test_an_upstream_that_is_not_there_is_said_without_secrets(room: Room, free_port: int) -> None:
    await room.supervisor._probe_upstream()
    (line,) = room.said
    assert line.startswith(
        f"pgcoach: warning: PostgreSQL is not reachable yet (127.0.0.1:{free_port}: connection refused)"
    )
    assert SECRET not in line


async def test_a_failure_of_supervision_is_said_and_goes_no_further(room: Room) -> None:
    async def fail() -> None:
        raise RuntimeError("odd")

    await room.supervisor._quietly(fail())
    assert room.said == [
        "pgcoach: internal error in supervision (RuntimeError: odd); traffic goes on",
    ]


def test_children_are_told_what_they_need_and_only_the_recorder_a_password(room: Room) -> None:
    pipes = Pipes(status=7, lifeline=8)
    record = room.supervisor._record_config(pipes, 9)
    assert SECRET in record.upstream
    assert SECRET not in repr(record.meta)
    assert record.meta["listen"] == "postgresql://ann@127.0.0.1:6432/shop"
    assert (record.listening, record.store) == (9, "/srv/store.db")


def test_a_temporary_directory_with_a_long_name_is_one_line(room: Room, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    room.supervisor._recorder_socket = deep / "recorder.sock"
    with pytest.raises(UpError, match=r"too long.*set TMPDIR"):
        room.supervisor._listen_for_deltas()
