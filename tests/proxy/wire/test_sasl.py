"""The first answer of a server, and channel binding in it."""

from __future__ import annotations

from struct import pack

import pytest

from proxy.wire.sasl import first_answer, refuses_channel_binding, without_channel_binding


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack("!I", len(body) + 4) + body


def offer(*names: bytes) -> bytes:
    return message(b"R", pack("!I", 10) + b"".join(name + b"\0" for name in names) + b"\0")


BOTH = offer(b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256")
VERSION = message(b"v", pack("!II", 196608, 0))


@pytest.mark.parametrize("before", [b"", VERSION, VERSION * 2])
def test_s12_the_offer_is_found_however_it_is_cut(before: bytes) -> None:
    said = before + BOTH
    for size in range(len(said)):
        assert first_answer(said[:size]) is None
    answer = first_answer(said + b"what follows")
    assert answer is not None
    assert answer.mechanisms == [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]
    assert answer.offers_binding
    assert without_channel_binding(said + b"rest", answer) == before + offer(b"SCRAM-SHA-256") + b"rest"


@pytest.mark.parametrize("said", [offer(b"SCRAM-SHA-256-PLUS"), offer(b"SCRAM-SHA-256"), offer()])
def test_s12_nothing_to_take_out_or_nothing_left_is_untouched(said: bytes) -> None:
    answer = first_answer(said)
    assert answer is not None
    assert without_channel_binding(said, answer) == said


@pytest.mark.parametrize(
    "said", [message(b"R", pack("!I", 0)), message(b"R", pack("!I", 5) + b"salt"), message(b"R", b"")]
)
def test_other_requests_offer_nothing(said: bytes) -> None:
    answer = first_answer(said)
    assert answer is not None
    assert not answer.offers_binding
    assert without_channel_binding(said, answer) == said


@pytest.mark.parametrize(
    "said", [b"E", b"E\0\0", message(b"E", b"C28000\0\0"), b"R\0\0\0\1", b"R\x7f\xff\xff\xff"]
)
def test_anything_else_is_known_by_its_type(said: bytes) -> None:
    answer = first_answer(said)
    assert answer is not None
    assert answer.kind == said[0]
    assert not answer.offers_binding


@pytest.mark.parametrize(
    ("fields", "binding"),
    [
        ({"C": b"28000", "F": b"auth-scram.c"}, True),
        ({"C": b"28000", "F": b"auth.c"}, False),
        ({"C": b"28P01", "F": b"auth-scram.c"}, False),
        ({}, False),
    ],
)
def test_a_refused_binding_is_told_in_any_language(fields: dict[str, bytes], binding: bool) -> None:
    assert refuses_channel_binding(fields) is binding
