"""Two shapes of one query may number their parameters differently; this says which is which.

Shapes with one fingerprint differ in spelling only, so their parameters come in the same order in the
text, whatever their numbers.
"""

from __future__ import annotations

from functools import lru_cache

from workload.tokens import split, tokens


@lru_cache(maxsize=4096)
def permutation(text: str, shape: str) -> tuple[int, ...] | None:
    """For each parameter of ``text`` (from 0) the parameter of ``shape`` that stands in its place.

    None when there is no such assignment: a constant such as NULL stands where the other has a parameter.
    """
    wanted = _numbers(text)
    if text == shape:
        return tuple(range(max(wanted, default=0)))
    given = _numbers(shape)
    if len(wanted) != len(given):
        return None
    found: dict[int, int] = {}
    for number, other in zip(wanted, given, strict=True):
        if found.setdefault(number, other) != other:
            return None
    if sorted(found) != list(range(1, len(found) + 1)):
        return None
    return tuple(found[number] - 1 for number in range(1, len(found) + 1))


def _numbers(text: str) -> list[int]:
    return [int(token.text[1:]) for token in tokens(split(text)) if token.kind == "p"]
