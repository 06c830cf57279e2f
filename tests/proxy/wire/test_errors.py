from __future__ import annotations

import struct

import pytest

from proxy.wire.errors import error_response


def fields(message: bytes) -> dict[str, str]:
    assert message[:1] == b"E"
    assert struct.unpack("!I", message[1:5])[0] == len(message) - 1
    assert message.endswith(b"\0\0")
    return {f[:1].decode(): f[1:].decode() for f in message[5:-2].split(b"\0")}


def test_all_fields() -> None:
    got = fields(error_response("08001", "down", detail="refused", hint="start it"))
    assert got == {
        "S": "FATAL",
        "V": "FATAL",
        "C": "08001",
        "M": "down",
        "D": "refused",
        "H": "start it",
    }


def test_empty_optional_fields_are_left_out() -> None:
    assert set(fields(error_response("53300", "full", severity="ERROR"))) == {"S", "V", "C", "M"}


def test_zero_bytes_in_the_text_cannot_end_a_field() -> None:
    assert fields(error_response("08006", "a\0b"))["M"] == "a b"


@pytest.mark.parametrize("bad", ["", "0800", "080011", "0800\0", "0800é"])
def test_bad_sqlstate_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="SQLSTATE"):
        error_response(bad, "x")
