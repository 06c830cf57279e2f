"""Any valid transcript, cut anywhere: the same executions, never opaque, and those that the server made.

A small model of PostgreSQL answers random requests. It knows what the server's own statistics would count
as calls; the observer sees only the bytes of both sides, and has to come to the same result.
"""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observe.execution import Execution, Outcome
from proxy.wire.rows import read_rows
from tests.proxy.pgmodel import CONTROL, COPY_IN, Group, copying, recut, transcript
from tests.proxy.wirekit import Script, Sent

names = st.sampled_from(["", "s", "t"])
portals = st.sampled_from(["", "p"])
plain = st.sampled_from(["r0", "r1", "r3", "u0", "u5", "div", "bad", ""])
limits = st.sampled_from(["0", "1", "2"])


def one(op: st.SearchStrategy[tuple[str, ...]]) -> st.SearchStrategy[Group]:
    return op.map(lambda o: [o])


extended = st.one_of(
    one(st.tuples(st.just("P"), names, plain)),
    one(st.tuples(st.just("B"), portals, names)),
    one(st.tuples(st.just("DS"), names)),
    one(st.tuples(st.just("DP"), portals)),
    one(st.tuples(st.just("CS"), names)),
    one(st.tuples(st.just("CP"), portals)),
    one(st.tuples(st.just("E"), portals, limits)),
    st.builds(lambda t, n: [("P", "", t), ("B", "", ""), ("DP", ""), ("E", "", n)], plain, limits),
    st.just([("H",)]),
    st.just([("S",)]),
)
control = st.sampled_from(CONTROL)
simple = st.lists(st.sampled_from(["r1", "r2", "u3", "div", "bad", "cout"]), min_size=1, max_size=3).map(
    lambda texts: [("Q", *texts)]
)


copies = st.builds(copying, st.sampled_from(COPY_IN), st.sampled_from(["c", "f"]))
conversations = st.lists(st.one_of(extended, extended, extended, control, simple, copies), max_size=14)


def seen(steps: list[Sent]) -> tuple[list[dict[str, object]], Script]:
    script = Script()
    for step in steps:
        script >> step
        assert not script.tap.opaque, script.session.opaque_reason
    return [shown(execution) for execution in script.observer.executions], script


def shown(execution: Execution) -> dict[str, object]:
    """Everything in it that does not depend on how the bytes were cut."""
    skipped = {"session", "row_data", "t_first"}
    # Not by __slots__, which a compiled class does not have.
    names = [name for name in dir(execution) if not name.startswith("_") and name not in skipped]
    found = {name: getattr(execution, name) for name in names}
    found["row_data"] = list(read_rows(execution.row_data)) if execution.row_data else None
    return found


@settings(deadline=None, max_examples=300)
@given(conversations, st.integers(0, 1 << 30))
def test_any_valid_transcript_however_cut_gives_what_the_server_counted(
    groups: list[Group], seed: int
) -> None:
    cuts = random.Random(seed)
    steps, model = transcript(groups, cuts)
    whole, script = seen(steps)
    if model.status == "I":
        script.ends()
    bytewise, _ = seen([Sent(s.from_client, s.data[i : i + 1]) for s in steps for i in range(len(s.data))])
    assert bytewise == whole
    assert seen(recut(steps, cuts))[0] == whole

    executions = script.observer.executions
    calls: Counter[tuple[str, int]] = Counter()
    for e in executions:
        if e.outcome == Outcome.OK:
            text = e.sql.decode()
            calls[text.split(";")[e.ordinal] if e.statements != 1 else text, e.rows] += 1
    assert calls == model.calls
    failed = sum(1 for e in executions if e.outcome == Outcome.ERROR)
    unattributed = sum(n for c, n in script.observer.counters.items() if c.startswith("unattributed_error"))
    assert failed + unattributed == model.errors


@settings(deadline=None, max_examples=300)
@given(conversations, st.integers(0, 1 << 30))
def test_mutated_transcripts_never_raise(groups: list[Group], seed: int) -> None:
    chance = random.Random(seed)
    steps, _ = transcript(groups, chance)
    script = Script()
    for step in steps:
        data = bytearray(step.data)
        while data and chance.random() < 0.3:
            data[chance.randrange(len(data))] = chance.randrange(256)
        script >> Sent(step.from_client, bytes(data))
    script.tap.closed(script.now)
    reasons = [c for c in script.observer.counters if c.startswith("opaque.")]
    assert len(reasons) == script.tap.opaque
    assert "opaque.internal" not in reasons


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=20))
def test_random_bytes_never_raise(pieces: list[tuple[bool, bytes]]) -> None:
    for greet in (True, False):
        script = Script(greet=greet)
        for from_client, data in pieces:
            script >> Sent(from_client, data)
        script.tap.closed(script.now)
        assert script.observer.counters.get("opaque.internal", 0) == 0
