"""Mutated transcripts through the observer, by the million.

    python -m tests.fuzz.observer --transcripts 5000000

A model of PostgreSQL (``tests/proxy/pgmodel.py``) makes a valid conversation. Fed as it is, in random
pieces, the session must stay observed, and the calls must be those that the model made. Then it is mutated
over and over: whatever comes in, the observer must end with executions or with an opaque session whose
reason was counted, and with nothing else: no exception, no execution twice or malformed, nothing kept.

A batch is a function of its seed: a failure names the command that repeats it. Run outside of the checkout
(with ``tests`` linked there) in an environment where pgcoach is installed, it takes the compiled modules.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

import proxy.observe.tap
from proxy.observe.execution import Execution, Kind, Outcome, Quality, Session
from proxy.observe.tap import SessionTap, TapLimits
from tests.proxy.pgmodel import CONTROL, COPY_IN, Group, Model, copying, recut, transcript
from tests.proxy.wirekit import GREETING, Sent, client, server

MUTANTS = 24
"""Mutations of one valid transcript: making one costs several times what the observer costs."""
BATCH = 5_000
REASONS = frozenset(
    (
        *("unknown_message", "bad_length", "unexpected_answer", "answer_without_request"),
        *("incomplete_result", "copy_both", "outstanding"),
    )
)
"""Why a session may turn opaque; ``internal`` would be a defect."""
KINDS = b"PBDECSHQFXdcfp123CDEGHIKNRSTVWZnstvA%\0\xff"
"""Message types, those of both sides, and some that are none."""


class Failure(Exception):
    """The observer broke its promise."""


class Witness:
    """An observer that checks what it is told."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.seen: set[int] = set()
        self.counters: Counter[str] = Counter()
        self.opened = self.closed = 0

    def session_opened(self, session: Session) -> None:
        self.opened += 1

    def executed(self, execution: Execution) -> None:
        if id(execution) in self.seen:
            raise Failure("an execution was delivered twice")
        if self.closed or not self.opened:
            raise Failure("an execution outside of its session")
        self.seen.add(id(execution))
        self.executions.append(execution)

    def taken_back(self, execution: Execution) -> None: ...

    def session_closed(self, session: Session, now: float) -> None:
        self.closed += 1

    def count(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] += amount


_NAMES = ("", "s", "t")
_PORTALS = ("", "p")
_TEXTS = ("r0", "r1", "r3", "u0", "u5", "div", "bad", "")
_IN_QUERY = ("r1", "r2", "u3", "div", "bad", "cout")
_LIMITS = "012"


def groups(chance: random.Random) -> list[Group]:
    """What a client may ask for, the same choices as in the property test of the model."""
    pick = chance.choice
    makers: list[Callable[[], Group]] = [
        lambda: [("P", pick(_NAMES), pick(_TEXTS))],
        lambda: [("B", pick(_PORTALS), pick(_NAMES))],
        lambda: [("DS", pick(_NAMES))],
        lambda: [("DP", pick(_PORTALS))],
        lambda: [("CS", pick(_NAMES))],
        lambda: [("CP", pick(_PORTALS))],
        lambda: [("E", pick(_PORTALS), pick(_LIMITS))],
        lambda: [("P", "", pick(_TEXTS)), ("B", "", ""), ("DP", ""), ("E", "", pick(_LIMITS))],
        lambda: [("H",)],
        lambda: [("S",)],
        lambda: pick(CONTROL),
        lambda: pick(CONTROL),
        lambda: [("Q", *chance.choices(_IN_QUERY, k=chance.randint(1, 3)))],
        lambda: copying(pick(COPY_IN), pick("cf")),
    ]
    return [pick(makers)() for _ in range(chance.randint(1, 14))]


# Mutations: of the bytes of one step, or of the order of steps.


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _retype(data: bytearray, chance: random.Random) -> None:
    data[0] = chance.choice(KINDS)


def _length(data: bytearray, chance: random.Random) -> None:
    near = int.from_bytes(data[1:5], "big") + chance.choice((-1, 1, 4))
    length = chance.choice((0, 3, 4, 5, near, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
    data[1:5] = (length & 0xFFFFFFFF).to_bytes(4, "big")


def _delete(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 4, 5, len(data)))]


def _insert(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data) + 1)
    data[start:start] = chance.randbytes(chance.choice((1, 4, 5, 40)))


BYTES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _overwrite, _retype, _length, _delete, _insert),
)


def mutated(steps: list[Sent], other: list[Sent], chance: random.Random) -> list[Sent]:
    """The steps with one to four things wrong; ``other`` is a transcript to take foreign messages from."""
    steps = list(steps)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        i = chance.randrange(len(steps))
        step = steps[i]
        match chance.randrange(12):
            case 0:
                del steps[i]
            case 1:
                steps.insert(i, step)
            case 2:
                j = chance.randrange(len(steps))
                steps[i], steps[j] = steps[j], step
            case 3:
                steps[i] = Sent(not step.from_client, step.data)
            case 4:
                steps.insert(i, chance.choice(other))
            case 5:
                del steps[i + 1 :]
            case _:
                data = bytearray(step.data)
                if data:
                    chance.choice(BYTES)(data, chance)
                steps[i] = Sent(step.from_client, bytes(data))
        if not steps:
            return [client(b"")]
    return steps


def fed(steps: list[Sent], greeting: bytes = GREETING) -> tuple[SessionTap, Witness]:
    """A session that saw all of it and was closed, checked."""
    witness = Witness()
    session = Session(1, "fuzz", 0.0)
    tap = SessionTap(session, witness, TapLimits())
    now = 100.0
    tap.started(b"", {"user": "ann", "database": "shop"}, now)
    tap.feed_server(greeting, now)
    for step in steps:
        now += 0.001
        (tap.feed_client if step.from_client else tap.feed_server)(step.data, now)
    opaque = tap.opaque
    tap.closed(now)
    check(tap, witness, opaque, now)
    return tap, witness


def check(tap: SessionTap, witness: Witness, opaque: bool, now: float) -> None:
    """Raise Failure unless there are executions, or a counted reason, and nothing else."""
    reasons = {name.removeprefix("opaque."): n for name, n in witness.counters.items() if "opaque." in name}
    # A mutation may make the session one of replication, which is opaque on purpose.
    counted = sum(reasons.values()) + witness.counters["sessions.replication"]
    if counted != opaque:
        raise Failure(f"opaque is {opaque}, counted are {reasons}")
    if not REASONS.issuperset(reasons):
        raise Failure(f"opaque for {reasons}")
    if witness.closed != witness.opened:
        raise Failure(f"{witness.opened} sessions were opened and {witness.closed} closed")
    if tap.idle:
        raise Failure("idle after its end")
    for execution in witness.executions:
        wellformed(execution, now)


def wellformed(execution: Execution, now: float) -> None:
    ok = (
        isinstance(execution.outcome, Outcome)
        and isinstance(execution.kind, Kind)
        and isinstance(execution.quality, Quality)
        and execution.rows >= 0
        and execution.bytes_in >= 0
        and execution.bytes_out >= 0
        and execution.stalled >= 0
        and 0 <= execution.t_recv <= now
        and execution.t_done <= now
        and len(execution.sql) <= execution.sql_length
        and (execution.outcome != Outcome.ERROR or not execution.tag or execution.kind == Kind.FUNCTION_CALL)
    )
    duration = execution.duration
    if not ok or not (duration is None or (math.isfinite(duration) and duration >= 0)):
        # Compiled classes have no __slots__.
        found = {name: getattr(execution, name) for name in dir(execution) if not name.startswith("_")}
        raise Failure(f"malformed execution: {found}")


def compare(model: Model, tap: SessionTap, witness: Witness) -> None:
    """A valid transcript stays observed and gives the calls that the model made, else Failure."""
    if tap.opaque:
        raise Failure("a valid transcript turned opaque")
    calls: Counter[tuple[str, int]] = Counter()
    for e in witness.executions:
        if e.outcome == Outcome.OK:
            text = e.sql.decode()
            calls[text.split(";")[e.ordinal] if e.statements != 1 else text, e.rows] += 1
    if calls != model.calls:
        raise Failure(f"counted {calls}, the server ran {model.calls}")


def batch(seed: int, transcripts: int) -> Counter[str]:
    """So many transcripts, one in MUTANTS + 1 of them valid. Raises Failure with the transcript."""
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    other: list[Sent] = [server(GREETING)]
    while transcripts > 0:
        steps, model = transcript(groups(chance), chance)
        candidates = [recut(steps, chance)]
        candidates += (mutated(steps, other, chance) for _ in range(min(MUTANTS, transcripts - 1)))
        for number, candidate in enumerate(candidates):
            greeting = GREETING if number % 6 != 5 else mutated([server(GREETING)], other, chance)[0].data
            try:
                tap, witness = fed(candidate, greeting)
                if not number:
                    compare(model, tap, witness)
            except Exception as error:
                listing = "\n".join(f"{'>' if s.from_client else '<'} {s.data!r}" for s in candidate)
                raise Failure(
                    f"{error!r}\nseed {seed}, after {found['transcripts']} transcripts; "
                    f"greeting {greeting!r}\n{listing}"
                ) from error
            found["transcripts"] += 1
            found["valid"] += not number
            found["executions"] += len(witness.executions)
            found.update(
                {n: c for n, c in witness.counters.items() if n.startswith(("opaque.", "sessions."))}
            )
        transcripts -= len(candidates)
        other = steps
    return found


def run(transcripts: int, seed: int, processes: int, progress: Callable[[str], None]) -> Counter[str]:
    """All of it, in several processes. Raises Failure of the first batch that found something."""
    total: Counter[str] = Counter()
    orders = [(seed + n, min(BATCH, transcripts - n * BATCH)) for n in range(-(-transcripts // BATCH))]
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, found in enumerate(pool.imap_unordered(_star, orders), 1):
            total.update(found)
            if not number % 50:
                rate = total["transcripts"] / (time.monotonic() - started)
                progress(f"{total['transcripts']:,} transcripts, {rate:,.0f} a second")
    return total


def _star(order: tuple[int, int]) -> Counter[str]:
    return batch(*order)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.observer", description=__doc__)
    parser.add_argument("--transcripts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first batch; batches count on from it")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    order = parser.parse_args()
    compiled = not str(proxy.observe.tap.__file__).endswith(".py")
    print(f"{'compiled' if compiled else 'interpreted'} observer: {proxy.observe.tap.__file__}", flush=True)
    started = time.monotonic()
    try:
        total = run(
            order.transcripts, order.seed, order.processes, lambda s: print(s, file=sys.stderr, flush=True)
        )
    except Failure as failure:
        print(failure)
        return 1
    seconds = time.monotonic() - started
    figures = {"seconds": round(seconds, 1), "a_second": round(total["transcripts"] / seconds)}
    print(
        json.dumps(
            {"compiled": compiled, "seed": order.seed, **figures, **dict(sorted(total.items()))}, indent=1
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
