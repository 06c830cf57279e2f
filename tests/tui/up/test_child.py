"""What supervisor and child tell each other, and how an orphan ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.up.child import Pipes, RelayConfig, Report, decode_report, encode, read_config, report

CONFIG = RelayConfig(
    pipes=Pipes(status=7, lifeline=8),
    listening=3,
    admission=4,
    cancel_keys=5,
    index=0,
    workers=2,
    max_connections=None,
    addresses=[("db", 5432, ""), ("/run/pg", 5432, "")],
    samples="masked",
    key=bytes(range(32)),
    recorder="/tmp/x/recorder.sock",
    drain=1.5,
)


def test_the_configuration_arrives_whole_and_its_pipe_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.write(write, encode(CONFIG))
    os.close(write)
    monkeypatch.setattr(sys, "argv", ["child", str(read)])
    assert read_config(RelayConfig) == CONFIG
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)


@pytest.mark.parametrize("error", ["", "the store is a folder", "two\nlines"])
def test_a_report_is_one_line(error: str) -> None:
    read, write = os.pipe()
    report(Pipes(status=write, lifeline=-1), error)
    os.close(write)
    with open(read, "rb") as pipe:
        line = pipe.readline()
        assert pipe.read() == b""
    assert decode_report(line) == Report(error)


@pytest.mark.parametrize("line", [b"", b'{"error":"cut of'])
def test_a_child_that_ended_before_it_said_everything_said_nothing(line: bytes) -> None:
    assert decode_report(line) is None


def test_a_supervisor_that_is_gone_need_not_be_told() -> None:
    read, write = os.pipe()
    os.close(read)
    report(Pipes(status=write, lifeline=-1))
    os.close(write)


ORPHAN = """
import pathlib, signal, sys, time
import tui.up.child as child
heard = pathlib.Path(sys.argv[2])
def hear(number, frame):
    with heard.open("a") as file:
        file.write(signal.Signals(number).name + "\\n")
for number in (child.GENTLY, child.AT_ONCE):
    signal.signal(number, hear)
child.AFTER_SUPERVISOR = 0.2
child.end_with_supervisor(child.Pipes(-1, int(sys.argv[1])), lambda: heard.write_text("cleanup\\n"))
print("ready", flush=True)
while True:
    time.sleep(60)
"""


def test_an_orphan_cleans_up_and_ends_gently_urgently_and_at_any_price(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    lifeline, holder = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(lifeline), str(heard)],
        pass_fds=(lifeline,),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(lifeline)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        os.close(holder)
        assert process.wait(20) == 1
    assert heard.read_text().split() == ["cleanup", "SIGTERM", "SIGINT"]
