"""The supervisor: binds once, starts workers and the recorder, and sees that they live and end in order.

It touches no traffic. When it is killed, the children notice by their lifeline and end themselves; when a
child dies, it is started again and the others never notice: the listening sockets are the supervisor's,
so connections wait in the backlog and deltas in the workers meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from proxy.dsn import Dsn
from proxy.relay.cancelkeys import table_size
from proxy.relay.settings import ListenTLS, UpstreamTLS
from proxy.relay.tls_upstream import ENCRYPTING
from proxy.relay.upstream import UpstreamError
from tui.up.child import AT_ONCE, Pipes, RecordConfig, RelayConfig
from tui.up.errors import UpError
from tui.up.listening import Listening
from tui.up.options import UpOptions
from tui.up.probe import advice, probe, refuse_impossible
from tui.up.process import Child

RECORDER_ENDS = 15.0
"""Seconds that the recorder has to write what it holds."""
PARENT_CHECK = 0.5
"""Seconds between looks whether ``PGCOACH_PARENT`` is still our parent."""
STOP_PATIENCE = 8.0
"""Seconds beyond the drain that a worker has to end before it is killed."""


class Supervisor:
    """The state of one ``pgcoach up``."""

    def __init__(
        self,
        options: UpOptions,
        dsn: Dsn,
        listening: Listening,
        store: str,
        private: Path,
        say: Callable[[str], None],
        upstream_tls: UpstreamTLS | None = None,
        tls: ListenTLS | None = None,
    ) -> None:
        """``say`` brings a line to people; ``tls`` is what clients are offered."""
        self._upstream_tls = upstream_tls or UpstreamTLS()
        self._tls = tls
        self._options = options
        self._dsn = dsn
        self._listening = listening
        self._store = store
        self._recorder_socket = private / "recorder.sock"
        self._key = secrets.token_bytes(32)
        self._say = say
        self._stops = 0
        """Signals that asked to end."""
        self._stop = asyncio.Event()
        self._started = False
        """All children reported that they are ready."""
        self._recorder: Child
        self._workers: list[Child]

    async def run(self) -> int:
        """Start, report ready, supervise, end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        terminal = has_terminal()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._hangup(terminal))
        with contextlib.ExitStack() as resources:
            lifeline, holder = os.pipe()
            resources.callback(os.close, holder)
            resources.callback(os.close, lifeline)
            admission = resources.enter_context(tempfile.TemporaryFile())
            admission.truncate(8 * self._options.workers)
            keys = resources.enter_context(tempfile.TemporaryFile())
            keys.truncate(table_size(self._options.workers))
            recording = resources.enter_context(self._listen_for_deltas())
            self._recorder = Child(
                "recorder",
                "tui.up.record_process",
                lambda pipes: self._record_config(pipes, recording.fileno()),
                (recording.fileno(),),
                self._notice,
            )
            self._workers = [
                Child(
                    f"worker {index + 1}",
                    "tui.up.relay_process",
                    self._relay_config(index, admission.fileno(), keys.fileno()),
                    (self._listening.socket.fileno(), admission.fileno(), keys.fileno()),
                    self._notice,
                )
                for index in range(self._options.workers)
            ]
            try:
                await self._start(lifeline)
                await self._supervise(lifeline)
            finally:
                await self._end(lifeline)
        return 0

    async def _start(self, lifeline: int) -> None:
        """Raises UpError: a child cannot do its work, or no client could log in."""
        if self._upstream_tls.mode in ENCRYPTING:
            # Worth waiting for: what cannot work should not look as if it did.
            with contextlib.suppress(UpstreamError):
                refuse_impossible(
                    await probe(self._dsn, self._upstream_tls, self._tls), self._upstream_tls, self._tls
                )
        children = [self._recorder, *self._workers]
        reports = await asyncio.gather(*(child.start(lifeline) for child in children))
        for said in reports:
            if said.error:
                raise UpError(said.error)
        self._started = True
        self._announce()

    async def _supervise(self, lifeline: int) -> None:
        loop = asyncio.get_running_loop()
        work: list[Awaitable[None]] = [
            child.keep_running(lifeline) for child in (self._recorder, *self._workers)
        ]
        work.append(self._probe_upstream())
        if parent := os.environ.get("PGCOACH_PARENT", ""):
            work.append(self._watch_parent(parent))
        tasks = [loop.create_task(self._quietly(job), name="supervision") for job in work]
        try:
            await self._stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, lifeline: int) -> None:
        """Workers first, so that the recorder gets their last counts."""
        # No new connections from now on: clients are refused instead of waiting for nobody.
        self._listening.socket.close()
        keeping: asyncio.Task[None] | None = None
        if self._started:
            if self._recorder.died:
                # It was waiting to be started again: without it the last counts would have nowhere to go.
                await self._recorder.start(lifeline)
            # A drain may take long, and whoever stops all of a service's processes stopped the recorder too.
            keeping = asyncio.get_running_loop().create_task(
                self._quietly(self._recorder.keep_running(lifeline)), name="supervision of the end"
            )
        for child in self._workers:
            child.stop()
        patience = self._options.drain + STOP_PATIENCE
        await asyncio.gather(*(child.ended(patience) for child in self._workers))
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        if self._started and not self._recorder.died:
            await self._recorder_accepts_everybody()
        self._recorder.stop()
        await self._recorder.ended(RECORDER_ENDS)

    async def _recorder_accepts_everybody(self) -> None:
        """Wait until the recorder took in every connection made so far.

        A recorder that just started may not have come to accept the workers' connections, and those ended
        long since. Connections are accepted in order: when ours was, theirs were before.
        """

        async def knock() -> None:
            reader, writer = await asyncio.open_unix_connection(self._recorder_socket)
            writer.write_eof()
            await reader.read()
            writer.close()

        knocking = asyncio.get_running_loop().create_task(knock(), name="last knock at the recorder")
        dying = asyncio.get_running_loop().create_task(self._recorder.wait(), name="end of the recorder")
        await asyncio.wait({knocking, dying}, timeout=RECORDER_ENDS, return_when=asyncio.FIRST_COMPLETED)
        for task in (knocking, dying):
            task.cancel()
        await asyncio.gather(knocking, dying, return_exceptions=True)

    def _signalled(self) -> None:
        self._stops += 1
        if self._stop.is_set():
            if self._stops == 2:
                self._notice("ending at once")
            for child in self._workers:
                child.stop(AT_ONCE)
        self._stop.set()

    def _hangup(self, terminal: bool) -> None:
        """SIGHUP: our terminal was closed; or somebody wants certificates to be read again."""
        if (terminal and not has_terminal()) or not (self._tls or self._upstream_tls.files):
            self._hung_up()
            return
        for child in self._workers:
            child.stop(signal.SIGHUP)

    def _hung_up(self) -> None:
        """The terminal was closed: from the shell and from the system it may come twice, and is said once."""
        if not self._stop.is_set():
            self._signalled()

    def _listen_for_deltas(self) -> socket.socket:
        """In a directory of mode 0700, which nobody else can enter."""
        recording = socket.socket(socket.AF_UNIX)
        try:
            recording.bind(str(self._recorder_socket))
        except OSError as error:
            recording.close()
            raise UpError(
                f"no socket can be made in the temporary directory {self._recorder_socket.parent} "
                f"({error.strerror or error}); set TMPDIR to another one, with a short name"
            ) from None
        recording.listen(64)
        return recording

    def _record_config(self, pipes: Pipes, recording: int) -> RecordConfig:
        return RecordConfig(
            pipes=pipes,
            listening=recording,
            store=self._store,
            private=str(self._recorder_socket.parent),
            upstream=self._dsn.conninfo(),
            meta={
                "upstream": self._dsn.without_password().conninfo(),
                "listen": self._dsn.url((self._listening.address,)),
            },
        )

    def _relay_config(self, index: int, admission: int, cancel_keys: int) -> Callable[[Pipes], RelayConfig]:
        options = self._options
        return lambda pipes: RelayConfig(
            pipes=pipes,
            listening=self._listening.socket.fileno(),
            admission=admission,
            cancel_keys=cancel_keys,
            index=index,
            workers=options.workers,
            max_connections=options.max_connections,
            addresses=[(a.host, a.port, a.hostaddr) for a in self._dsn.addresses],
            samples=options.samples,
            key=self._key,
            recorder=str(self._recorder_socket),
            drain=options.drain,
            upstream_tls=self._upstream_tls,
            tls=self._tls,
            balancers=options.proxy_protocol_from,
        )

    def _announce(self) -> None:
        address = self._listening.address
        url = self._dsn.url((address,))
        self._notice(f"relaying to {_places(self._dsn)}; point your application at {url}")
        self._notice(f"recording into {self._store}")
        if self._tls is not None:
            self._notice(
                f"clients {'must' if self._tls.required else 'may'} use TLS; to verify us, their sslrootcert "
                f"is {self._tls.certificate} or who signed it"
            )
        if self._dsn.addresses[0].is_unix and not address.is_unix:
            self._notice(
                "note: PostgreSQL is reached by a unix socket; its peer authentication sees the user that "
                "pgcoach runs as, whoever connects"
            )
        if self._options.json:
            ready = {
                "dsn": url,
                "host": address.host,
                "port": address.port,
                "pid": os.getpid(),
                "recorder": self._recorder.pid,
                "workers": [worker.pid for worker in self._workers],
                "store": self._store,
            }
            # Whoever does not read stdout any more does not need the line either.
            with contextlib.suppress(OSError):
                print(json.dumps(ready), flush=True)

    async def _probe_upstream(self) -> None:
        """Whether PostgreSQL is there is worth a word, and no reason not to start: it may come later."""
        try:
            found = await probe(self._dsn, self._upstream_tls, self._tls)
        except UpstreamError as error:
            self._notice(
                f"warning: PostgreSQL is not reachable yet ({error}); clients get an error until it is. "
                "If that is not expected, check --upstream"
            )
        else:
            if said := advice(found, self._upstream_tls, self._tls):
                self._notice(said)

    async def _watch_parent(self, parent: str) -> None:
        """``PGCOACH_PARENT``: whoever started us wants us to end when it does, even when it is killed."""
        while str(os.getppid()) == parent:  # noqa: ASYNC110 (the system has no event for this)
            await asyncio.sleep(PARENT_CHECK)
        self._hung_up()

    async def _quietly(self, job: Awaitable[None]) -> None:
        """A failure of supervision is said and does not end the relaying."""
        try:
            await job
        except Exception as error:
            self._notice(f"internal error in supervision ({type(error).__name__}: {error}); traffic goes on")

    def _notice(self, text: str) -> None:
        self._say(f"pgcoach: {text}")


def has_terminal() -> bool:
    """Whether this process has a controlling terminal; one that was hung up is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _places(dsn: Dsn) -> str:
    addresses: Sequence[object] = dsn.addresses
    return ", then ".join(str(address) for address in addresses)
