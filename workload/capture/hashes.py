"""Hashes that stand for values: equal values can be found again, the values themselves cannot."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from proxy.wire.values import comparable

NULL_HASH: Final = 0


def value_hash(key: bytes, text: bytes | None) -> int:
    """Keyed 8-byte BLAKE2b of a value's comparable form as an unsigned integer; 0 for NULL.

    ``text`` is the value's canonical text, ``key`` at most 64 bytes (RFC 7693). A value that happens to
    hash to 0 becomes 1, so that it is not taken for NULL.
    """
    if text is None:
        return NULL_HASH
    return int.from_bytes(blake2b(comparable(text), digest_size=8, key=key).digest(), "big") or 1
