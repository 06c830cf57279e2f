from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workload.capture.hashes import NULL_HASH, value_hash


def test_equal_values_hash_alike_under_one_key_only() -> None:
    assert value_hash(b"k", b"42") == value_hash(b"k", b"42.00")
    assert value_hash(b"k", b"42") != value_hash(b"k", b"43")
    assert value_hash(b"k", b"42") != value_hash(b"other", b"42")


@given(st.binary(max_size=100))
def test_a_value_is_never_null_and_fits_eight_bytes(text: bytes) -> None:
    assert value_hash(b"k", None) == NULL_HASH
    assert 0 < value_hash(b"k", text) < 2**64
